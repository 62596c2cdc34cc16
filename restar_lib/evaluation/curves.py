"""Curves of a classifier with confidences: ROC, reliability, and risk against coverage.

Pure functions on arrays, classes and probabilities as in `metrics`. It computes no interval, draws nothing, and knows
no configured threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.evaluation.metrics import CLASSES, ECE_BINS, Floats, Integers

FEWEST_ANSWERED: Final = 50
"""A threshold that answers fewer rows than this says nothing about accuracy."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Rows whose confidence lies in (low, high]."""

    low: float
    high: float
    rows: int
    hits: int
    confidence: float
    """Mean confidence of these rows."""


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """Rows in the order of falling confidence: the share that is answered, and the share of errors among it."""

    coverage: Floats
    risk: Floats
    confidence: Floats
    """Of the last row that is answered at this coverage."""


def roc_auc(truth: Integers, probabilities: Floats) -> tuple[float | None, ...]:
    """For each class against the rest: the chance that a row of the class gets the larger probability, [3].

    The rank statistic (Hanley & McNeil 1982), ties count a half; None where all rows or none are of the class. It is
    computed from scipy's ranks: a report's bootstrap calls it thousands of times, and scikit-learn's function gives the
    same value in four times the time or more.
    """
    from scipy.stats import rankdata

    ranks = rankdata(probabilities, axis=0)
    found: list[float | None] = []
    for position in range(CLASSES):
        of_class = truth == position
        ours, others = int(of_class.sum()), int((~of_class).sum())
        above = float(ranks[of_class, position].sum()) - ours * (ours + 1) / 2
        found.append(above / (ours * others) if ours and others else None)
    return tuple(found)


def mean_of(areas: Sequence[float | None]) -> float | None:
    """The plain mean over the classes that have an area; None where none has."""
    defined = [one for one in areas if one is not None]
    return float(np.mean(defined)) if defined else None


def roc_curve(truth: Integers, probabilities: Floats, position: int) -> tuple[Floats, Floats]:
    """False and true positive rates of one class against the rest, from (0, 0) to (1, 1).

    Some rows must be of the class, and some not.
    """
    from sklearn.metrics import roc_curve as of_scores

    alarms, hits, _ = of_scores(truth == position, probabilities[:, position], drop_intermediate=False)
    return alarms, hits


def reliability(confidence: Floats, right: Bools) -> tuple[Bin, ...]:
    """The bins of the calibration error that hold any row, as `metrics.expected_calibration_error` makes them."""
    place = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    return tuple(
        Bin(
            low=number / ECE_BINS,
            high=(number + 1) / ECE_BINS,
            rows=int((place == number).sum()),
            hits=int(right[place == number].sum()),
            confidence=float(confidence[place == number].mean()),
        )
        for number in range(ECE_BINS)
        if (place == number).any()
    )


def risk_coverage(score: Floats, right: Bools) -> RiskCoverage:
    """Answer the rows with the largest `score` first (El-Yaniv & Wiener 2010). Ties keep their order."""
    order = np.argsort(-score, kind="stable")
    answered = np.arange(1, len(score) + 1)
    return RiskCoverage(
        coverage=answered / len(score), risk=np.cumsum(~right[order]) / answered, confidence=np.asarray(score)[order]
    )


def aurc(score: Floats, right: Bools) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages (Geifman et al. 2019). Small is good."""
    return float(risk_coverage(score, right).risk.mean())


def best_aurc(right: Bools) -> float:
    """The area of an oracle that withholds its errors first: what no score can beat with these answers."""
    return aurc(right.astype(np.float64), right)


def rows_at(coverage: float, rows: int) -> int:
    """How many rows are answered at a coverage, at least one."""
    return max(1, round(coverage * rows))


def threshold_for(score: Floats, right: Bools, *, target: float) -> float | None:
    """The smallest threshold, so the largest coverage, whose answered rows are right in `target` of the cases.

    None where no threshold does that for at least 50 rows.
    """
    curve = risk_coverage(score, right)
    # A threshold cannot cut through rows that are equally sure.
    last_of_tie = np.append(curve.confidence[1:] != curve.confidence[:-1], True)
    good = np.flatnonzero(last_of_tie & (1 - curve.risk >= target) & (np.arange(len(score)) + 1 >= FEWEST_ANSWERED))
    return float(curve.confidence[good[-1]]) if len(good) else None


def thinned(*columns: Floats, points: int) -> tuple[tuple[float, ...], ...]:
    """At most `points` evenly spread entries of columns of one length, first and last included, for JSON and plots."""
    length = len(columns[0])
    keep: Sequence[int] = sorted(set(np.linspace(0, length - 1, num=min(points, length)).round().astype(int).tolist()))
    return tuple(tuple(round(float(value), 6) for value in column[list(keep)]) for column in columns)
