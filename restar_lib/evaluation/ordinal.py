"""Stars as an order: how far expected stars are from the given ones, and whether they stand in the right order.

Pure functions on arrays [n]. Accuracy of three classes does not distinguish four stars instead of five from one instead
of five; these figures do.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from restar_lib.evaluation.metrics import Floats

MIN_ROWS: Final = 100
"""With fewer rated validation rows the stars of classes are not fitted."""


def mean_absolute_error(stars: Floats, expected: Floats) -> float:
    """How many stars off, on average."""
    return float(np.abs(stars - expected).mean())


def rank_correlation(stars: Floats, expected: Floats) -> float:
    """Spearman's rho in [-1, 1], ties at their mean rank; 0 where one side is constant."""
    from scipy.stats import rankdata

    if len(stars) < 2 or np.ptp(stars) == 0 or np.ptp(expected) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(stars), rankdata(expected))[0, 1])


def rank_agreement(stars: Floats, expected: Floats) -> float:
    """Kendall's tau-b in [-1, 1]: of pairs of reviews with other stars, how many more are in the right order than not.

    Corrected for ties; 0 where one side is constant.
    """
    from scipy.stats import kendalltau

    if len(stars) < 2 or np.ptp(stars) == 0 or np.ptp(expected) == 0:
        return 0.0
    return float(kendalltau(stars, expected, variant="b").statistic)


def stars_of_classes(probabilities: Floats, stars: Floats, *, means: Floats) -> Floats:
    """The stars of each class, [3], that make `probabilities @ stars_of_classes` come nearest to `stars` [n].

    Least squares on rows that were not trained on: the mean stars of each class (`means`, [3]) would be right for a
    model that is always certain, and are too extreme for one that is not. Held to [1, 5] and to the order of the
    classes; with fewer than `MIN_ROWS` rows, or of fewer than three values, the means stay.
    """
    if len(stars) < MIN_ROWS or len(np.unique(stars)) < len(means):
        return means
    # A pull towards the means of a hundredth of the rows keeps a class that is never said where it was.
    pull = np.sqrt(len(stars) / 100) * np.eye(len(means))
    found = np.linalg.lstsq(np.vstack([probabilities, pull]), np.concatenate([stars, pull @ means]), rcond=None)[0]
    return np.asarray(np.maximum.accumulate(np.clip(found, 1.0, 5.0)))
