"""Confident learning on features whose truth is known: it finds the labels that were turned, and touches no others."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from restar_lib.label_quality.confident_learning import doubt, doubt_weights, out_of_sample


class Rows(NamedTuple):
    """Labels, of which some were turned."""

    features: NDArray[np.float64]
    given: NDArray[np.int64]
    turned: NDArray[np.bool_]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """600 rows of a skewed mix, whose features know the truth; one label in ten was turned."""
    rng = np.random.default_rng(4)
    truth = rng.choice(3, p=[0.2, 0.15, 0.65], size=600)
    features = rng.normal(size=(600, 20))
    features[np.arange(600), truth] += 4
    turned = rng.random(600) < 0.1
    given = np.where(turned, (truth + rng.integers(1, 3, size=600)) % 3, truth)
    return Rows(features, given, turned)


def test_turned_labels_are_doubted_and_others_are_not(rows: Rows) -> None:
    """Nine in ten of the doubted labels are wrong, and most of the wrong ones are doubted."""
    found = doubt(rows.features, rows.given, np.ones(600), seed=1)
    assert rows.turned[found.doubted].mean() > 0.9
    assert found.doubted[rows.turned].mean() > 0.7
    assert found.quality[rows.turned].mean() < 0.3
    assert found.quality[~rows.turned].mean() > 0.7


def test_the_same_rows_are_doubted_again(rows: Rows) -> None:
    """Same rows, same seed: same numbers, to the last bit."""
    first, second = (doubt(rows.features, rows.given, np.ones(600), seed=1) for _ in range(2))
    assert np.array_equal(first.quality, second.quality)


def test_doubted_stars_weigh_less_and_people_never_do(rows: Rows) -> None:
    """No weight grows, none vanishes, and what people said keeps its own."""
    weights, people = np.full(600, 2.0), np.arange(600) < 300
    found = doubt_weights(rows.features, rows.given, weights, people, seed=1)
    assert np.array_equal(found[people], weights[people])
    assert found[~people & rows.turned].mean() < 1.5
    assert (found > 0).all()
    assert (found <= weights).all()


def test_no_row_is_judged_by_a_model_that_has_seen_its_label(rows: Rows) -> None:
    """Labels of pure chance cannot be answered better than by chance."""
    chance = np.random.default_rng(5).permutation(np.arange(600) % 3)
    answers = out_of_sample(rows.features, chance, np.ones(600), folds=5, seed=1)
    assert answers.sum(axis=1) == pytest.approx(1)
    assert (answers.argmax(axis=1) == chance).mean() < 0.45


def test_too_few_rows_of_a_class_leave_every_weight_alone(rows: Rows) -> None:
    """A class that cannot be in every fold: nothing can be said, so nothing changes."""
    given = np.where(np.arange(600) < 3, 1, 2 * (rows.given > 0))
    assert np.array_equal(doubt_weights(rows.features, given, np.ones(600), np.zeros(600, bool), seed=1), np.ones(600))
    with pytest.raises(ValueError, match="3 rows, too few for 5 folds"):
        doubt(rows.features, given, np.ones(600), seed=1)


def test_a_dead_feature_says_nothing(rows: Rows) -> None:
    """The rounding of a feature that does not vary must not become as loud as a real one."""
    dead = np.where(rows.given[:, None] == 0, 1e-32, 0.0) * np.ones(20)
    chance = np.random.default_rng(6).normal(size=(600, 21))
    answers = [
        out_of_sample(np.hstack([chance, last]), rows.given, np.ones(600), folds=5, seed=1)
        for last in (dead, np.zeros((600, 20)))
    ]
    assert answers[0] == pytest.approx(answers[1], abs=1e-6)


@pytest.mark.parametrize("kind", [np.int64, np.str_])
def test_rows_of_one_group_are_never_on_both_sides(kind: type[np.int64 | np.str_]) -> None:
    """Five copies of each row, labels of chance: without groups they are known by heart, with them not."""
    rng = np.random.default_rng(7)
    review = np.repeat(np.arange(120), 5)
    features, truth = rng.normal(size=(120, 60))[review], rng.permutation(np.arange(120) % 3)[review]
    weights, people = np.ones(600), np.zeros(600, dtype=bool)
    alone = out_of_sample(features, truth, weights, folds=5, seed=1)
    together = out_of_sample(features, truth, weights, folds=5, seed=1, groups=review.astype(kind))
    assert (alone.argmax(axis=1) == truth).mean() > 0.6
    assert (together.argmax(axis=1) == truth).mean() < 0.45
    few = np.where(review < 2, review, 2)  # two classes of one review each
    assert np.array_equal(doubt_weights(features, few, weights, people, seed=1, groups=review), weights)
    with pytest.raises(ValueError, match="1 groups, too few for 5 folds"):
        out_of_sample(features, few, weights, folds=5, seed=1, groups=review)
