"""Opening a sealed model: verified, loaded and probed, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.model_loading import load_verified
from restar_lib.domain import Sentiment
from restar_lib.errors import ArtifactError, ProbeFailed
from tests.tiny_model import make_tiny_model, sealed_tiny_model


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder that does not exist yet."""
    return tmp_path / "models"


def test_a_whole_model_comes_back_ready_to_answer(models: Path) -> None:
    """It is the version that the folder's name says."""
    folder = sealed_tiny_model(models)
    model = load_verified(folder, threads=1)
    assert model.version == folder.name
    assert model.predict(["an excellent lamp"]).sentiments == (Sentiment.POSITIVE,)


@pytest.mark.parametrize("name", [*sealed_folder.REQUIRED, sealed_folder.MANIFEST])
def test_a_damaged_model_is_refused_by_the_name_of_its_file(models: Path, name: str) -> None:
    """Also where the file is one that the engine would not read."""
    folder = sealed_tiny_model(models)
    (folder / name).write_bytes((folder / name).read_bytes()[:-2] + b"x")
    with pytest.raises(ArtifactError, match=f"file {name} was altered"):
        load_verified(folder)


def test_a_model_that_answers_otherwise_than_recorded_is_refused(models: Path) -> None:
    """Its files are as sealed, so only asking it shows that this machine gives other answers."""
    work = make_tiny_model(sealed_folder.new_work_folder(models))
    probe = json.loads((work / "probe.json").read_text())
    (work / "probe.json").write_text(json.dumps(probe | {"texts": probe["texts"][::-1]}))
    folder = models / sealed_folder.seal(work, models)
    sealed_folder.verify(folder)
    with pytest.raises(ProbeFailed, match=folder.name):
        load_verified(folder)


def test_a_sealed_file_that_is_no_network_is_refused(models: Path) -> None:
    """Whole by its manifest, and still nothing that can be loaded."""
    work = make_tiny_model(sealed_folder.new_work_folder(models))
    (work / "model.onnx").write_bytes(b"no network")
    folder = models / sealed_folder.seal(work, models)
    with pytest.raises(ArtifactError, match=r"model.onnx: not a model that ONNX Runtime can load"):
        load_verified(folder)


def test_an_unknown_folder_is_refused(models: Path) -> None:
    """The message names it and says what to do."""
    with pytest.raises(ArtifactError, match=r"model rs-0123456789: file manifest.json is missing; restore the folder"):
        load_verified(models / "rs-0123456789")
