"""Expected stars beside given ones: how far off, and in which order."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from restar_lib.evaluation.ordinal import mean_absolute_error, rank_agreement, rank_correlation

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
