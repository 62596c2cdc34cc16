"""Abstention: what the configured threshold gives, and which threshold reaches a target accuracy.

The target's threshold is chosen on the validation rows and its accuracy measured on the test rows: chosen on the same
rows the accuracy would be too optimistic. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.evaluation.curves import aurc, best_aurc, risk_coverage, rows_at, thinned, threshold_for
from restar_lib.evaluation.intervals import Measure, over_rows, wilson
from restar_lib.evaluation.metrics import Floats
from restar_lib.evaluation.report_contents import Abstention, CoveragePoint, Curve

COVERAGES: Final = (1.0, 0.9, 0.8)
POINTS: Final = 200


@dataclass(frozen=True, kw_only=True)
class ConfidenceAndTruth:
    """How sure a model was of each row, and whether it was right, [n]."""

    confidence: Floats
    right: NDArray[np.bool_]


def abstention(
    test: ConfidenceAndTruth,
    validation: ConfidenceAndTruth,
    *,
    below: float,
    target: float,
    resamples: int,
    rng: np.random.Generator,
) -> Abstention:
    """Everything about abstaining below a confidence of `below`, and about reaching accuracy `target`."""
    curve = risk_coverage(test.confidence, test.right)
    x, y = thinned(curve.coverage, curve.risk, points=POINTS)
    threshold = threshold_for(validation.confidence, validation.right, target=target)
    reached = None if threshold is None else _answered(test, at_least=threshold)
    answered, withheld = _answered(test, at_least=below), test.right[test.confidence < below]
    return Abstention(
        below=below,
        coverage=_coverage(test, at_least=below),
        answered=answered,
        withheld=wilson(int(withheld.sum()), len(withheld)) if len(withheld) else None,
        curve=Curve(name="risk", x=x, y=y),
        area=_area(test, resamples=resamples, rng=rng),
        area_best=best_aurc(test.right),
        at=tuple(_point(test, coverage) for coverage in COVERAGES),
        target=target,
        target_threshold=threshold,
        target_coverage=None if threshold is None else _coverage(test, at_least=threshold),
        target_accuracy=reached,
    )


def _point(test: ConfidenceAndTruth, coverage: float) -> CoveragePoint:
    order = np.argsort(-test.confidence, kind="stable")[: rows_at(coverage, len(test.right))]
    return CoveragePoint(
        coverage=coverage,
        threshold=float(test.confidence[order[-1]]),
        accuracy=wilson(int(test.right[order].sum()), len(order)),
    )


def _coverage(test: ConfidenceAndTruth, *, at_least: float) -> Measure:
    return wilson(int((test.confidence >= at_least).sum()), len(test.confidence))


def _answered(test: ConfidenceAndTruth, *, at_least: float) -> Measure | None:
    answered = test.right[test.confidence >= at_least]
    return wilson(int(answered.sum()), len(answered)) if len(answered) else None


def _area(test: ConfidenceAndTruth, *, resamples: int, rng: np.random.Generator) -> Measure:
    found = over_rows(
        lambda at: aurc(test.confidence[at], test.right[at]), len(test.right), resamples=resamples, rng=rng
    )
    if found is None:
        raise ValueError("the area is defined for any row")
    return found
