"""Temperature scaling: makes a confidence of 0.9 mean right nine times in ten.

One number, fitted on the validation rows (the natural class mix, never rows that were selected for being doubtful). It
changes no decision of the model, only how sure it says it is (Guo et al. 2017, "On Calibration of Modern Neural
Networks", section 4.2).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.evaluation.metrics import log_loss
from restar_lib.scoring.engine import softmax

COLDEST: Final = 0.2
HOTTEST: Final = 10.0
"""Bounds of the search; a temperature at a bound means that the model or the rows are broken."""


def fit_temperature(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The temperature that minimises the log loss of `softmax(logits / temperature)`, [n, 3], on `truth` [n], n > 0."""
    from scipy.optimize import minimize_scalar

    # The loss is convex in 1 / temperature, and the search in its logarithm treats hot and cold alike.
    found = minimize_scalar(
        lambda logarithm: log_loss(truth, softmax(logits / np.exp(logarithm))),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    return float(np.exp(found.x))
