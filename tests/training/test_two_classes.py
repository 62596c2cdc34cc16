"""A source that knows likes and dislikes alone: every mode learns two classes, and says so in the model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restar_lib.artifacts import sealed_folder
from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import Example, Sentiment, Side, TruthSource
from restar_lib.errors import SnapshotError
from restar_lib.inference.engine import InferenceEngine, ModelInfo
from restar_lib.settings import Settings
from tests.training.conftest import NOON, TONES, Trained, trained, with_training

TWO = ("negative", "positive")
OKAY = "it is an okay lamp and an ordinary thing"


def kept(snapshot: Snapshot, folder: Path, *sentiments: Sentiment) -> Snapshot:
    """The snapshot with the reviews of these sentiments alone."""
    rows = {side: [row for row in snapshot.examples(side) if row.truth in sentiments] for side in Side}
    return load(write_folder(folder, rows, now=NOON))


@pytest.fixture(scope="session")
def two(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Negative and positive reviews."""
    return kept(snapshot, tmp_path_factory.mktemp("two"), Sentiment.NEGATIVE, Sentiment.POSITIVE)


@pytest.fixture(scope="session")
def likes(two: Snapshot, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of the cheap mode that learned from them."""
    return trained(two, settings, sealed_folder.new_work_folder(tmp_path_factory.mktemp("models")))


def asked(snapshot: Snapshot) -> list[str]:
    """Texts that nobody has learned from, one of them neutral."""
    return [OKAY, *(row.text for row in snapshot.examples(Side.TEST))]


def test_likes_and_dislikes_are_learned_and_neutral_is_never_said(two: Snapshot, likes: Trained) -> None:
    """The contract stays three probabilities; that of neutral is practically 0, also for a text that is neutral."""
    model, lines = likes
    assert "no training row is neutral: it learns negative and positive alone" in lines
    engine = InferenceEngine.load(model.folder)
    engine.probe()
    found = engine.predict(asked(two)).probabilities
    assert found.shape[1] == 3
    assert found[:, 1].max() < 1e-4
    assert model.validation.accuracy > model.validation.majority_accuracy + 0.1
    assert ModelInfo.read(model.folder).learned == TWO
    assert engine.expected_stars(np.eye(3)) == pytest.approx([1, 3, 5])


def test_the_doubted_stars_of_two_classes_are_judged(two: Snapshot, likes: Trained) -> None:
    """A class that no star stands for is no reason to judge none."""
    assert (likes[0].doubted.judged, likes[0].doubted.unjudged) == (two.train_rows, "")


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "fine_tune", "epochs": 1},
        {"mode": "lora", "epochs": 1},
        {"sentences": True, "doubt_stars": True},
        {"imbalance": "logit_adjustment", "class_weight_power": 1.0},
    ],
)
def test_every_way_to_train_knows_two_classes(
    two: Snapshot,
    settings: Settings,
    tmp_path: Path,
    changes: dict[str, object],
) -> None:
    """Calibrated, exported and probed like any other; neutral stays practically impossible."""
    model, _ = trained(two, with_training(settings, **changes), tmp_path / "work")
    engine = InferenceEngine.load(model.folder)
    engine.probe()
    found = engine.predict(asked(two)).probabilities
    assert np.isfinite(found).all()
    assert found[:, 1].max() < 1e-4
    assert model.validation.accuracy > model.validation.majority_accuracy


def labeled_neutral(two: Snapshot, folder: Path) -> Snapshot:
    """People call ten more reviews neutral."""
    rows = {side: list(two.examples(side)) for side in Side}
    old, (_, tone) = rows[Side.TRAIN][0], TONES[Sentiment.NEUTRAL]
    rows[Side.TRAIN] += [people_say_neutral(old, f"it is an {tone[at % 4]} lamp number {at}", at) for at in range(10)]
    return load(write_folder(folder, rows, now=NOON))


def people_say_neutral(like: Example, text: str, number: int) -> Example:
    """A review that people read as neutral."""
    neutral, people = Sentiment.NEUTRAL, TruthSource.PEOPLE
    return replace(like, review_id=f"n{number}", text=text, truth=neutral, truth_source=people, weight=20.0)


@pytest.mark.parametrize("mode", ["head", "increment"])
def test_once_people_say_neutral_the_next_training_learns_it(
    two: Snapshot,
    settings: Settings,
    likes: Trained,
    tmp_path: Path,
    mode: str,
) -> None:
    """A new head and one that is only moved: both give neutral a probability again, and say that they know it."""
    at_home = settings.model_copy(update={"home": tmp_path})
    write_folder(at_home.snapshots_dir, {side: two.examples(side) for side in Side}, now=NOON)
    newer = labeled_neutral(two, at_home.snapshots_dir)
    model, _ = trained(newer, with_training(at_home, mode=mode), tmp_path / "new", champion_folder=likes[0].folder)
    assert (model.info.learned, model.info.rated) == (("negative", "neutral", "positive"), TWO)
    assert model.validation.absent == ("neutral",)  # learned, and no held-out review to measure it on
    said = InferenceEngine.load(model.folder).predict([OKAY]).probabilities
    assert said[0, 1] > 0.2


def test_an_increment_of_two_classes_stays_one(
    two: Snapshot,
    settings: Settings,
    likes: Trained,
    tmp_path: Path,
) -> None:
    """Fresh likes and dislikes move the head, and neutral stays where it was."""
    at_home = settings.model_copy(update={"home": tmp_path})
    rows = {side: list(two.examples(side)) for side in Side}
    write_folder(at_home.snapshots_dir, rows, now=NOON)
    rows[Side.TRAIN][0] = replace(rows[Side.TRAIN][0], truth=Sentiment.NEGATIVE, truth_source=TruthSource.PEOPLE)
    newer = load(write_folder(at_home.snapshots_dir, rows, now=NOON))
    moved, _ = trained(
        newer, with_training(at_home, mode="increment"), tmp_path / "new", champion_folder=likes[0].folder
    )
    assert moved.info.learned == TWO
    assert InferenceEngine.load(moved.folder).predict(asked(two)).probabilities[:, 1].max() < 1e-4


def test_two_classes_are_not_averaged_with_three(
    two: Snapshot,
    snapshot: Snapshot,
    settings: Settings,
    tmp_path: Path,
) -> None:
    """An ensemble takes versions of the same classes alone: an older one of two would keep neutral impossible."""
    at_home = settings.model_copy(update={"home": tmp_path})
    at_home.models_dir.mkdir()
    work = sealed_folder.new_work_folder(at_home.models_dir)
    older = sealed_folder.seal(trained(two, at_home, work)[0].folder, at_home.models_dir)
    sealed_folder.sibling(at_home.models_dir, older, "verdict.json").write_text('{"passed": true}')
    pair = with_training(at_home, ensemble=2)
    _, alone = trained(snapshot, pair, tmp_path / "three")
    assert not any("averaged" in line for line in alone)
    fewer = {side: list(two.examples(side)) for side in Side}
    fewer[Side.TRAIN] = fewer[Side.TRAIN][:-9]
    both, lines = trained(load(write_folder(tmp_path / "fewer", fewer, now=NOON)), pair, tmp_path / "two")
    assert f"averaged with {older} (exact)" in lines
    assert InferenceEngine.load(both.folder).predict(asked(two)).probabilities[:, 1].max() < 1e-4


@pytest.mark.parametrize(
    ("sentiment", "missing"),
    [(Sentiment.POSITIVE, "negative or neutral"), (Sentiment.NEGATIVE, "neutral or positive")],
)
def test_one_class_alone_is_refused(
    snapshot: Snapshot,
    settings: Settings,
    tmp_path: Path,
    sentiment: Sentiment,
    missing: str,
) -> None:
    """Nothing can be told apart then."""
    few = with_training(settings, min_train_rows=1)
    with pytest.raises(SnapshotError, match=f"no training row is {missing}: ingest more reviews, or label some"):
        trained(kept(snapshot, tmp_path / "one", sentiment), few, tmp_path / "work")
