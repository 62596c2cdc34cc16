"""Expected stars against the stars that customers gave: how far off, and whether in the right order. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restar_lib.domain import Example
from restar_lib.evaluation.intervals import over_rows
from restar_lib.evaluation.metrics import Floats
from restar_lib.evaluation.ordinal import mean_absolute_error, rank_correlation
from restar_lib.evaluation.report_contents import StarsFigures

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
    if len(set(stars)) < 2:
        return None
    error = over_rows(lambda at: mean_absolute_error(stars[at], ours[at]), len(stars), resamples=few, rng=rng)
    order = over_rows(lambda at: rank_correlation(stars[at], ours[at]), len(stars), resamples=few, rng=rng)
    if error is None or order is None:
        raise ValueError("both are defined for any row")
    return StarsFigures(
        rows=len(stars),
        mean_absolute_error=error,
        rank_correlation=order,
        baseline=float(np.abs(stars - np.median(stars)).mean()),
    )
