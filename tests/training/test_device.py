"""A training reads its rows where it computes: network and batches are on one device, and the rest is on the CPU."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - it looks where the tensors of a network are

from restar_lib.domain import Example, Sentiment, Side, TruthSource
from restar_lib.settings import TrainingSettings
from restar_lib.training.encoder import find_encoder
from restar_lib.training.fine_tuning.trainer import trainer_arguments
from restar_lib.training.learner import Learner
from restar_lib.training.network import SentimentModel, load_model, load_tokenizer, training_device
from tests.tiny_encoder import make_tiny_encoder

META = torch.device("meta")
"""A second device on every machine. It follows shapes and refuses operands of another device; it computes no values."""
WORDS = {Sentiment.NEGATIVE: (1, "awful"), Sentiment.NEUTRAL: (3, "okay"), Sentiment.POSITIVE: (5, "great")}


@pytest.fixture
def config(tmp_path: Path) -> TrainingSettings:
    """A tiny encoder."""
    encoder = make_tiny_encoder(tmp_path / "encoder", ["it", "is", *(word for _, word in WORDS.values())])
    return TrainingSettings(encoder=str(encoder), max_tokens=16, mode="head")


def rows(count: int) -> list[Example]:
    """Reviews whose tone is in one word."""
    made = []
    for number in range(count):
        truth = list(WORDS)[number % 3]
        rating, word = WORDS[truth]
        made.append(
            Example(
                review_id=f"r{number}", text=f"it is {word}", truth=truth, truth_source=TruthSource.STARS, weight=1.0,
                rating=rating, product_category=None, reviewed_at=datetime(2026, 3, 4, tzinfo=UTC) + timedelta(number),
            )
        )  # fmt: skip
    return made


def watched(config: TrainingSettings, device: torch.device | None) -> tuple[SentimentModel, Learner, set[str]]:
    """A learner, and where weights and batches were in every forward pass; the set is filled as it runs."""
    encoder = find_encoder(config.encoder)
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)
    seen: set[str] = set()

    def look(module: torch.nn.Module, _: object, batch: dict[str, torch.Tensor]) -> None:
        read = [value for value in batch.values() if isinstance(value, torch.Tensor)]
        seen.update(tensor.device.type for tensor in (*module.parameters(), *module.buffers(), *read))

    model.encoder.register_forward_pre_hook(look, with_kwargs=True)
    return model, Learner(model, tokenizer, config, progress=lambda _: None, device=device), seen


def learn(learner: Learner, folder: Path) -> object:
    """Read the training rows, and fit the head."""
    return learner.learn({Side.TRAIN: rows(90), Side.VALIDATION: rows(30)}, checkpoints=folder)


def calibrate(learner: Learner, _: Path) -> object:
    """Read the validation rows."""
    return learner.calibrate(rows(30))


@pytest.mark.parametrize("step", [learn, calibrate])
def test_rows_are_read_on_the_device_of_the_training(
    config: TrainingSettings, tmp_path: Path, step: Callable[[Learner, Path], object]
) -> None:
    """Weights and batches alike; only the values, which this device has not, cannot be taken from it."""
    _, learner, seen = watched(config, META)
    with pytest.raises(NotImplementedError, match="meta tensor"):
        step(learner, tmp_path)
    assert seen == {"meta"}


def test_the_network_is_on_the_cpu_when_its_head_is_fitted_and_exported(
    config: TrainingSettings, tmp_path: Path
) -> None:
    """Whatever device read the rows: here the one that a training takes by itself."""
    model, learner, seen = watched(config, None)
    learn(learner, tmp_path)
    logits, temperature = learner.calibrate(rows(30))
    assert seen == {training_device().type}
    assert {one.device.type for one in model.parameters()} == {"cpu"}
    assert np.isfinite(logits).all()
    assert temperature > 0


def test_a_training_takes_the_gpu_where_there_is_one(config: TrainingSettings, tmp_path: Path) -> None:
    """The Trainer takes the same."""
    assert training_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert trainer_arguments(tmp_path, rows=90, config=config).device.type == training_device().type


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_reads_what_the_cpu_reads(config: TrainingSettings) -> None:
    """To the rounding of float32."""
    read = [watched(config, torch.device(name))[1].calibrate(rows(30))[0] for name in ("cuda", "cpu")]
    assert np.abs(read[0] - read[1]).max() < 1e-4
