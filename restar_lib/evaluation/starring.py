"""Expected stars against the stars that customers gave: how far off, and whether in the right order. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restar_lib.domain import Example
from restar_lib.evaluation.intervals import over_rows
from restar_lib.evaluation.metrics import Floats
from restar_lib.evaluation.report import StarsFigures

MOST_RESAMPLES = 200
"""Each one ranks all rows anew."""


def stars_figures(
    expected: Floats, rows: Sequence[Example], *, resamples: int, rng: np.random.Generator
) -> StarsFigures | None:
    """Figures of `expected` [n] against the stars of `rows` [n]; None where fewer than two values of stars occur."""
    rated = np.array([row.rating is not None for row in rows])
    stars = np.array([row.rating for row in rows if row.rating is not None], dtype=np.float64)
    ours = expected[rated]
    few = min(resamples, MOST_RESAMPLES)
    error = over_rows(lambda at: float(np.abs(ours[at] - stars[at]).mean()), len(stars), resamples=few, rng=rng)
    order = over_rows(lambda at: _spearman(ours[at], stars[at]), len(stars), resamples=few, rng=rng)
    if len(stars) == 0 or error is None or order is None:
        return None
    return StarsFigures(
        rows=len(stars),
        mean_absolute_error=error,
        rank_correlation=order,
        baseline=float(np.abs(stars - np.median(stars)).mean()),
    )


def _spearman(ours: Floats, stars: Floats) -> float | None:
    from scipy.stats import rankdata

    if len(stars) < 2 or np.ptp(ours) == 0 or np.ptp(stars) == 0:
        return None
    return float(np.corrcoef(rankdata(ours), rankdata(stars))[0, 1])
