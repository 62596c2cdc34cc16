"""Temperature scaling, so that predictions with confidence 0.9 are right nine times in ten.

One number, fitted on the validation rows (the natural class mix, never rows that were selected for being doubtful). It
changes no predicted class, only the confidence (Guo et al. 2017, "On Calibration of Modern Neural Networks", section
4.2).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.evaluation.metrics import log_loss
from restar_lib.inference.engine import softmax

logger = logging.getLogger(__name__)

COLDEST: Final = 0.2
HOTTEST: Final = 10.0
"""Bounds of the search; a temperature at a bound means that the model or the rows are broken."""
AT_BOUND: Final = 0.01
"""The search ends this near to a bound, as a share of it, where it wanted to go on."""


def fit_temperature(
    logits: NDArray[np.float64], truth: NDArray[np.int64], *, progress: Callable[[str], None] = logger.warning
) -> float:
    """The temperature that minimises the log loss of `softmax(logits / temperature)`, [n, 3], on `truth` [n], n > 0.

    Where it stops at a bound, `progress` gets a warning: the confidences of such a model are unreliable.
    """
    from scipy.optimize import minimize_scalar

    # The loss is convex in 1 / temperature, and the search in its logarithm treats hot and cold alike.
    found = minimize_scalar(
        lambda logarithm: log_loss(truth, softmax(logits / np.exp(logarithm))),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    temperature = float(np.exp(found.x))
    if temperature < COLDEST * (1 + AT_BOUND):
        progress(
            f"temperature {temperature:.2f} is the lowest allowed: the model is hardly ever wrong on these"
            f" {len(truth):,} validation rows (few, easy, or learned from already), so its confidences will be too high"
        )
    elif temperature > HOTTEST * (1 - AT_BOUND):
        progress(
            f"temperature {temperature:.2f} is the highest allowed: the model is no better than chance on these"
            f" {len(truth):,} validation rows, so it will abstain from nearly every review"
        )
    return temperature
