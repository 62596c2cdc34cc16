"""The inference engine on a tiny real artifact: order, calibration, cutting, the probe, and what it refuses."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from restar_lib.domain import Sentiment
from restar_lib.errors import ArtifactError, ProbeFailed
from restar_lib.inference.engine import PIECE, InferenceEngine, tokens
from tests.tiny_model import make_tiny_model

GOOD, BAD = "excellent great lamp", "broken terrible thing"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that knows some words."""
    return make_tiny_model(tmp_path / "rs-0123456789")


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_answers_keep_the_order_of_the_texts(folder: Path) -> None:
    """Batches are sorted by length inside, the answers are not."""
    texts = [f"{GOOD} {'word ' * 30}", BAD, f"{BAD} {'word ' * 20}", GOOD, "a table"]
    predictions = InferenceEngine.load(folder).predict(texts, batch_size=2)
    positive, negative = Sentiment.POSITIVE, Sentiment.NEGATIVE
    assert predictions.sentiments[:4] == (positive, negative, negative, positive)
    assert predictions.confidence[4] == pytest.approx(1 / 3)


def test_the_batch_that_a_text_shares_does_not_change_its_answer(folder: Path) -> None:
    """Padding is masked: alone or beside a long text, the answer is the same."""
    model = InferenceEngine.load(folder)
    together = model.predict([GOOD, f"{BAD} {'broken ' * 40}"]).probabilities[0]
    assert together == pytest.approx(model.predict([GOOD]).probabilities[0], abs=1e-6)


def test_the_temperature_softens_the_probabilities(tmp_path: Path) -> None:
    """A hotter model says the same with less confidence, and rows still sum to one."""
    cold = InferenceEngine.load(make_tiny_model(tmp_path / "cold", temperature=1.0)).predict([GOOD])
    hot = InferenceEngine.load(make_tiny_model(tmp_path / "hot", temperature=4.0)).predict([GOOD])
    assert hot.confidence[0] < cold.confidence[0]
    assert hot.sentiments == cold.sentiments
    assert hot.probabilities.sum() == pytest.approx(1.0)


def test_a_text_longer_than_the_window_is_cut_and_says_so(tmp_path: Path) -> None:
    """What stands beyond the window counts nothing."""
    model = InferenceEngine.load(make_tiny_model(tmp_path / "m", max_tokens=4))
    predictions = model.predict([f"{GOOD} a {'broken ' * 20}", GOOD])
    assert predictions.truncated.tolist() == [True, False]
    assert predictions.sentiments[0] == Sentiment.POSITIVE


def test_no_text_is_no_answer(folder: Path) -> None:
    """An empty list gives empty arrays, not an error; a text without a single token gives a row."""
    model = InferenceEngine.load(folder)
    assert model.predict([]).probabilities.shape == (0, 3)
    assert model.predict([""]).probabilities.sum() == pytest.approx(1.0)


def test_more_texts_than_are_cut_at_once_keep_their_order(folder: Path) -> None:
    """The last text of a piece and the first of the next are answered in their places."""
    texts = [GOOD] * PIECE + [BAD] * 3
    predictions = InferenceEngine.load(folder).predict(texts, batch_size=256)
    assert predictions.classes.tolist() == [2] * PIECE + [0] * 3


def test_encodings_are_held_for_one_piece_of_the_texts_only() -> None:
    """However many texts there are, the tokenizer is asked for a piece at a time, and the ids alone are kept."""
    asked: list[int] = []

    class Counting:
        """Cuts every text into one token, its number."""

        def encode_batch(self, texts: list[str]) -> list[SimpleNamespace]:
            asked.append(len(texts))
            return [SimpleNamespace(ids=[int(text)]) for text in texts]

    ids = tokens(Counting(), [str(number) for number in range(2 * PIECE + 5)])  # type: ignore[arg-type]
    assert next(ids).tolist() == [0]
    assert asked == [PIECE]
    assert [one.tolist() for one in ids] == [[number] for number in range(1, 2 * PIECE + 5)]
    assert asked == [PIECE, PIECE, 5]


def test_expected_stars_follow_the_probabilities(folder: Path) -> None:
    """Certain classes give their mean stars, doubt lies between."""
    stars = InferenceEngine.load(folder).expected_stars(np.array([[1.0, 0, 0], [0, 0, 1.0], [0.5, 0, 0.5]]))
    assert stars == pytest.approx([1.5, 4.6, 3.05])


def test_a_sound_model_passes_its_probe(folder: Path) -> None:
    """The recorded answers are found again."""
    InferenceEngine.load(folder).probe()


def test_a_model_with_other_weights_fails_its_probe(folder: Path, tmp_path: Path) -> None:
    """A network that loads but answers differently is named and refused."""
    other = make_tiny_model(tmp_path / "other", bias=(0.5, 0.0, 0.0))
    (folder / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    with pytest.raises(ProbeFailed, match="rs-0123456789"):
        InferenceEngine.load(folder).probe()


def test_an_empty_probe_proves_nothing(folder: Path) -> None:
    """A probe without answers is a failure, not a pass."""
    edit(folder / "probe.json", texts=[], probabilities=[])
    with pytest.raises(ProbeFailed, match="cannot be answered"):
        InferenceEngine.load(folder).probe()


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "model.json", "probe.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """The person on call learns which file is missing."""
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        InferenceEngine.load(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "model.json"])
def test_a_broken_file_is_named(folder: Path, name: str) -> None:
    """A file of rubbish is refused by name, whatever library notices."""
    (folder / name).write_bytes(b"rubbish")
    with pytest.raises(ArtifactError, match=name):
        InferenceEngine.load(folder)


@pytest.mark.parametrize("change", [{"temperature": None}, {"surprise": 1}, {"labels": ["positive", "negative"]}])
def test_a_description_of_another_kind_of_model_is_refused(folder: Path, change: dict[str, object]) -> None:
    """A missing key, an unknown one, or other classes: never guessed."""
    edit(folder / "model.json", **change)
    with pytest.raises(ArtifactError, match=r"model\.json"):
        InferenceEngine.load(folder)
