"""What a system is worth on rows with a truth, with intervals: the figures that benchmarks of quality share.

Intervals are percentile bootstraps over the test rows (Efron & Tibshirani 1993, chapter 13), 95 %, two-sided; that of
the calibration error is the basic one (`evaluation.intervals`). They say how far other rows of the same kind could move
a figure, not what another seed of the training would. Confidence that is tied (always saying one class is as sure
everywhere) counts with the mean of its rows, so no order flatters anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restar_lib.dataset.arrays import truth_of
from restar_lib.domain import SENTIMENTS, Example
from restar_lib.evaluation import intervals
from restar_lib.evaluation.intervals import basic
from restar_lib.evaluation.metrics import (
    CLASSES,
    Floats,
    Integers,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
)

RESAMPLES = 1000
COVERAGES = (1.0, 0.9, 0.8)
CURVE = tuple(round(0.05 * step, 2) for step in range(1, 21))
SMALLEST_CATEGORY = 100
"""Categories with fewer test rows are counted as one group."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a system says about n texts."""

    classes: Integers
    confidence: Floats
    """Orders the rows from sure to unsure; a probability where `calibrated`."""
    calibrated: bool = True
    """Whether the confidence claims to be a probability."""

    @classmethod
    def of(cls, probabilities: Floats) -> Answers:
        """The answers behind probabilities [n, 3]."""
        return cls(classes=probabilities.argmax(axis=1), confidence=probabilities.max(axis=1))


def figures(truth: Integers, answers: Answers, *, seed: int = 0) -> dict[str, Any]:
    """Each figure with its interval, and the risk-coverage curve."""
    rng = np.random.default_rng(seed)
    drawn = [point(truth, answers, rng.integers(len(truth), size=len(truth))) for _ in range(RESAMPLES)]
    found = point(truth, answers)
    low, high = (np.quantile([list(one.values()) for one in drawn], end, axis=0) for end in (0.025, 0.975))
    intervals = dict(zip(found, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    if answers.calibrated:
        error = basic(found["ece"], [one["ece"] for one in drawn])
        intervals["ece"] = (error.low, error.high)
    return {
        "rows": len(truth),
        "values": {name: round(value, 5) for name, value in found.items()},
        "intervals": {name: [round(end, 5) for end in ends] for name, ends in intervals.items()},
        "curve": [[share, round(covered_accuracy(truth, answers, share), 5)] for share in CURVE],
    }


def point(truth: Integers, answers: Answers, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
    """The figures alone; of some `rows` where they are named."""
    rows = np.arange(len(truth)) if rows is None else rows
    drawn = Answers(classes=answers.classes[rows], confidence=answers.confidence[rows], calibrated=answers.calibrated)
    confusion = confusion_matrix(truth[rows], drawn.classes)
    found = {"accuracy": float(np.trace(confusion) / len(rows)), "macro_f1": float(macro_f1(confusion))}
    recalls = np.diagonal(confusion) / np.maximum(confusion.sum(axis=1), 1)
    found |= {f"recall_{one.value}": float(recalls[one.position]) for one in SENTIMENTS}
    found |= {f"accuracy_{share:.0%}": covered_accuracy(truth[rows], drawn, share) for share in COVERAGES[1:]}
    if answers.calibrated:
        found["ece"] = expected_calibration_error(drawn.confidence, drawn.classes == truth[rows])
    return found


def covered_accuracy(truth: Integers, answers: Answers, coverage: float) -> float:
    """Accuracy on the `coverage` surest share of the rows."""
    right = (answers.classes == truth).astype(np.float64)
    _, group, counts = np.unique(-answers.confidence, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=right) / counts
    return float(means[np.sort(group)[: max(1, round(coverage * len(truth)))]].mean())


def per_category(examples: Sequence[Example], answers: Answers) -> dict[str, dict[str, Any]]:
    """Accuracy with Wilson's interval, macro-F1 and always positive, by category, the largest first."""
    truth = truth_of(examples)
    names = np.array([example.product_category or "none" for example in examples])
    values, counts = np.unique(names, return_counts=True)
    names[np.isin(names, values[counts < SMALLEST_CATEGORY])] = "all smaller ones"
    groups = sorted(set(names.tolist()), key=lambda name: -int((names == name).sum()))
    return {name: _category(truth[names == name], answers.classes[names == name]) for name in groups}


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """The two ends of Wilson's 95 % interval of a share."""
    found = intervals.wilson(hits, rows)
    return found.low, found.high


def _category(truth: Integers, classes: Integers) -> dict[str, Any]:
    confusion = confusion_matrix(truth, classes)
    hits = int(np.trace(confusion))
    return {
        "rows": len(truth),
        "accuracy": round(hits / len(truth), 4),
        "interval": [round(end, 4) for end in wilson(hits, len(truth))],
        "macro_f1": round(float(macro_f1(confusion)), 4),
        "majority": round(float(np.bincount(truth, minlength=CLASSES).max() / len(truth)), 4),
    }
