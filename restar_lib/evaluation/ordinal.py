"""Stars as an order: how far expected stars are from the given ones, and whether they stand in the right order.

Pure functions on arrays [n]. Accuracy of three classes does not see that four stars instead of five is a smaller
mistake than one; these do.
"""

from __future__ import annotations

import numpy as np

from restar_lib.evaluation.metrics import Floats


def mean_absolute_error(stars: Floats, expected: Floats) -> float:
    """How many stars off, on average."""
    return float(np.abs(stars - expected).mean())


def rank_correlation(stars: Floats, expected: Floats) -> float:
    """Spearman's rho in [-1, 1], ties at their mean rank; 0 where one side never changes (it orders nothing)."""
    from scipy.stats import rankdata

    if len(stars) < 2 or np.ptp(stars) == 0 or np.ptp(expected) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(stars), rankdata(expected))[0, 1])


def rank_agreement(stars: Floats, expected: Floats) -> float:
    """Kendall's tau-b in [-1, 1]: of pairs of reviews with other stars, how many more are in the right order than not.

    Ties are made up for; 0 where one side never changes.
    """
    from scipy.stats import kendalltau

    if len(stars) < 2 or np.ptp(stars) == 0 or np.ptp(expected) == 0:
        return 0.0
    return float(kendalltau(stars, expected, variant="b").statistic)
