"""Which stars a training doubts: those that lie and that nobody has answered, and the file that names their reviews."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from restar_lib.domain import Example, Sentiment, TruthSource, weak_label
from restar_lib.errors import ArtifactError
from restar_lib.label_quality import doubted_labels
from restar_lib.label_quality.doubted_labels import MOST_NAMED, DoubtedLabels, most_doubted
from restar_lib.settings import Settings

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
TURNED = frozenset(range(40, 52))
"""Rows whose text complains under five stars."""
ANSWERED = 45
"""The one of them that a person had read."""
VERSION = "rs-0123456789"
FEW = DoubtedLabels(judged=9, doubted=3, most=(("one", 0.9), ("two", 0.8), ("three", 0.7)))


def rows() -> list[Example]:
    """Two hundred reviews, and one without stars that a person has answered."""
    stars = [5 if row in TURNED else (5, 5, 5, 1, 3)[row % 5] for row in range(200)]
    found = [
        Example(
            review_id=f"r{row}",
            text=f"text {row}",
            truth=weak_label(rating),
            truth_source=TruthSource.STARS,
            weight=1.0,
            rating=rating,
            product_category=None,
            reviewed_at=NOON,
        )
        for row, rating in enumerate(stars)
    ]
    found[ANSWERED] = replace(found[ANSWERED], truth=Sentiment.NEGATIVE, truth_source=TruthSource.PEOPLE)
    feedback = replace(found[0], review_id="feedback", rating=None, truth_source=TruthSource.PEOPLE)
    return [*found, feedback]


def features_of(examples: list[Example]) -> np.ndarray:
    """What the texts express, whatever the stars say."""
    expressed = [0 if row in TURNED else one.truth.position for row, one in enumerate(examples)]
    features = np.random.default_rng(7).normal(size=(len(examples), 8))
    features[np.arange(len(examples)), expressed] += 5
    return features


@pytest.fixture(scope="module")
def found() -> DoubtedLabels:
    """What is doubted of them."""
    examples = rows()
    return most_doubted(examples, features_of(examples), np.ones(len(examples)), seed=1)


def test_stars_that_lie_are_named_and_those_that_a_person_has_answered_are_not(found: DoubtedLabels) -> None:
    """The most doubted first; what has no stars is not judged."""
    named = [review_id for review_id, _ in found.most]
    assert len(named) == found.doubted <= MOST_NAMED
    assert len({f"r{row}" for row in TURNED} & set(named)) >= len(TURNED) - 3
    assert len(named) <= len(TURNED)
    assert f"r{ANSWERED}" not in named
    assert found.judged == 199
    assert [doubt for _, doubt in found.most] == sorted((doubt for _, doubt in found.most), reverse=True)
    assert found.most[0][1] > 0.9


def test_the_same_rows_are_doubted_again(found: DoubtedLabels) -> None:
    """A training that is killed and run again asks about the same reviews."""
    examples = rows()
    assert most_doubted(examples, features_of(examples), np.ones(len(examples)), seed=1) == found


def without(sentiment: Sentiment) -> DoubtedLabels:
    """What is doubted where no review has this truth."""
    examples = rows()
    few = [at for at, one in enumerate(examples) if one.truth is not sentiment]
    return most_doubted([examples[at] for at in few], features_of(examples)[few], np.ones(len(few)), seed=1)


@pytest.mark.parametrize("sentiment", [Sentiment.NEGATIVE, Sentiment.POSITIVE])
def test_a_class_with_too_few_reviews_is_no_failure(sentiment: Sentiment) -> None:
    """Nothing can be said, and it says so: a small training must not fail for it."""
    fewer = without(sentiment)
    assert (fewer.most, fewer.unjudged) == ((), "a class has 0 reviews, too few to say what stars should be")


def test_the_stars_of_likes_and_dislikes_alone_are_judged() -> None:
    """Where no review is neutral there are two classes, and both can be doubted."""
    fewer = without(Sentiment.NEUTRAL)
    assert fewer.unjudged == ""
    assert len({f"r{row}" for row in TURNED} & {review_id for review_id, _ in fewer.most}) >= len(TURNED) - 3


def test_what_is_kept_is_read_again_and_a_version_without_has_none(tmp_path: Path) -> None:
    """Beside the sealed folder; a file that somebody altered is named."""
    FEW.write(tmp_path, VERSION)
    assert doubted_labels.read(tmp_path, VERSION) == FEW
    assert doubted_labels.read(tmp_path, "rs-1111111111") is None
    (tmp_path / f"{VERSION}.doubted.json").write_text('{"judged": "many"}')
    with pytest.raises(ArtifactError, match="delete the file"):
        doubted_labels.read(tmp_path, VERSION)


def test_a_forgotten_review_leaves_the_file_and_the_others_stay(smoke: Settings) -> None:
    """Only where it is named; what cannot be read may hold anything and goes."""
    FEW.write(smoke.models_dir, VERSION)
    assert doubted_labels.shown(smoke) == {"one", "two", "three"}
    assert doubted_labels.forget(smoke, ["elsewhere"]) == 0
    assert doubted_labels.forget(smoke, ["two"]) == 1
    kept = doubted_labels.read(smoke.models_dir, VERSION)
    assert kept is not None
    assert kept.most == (("one", 0.9), ("three", 0.7))
    unreadable = smoke.models_dir / "rs-2222222222.doubted.json"
    unreadable.write_text("{")
    assert doubted_labels.naming(smoke, ["elsewhere"]) == (unreadable,)
    assert doubted_labels.forget(smoke, ["elsewhere"]) == 1
    assert not unreadable.exists()
