"""Metrics of a classifier on rows with a known truth, as reports print them and the gate judges them.

Pure functions on arrays: classes are 0 negative, 1 neutral, 2 positive, probabilities are [rows, 3]. Natural streams
are about 80 % positive, so accuracy never stands alone: macro-F1, recall per class and the majority baseline stand
beside it. Knows no model, no database and no threshold; bootstraps and verdicts are the gate's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import SENTIMENTS, Example
from restar_lib.evaluation.absent_classes import ALL, absent_classes

CLASSES: Final = len(SENTIMENTS)
SMALLEST_PROBABILITY: Final = 1e-12
"""A single confident mistake must not dominate the mean."""
ECE_BINS: Final = 15
"""The number of bins of Guo et al. 2017."""
LENGTH_BUCKETS: Final = ((25, "under 25 words"), (60, "25-59 words"), (150, "60-149 words"))
LONGEST_BUCKET: Final = "150 words or more"
NO_VALUE: Final = "none"
"""The slice of rows without a category or without stars."""
LOWER_CASE, MIXED_CASE = "all lower case", "with capitals"

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """One class against the rest."""

    sentiment: str
    rows: int
    precision: float | None
    """None where no row was called so."""
    recall: float | None
    """None where no row is of the class."""
    f1: float | None
    """None where no row is of the class."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """One model on one set of rows."""

    rows: int
    accuracy: float
    macro_f1: float
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the truth, columns the prediction, both in the order of `SENTIMENTS`."""
    majority_accuracy: float
    """What always saying the commonest class of these rows would score."""
    majority_macro_f1: float
    ece: float
    """Expected calibration error of the confidence, over all rows."""
    coverage: float
    """Share of rows on which the model does not abstain."""
    accuracy_covered: float
    """Accuracy on those; 0 where it always abstains."""
    log_loss: float
    absent: tuple[str, ...] = ()
    """Classes that neither these rows nor the stars of the training have: nothing is asked of them."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def evaluate(truth: Integers, probabilities: Floats, *, abstain_below: float, rated: Collection[str] = ALL) -> Metrics:
    """Every figure for `truth` [n] and calibrated `probabilities` [n, 3].

    `rated` are the classes that the stars of the model's training rows have (`absent_classes`). Raises `ValueError`
    where there is no row.
    """
    if len(truth) == 0 or probabilities.shape != (len(truth), CLASSES):
        raise ValueError(
            f"expected [n] truths and [n, {CLASSES}] probabilities, n > 0; got {truth.shape}, {probabilities.shape}"
        )
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right, covered = predicted == truth, confidence >= abstain_below
    confusion = confusion_matrix(truth, predicted)
    majority = confusion_matrix(truth, np.full_like(truth, confusion.sum(axis=1).argmax()))
    return Metrics(
        rows=len(truth),
        accuracy=float(right.mean()),
        macro_f1=float(macro_f1(confusion)),
        per_class=_per_class(confusion),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        majority_accuracy=float(accuracy(majority)),
        majority_macro_f1=float(macro_f1(majority)),
        ece=expected_calibration_error(confidence, right),
        coverage=float(covered.mean()),
        accuracy_covered=float(right[covered].mean()) if covered.any() else 0.0,
        log_loss=log_loss(truth, probabilities),
        absent=absent_classes(truth, rated),
    )


def confusion_matrix(truth: Integers, predicted: Integers) -> Integers:
    """Counts [3, 3], truth by prediction."""
    return np.bincount(truth * CLASSES + predicted, minlength=CLASSES**2).reshape(CLASSES, CLASSES).astype(np.int64)


def accuracy(confusion: NDArray[Any]) -> Floats:
    """Share on the diagonal of [..., 3, 3]; leading axes are resamples of a bootstrap."""
    return np.asarray(_ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1))))


def f1_by_class(confusion: NDArray[Any]) -> Floats:
    """F1 = 2 TP / (rows + predicted) of each class, [..., 3] from [..., 3, 3] (van Rijsbergen 1979)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return _ratio(2 * hits, confusion.sum(axis=-1) + confusion.sum(axis=-2))


def macro_f1(confusion: NDArray[Any]) -> Floats:
    """Mean F1 over the classes that the truth has, [...] from [..., 3, 3].

    Not scikit-learn's, because a bootstrap needs it for thousands of matrices at once. It is the mean of F1s, not the
    F1 of means (Opitz & Burst 2019). A class without any true row is left out: it cannot be found, and predicting it
    wrongly already costs the others their recall.
    """
    present = confusion.sum(axis=-1) > 0
    return np.asarray(_ratio((f1_by_class(confusion) * present).sum(axis=-1), present.sum(axis=-1)))


def expected_calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Mean gap of confidence and accuracy over 15 equal-width bins, weighted by rows (Guo et al. 2017, equation 3)."""
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def log_loss(truth: Integers, probabilities: Floats) -> float:
    """Mean negative log probability of the truth, in nats; a probability counts as 1e-12 at least."""
    from sklearn import metrics

    clipped = np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1.0)
    return float(metrics.log_loss(truth, clipped, labels=range(CLASSES)))


def slices_of(examples: Sequence[Example]) -> dict[str, list[str]]:
    """For each slice (`category`, `length`, `rating`, `year`, `case`) the value of every row."""
    return {
        "category": [example.product_category or NO_VALUE for example in examples],
        "length": [length_bucket(len(example.text.split())) for example in examples],
        "rating": [NO_VALUE if example.rating is None else f"{example.rating} stars" for example in examples],
        "year": [str(example.reviewed_at.year) for example in examples],
        "case": [LOWER_CASE if example.text == example.text.lower() else MIXED_CASE for example in examples],
    }


def length_bucket(words: int) -> str:
    """The name of the length slice of a text with so many words."""
    return next((name for limit, name in LENGTH_BUCKETS if words < limit), LONGEST_BUCKET)


def _per_class(confusion: Integers) -> tuple[ClassMetrics, ...]:
    hits, rows, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall, f1 = _ratio(hits, predicted), _ratio(hits, rows), f1_by_class(confusion)
    return tuple(
        ClassMetrics(
            sentiment=sentiment.value,
            rows=int(rows[i]),
            precision=float(precision[i]) if predicted[i] else None,
            recall=float(recall[i]) if rows[i] else None,
            f1=float(f1[i]) if rows[i] else None,
        )
        for i, sentiment in enumerate(SENTIMENTS)
    )


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    """`above / below`, and 0 where `below` is 0."""
    return np.asarray(np.divide(above, below, out=np.zeros(np.shape(below)), where=np.asarray(below) > 0))
