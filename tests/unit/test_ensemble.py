"""The ensemble of the last versions is one network, and an exact one where the encoder is shared."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - it tests what is made of torch

from restar_lib.artifacts import sealed_folder
from restar_lib.errors import ArtifactError
from restar_lib.training.encoder import Encoder
from restar_lib.training.ensemble import AveragedWeights, average_weights, last_versions, save_own_head
from restar_lib.training.network import SentimentModel, load_model, save_weights
from tests.tiny_encoder import make_tiny_encoder
from tests.tiny_model import sealed_tiny_model

BATCH = (torch.tensor([[4, 5, 6, 7], [5, 4, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))
NewModel = Callable[..., SentimentModel]


@pytest.fixture(scope="module")
def new_model(tmp_path_factory: pytest.TempPathFactory) -> NewModel:
    """Makes models on one tiny encoder, each with a head of its own."""
    folder = make_tiny_encoder(tmp_path_factory.mktemp("encoder"), ["good", "bad", "lamp", "rope"])

    def make(seed: int, *, pooled_layers: int = 2) -> SentimentModel:
        model = load_model(Encoder(name="tiny", folder=folder, sha256="0"), pooled_layers=pooled_layers)
        torch.manual_seed(seed)
        torch.nn.init.normal_(model.head.weight)
        return model

    return make


def folder_of(model: SentimentModel, folder: Path, *, temperature: float) -> Path:
    """What `average_weights` reads of a sealed folder."""
    folder.mkdir()
    save_weights(model, folder)
    description = {
        "labels": ["negative", "neutral", "positive"],
        "max_tokens": 32,
        "temperature": temperature,
        "abstain_below": 0.65,
        "class_stars": [1.5, 3.0, 4.6],
        "mode": "head",
        "encoder": "tiny",
        "encoder_sha256": "0",
        "snapshot_hash": "0",
        "simulated": True,
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    (folder / "model.json").write_text(json.dumps(description))
    return folder


def answers(model: SentimentModel) -> np.ndarray:
    """The logits on two rows."""
    with torch.inference_mode():
        return model(*BATCH).numpy()


def test_the_average_of_heads_is_the_mean_of_calibrated_logits(new_model: NewModel, tmp_path: Path) -> None:
    """Two sealed models and the one just trained: each counts with its logits divided by its temperature."""
    one, two, own = new_model(1), new_model(2), new_model(3)
    expected = (answers(one) / 2 + answers(two) / 0.5 + answers(own) / 4) / 3
    folders = [folder_of(one, tmp_path / "one", temperature=2), folder_of(two, tmp_path / "two", temperature=0.5)]
    assert average_weights(folders, own, own_temperature=4) is AveragedWeights.EXACT
    assert answers(own) == pytest.approx(expected, abs=1e-5)


def test_an_ensemble_is_averaged_by_the_head_it_was_trained_with(new_model: NewModel, tmp_path: Path) -> None:
    """Else the oldest trainings would never leave the average."""
    trained, into = new_model(1), new_model(9)
    folder = folder_of(new_model(2), tmp_path / "ensemble", temperature=3)
    save_own_head(trained, folder, temperature=2)
    average_weights([folder], into)
    assert answers(into) == pytest.approx(answers(trained) / 2, abs=1e-5)


def test_trained_encoders_become_a_soup(new_model: NewModel, tmp_path: Path) -> None:
    """Every weight is the mean of the members' weights, and the answer says that this is no exact ensemble."""
    one, two, into = new_model(1), new_model(2), new_model(3)
    with torch.no_grad():
        one.encoder.embeddings.word_embeddings.weight.add_(1.0)
    folders = [folder_of(model, tmp_path / name, temperature=1) for model, name in ((one, "one"), (two, "two"))]
    wanted = (one.encoder.embeddings.word_embeddings.weight + two.encoder.embeddings.word_embeddings.weight) / 2
    assert average_weights(folders, into) is AveragedWeights.SOUP
    assert torch.allclose(into.encoder.embeddings.word_embeddings.weight, wanted)
    assert torch.allclose(into.head.weight, (one.head.weight + two.head.weight) / 2)


def test_a_model_of_another_shape_is_refused(new_model: NewModel, tmp_path: Path) -> None:
    """The message names the file."""
    folder = folder_of(new_model(1, pooled_layers=1), tmp_path / "one", temperature=1)
    with pytest.raises(ArtifactError, match=r"one/model.safetensors is of another shape"):
        average_weights([folder], new_model(2))


def test_only_versions_that_may_serve_and_saw_other_rows_are_averaged(tmp_path: Path) -> None:
    """Refused ones, unjudged ones, and those of this very snapshot (a first try that was killed) stay out."""
    models = tmp_path / "models"
    kept = [sealed_tiny_model(models, snapshot_hash=str(number) * 64).name for number in (1, 2, 3)]
    refused, own = (sealed_tiny_model(models, snapshot_hash=str(number) * 64).name for number in (4, 5))
    for version in (*kept, refused, own):
        verdict = {"passed": version not in {refused, kept[0]}, "provisional": version == kept[0]}
        sealed_folder.sibling(models, version, "verdict.json").write_text(json.dumps(verdict))
    sealed_tiny_model(models, snapshot_hash="6" * 64)  # nobody has judged it yet

    def found(count: int) -> list[str]:
        return [path.name for path in last_versions(models, count=count, encoder_sha256="0" * 64, but="5" * 64)]

    assert sorted(found(9)) == sorted(kept)
    assert found(2) == found(9)[-2:]
    assert found(0) == []
    assert last_versions(models, count=9, encoder_sha256="another", but="") == ()


def test_a_version_withdrawn_from_service_is_not_averaged(tmp_path: Path) -> None:
    """The gate let it pass and people rolled back from it: an older one takes its place."""
    models = tmp_path / "models"
    for number in (1, 2, 3):
        version = sealed_tiny_model(models, snapshot_hash=str(number) * 64).name
        sealed_folder.sibling(models, version, "verdict.json").write_text('{"passed": true}')

    def found(count: int, *withdrawn: str) -> list[str]:
        kept = last_versions(models, count=count, encoder_sha256="0" * 64, but="", withdrawn=withdrawn)
        return [path.name for path in kept]

    everything = found(3)
    assert found(2) == everything[1:]
    assert found(2, everything[2]) == everything[:2]
