"""Expected stars beside given ones: how far off, and in which order."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from restar_lib.evaluation.ordinal import mean_absolute_error, rank_agreement, rank_correlation, stars_of_classes

STARS = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 5.0])


def test_stars_off_are_averaged() -> None:
    """One star off in two of six rows."""
    assert mean_absolute_error(STARS, np.array([1, 3, 3, 4, 5, 4.0])) == pytest.approx(2 / 6)


def test_the_order_counts_and_not_the_distance() -> None:
    """Right order on another scale is perfect, turned round it is the worst; a constant orders nothing."""
    for correlation in (rank_correlation, rank_agreement):
        assert correlation(STARS, STARS**3 + 7) == pytest.approx(1)
        assert correlation(STARS, -STARS) == pytest.approx(-1)
        assert correlation(STARS, np.ones(6)) == 0


def test_ties_are_ranked_as_others_rank_them() -> None:
    """Reviews share five values of stars: the same figure as SciPy's."""
    rng = np.random.default_rng(3)
    stars, expected = rng.integers(1, 6, size=200).astype(float), rng.normal(size=200).round(1)
    assert rank_correlation(stars, expected) == pytest.approx(spearmanr(stars, expected).statistic)


def test_stars_of_classes_make_up_for_a_model_that_hedges() -> None:
    """A model that says 80 % where it is always right is as good as a sure one; the order of the classes stays."""
    means, truth = np.array([1.5, 3.0, 4.7]), np.arange(300) % 3
    stars = means[truth]
    hedging = np.full((300, 3), 0.1) + 0.7 * np.eye(3)[truth]
    fitted = stars_of_classes(hedging, stars, means=means)
    assert mean_absolute_error(stars, np.clip(hedging @ fitted, 1, 5)) < 0.2
    assert mean_absolute_error(stars, hedging @ means) > 0.25
    assert (np.diff(fitted) >= 0).all()
    assert fitted.min() >= 1
    assert fitted.max() <= 5


def test_few_rows_or_one_kind_of_stars_change_nothing() -> None:
    """The means stay, whatever is said."""
    means = np.array([1.5, 3.0, 4.7])
    even = np.full((300, 3), 1 / 3)
    assert (stars_of_classes(even[:50], np.ones(50), means=means) == means).all()
    assert (stars_of_classes(even, np.full(300, 5.0), means=means) == means).all()
