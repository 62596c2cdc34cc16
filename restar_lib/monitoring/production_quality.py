"""Accuracy and macro-F1 of the champion on fresh audits, what is uncertain about them, and whether that is too low.

Two things are uncertain. Chance: a percentile bootstrap over the answered audits (Efron & Tibshirani 1993), seeded. And
what was drawn but not answered: people skip the hard ones, so the answered ones alone flatter. How much they might is
said by the bounds (Manski 1989): the figure if the champion were right about every unanswered audit, and if it were
wrong about every one.

It is a finding only where the whole interval lies under the floor: a rare class has a handful of labels among a
hundred, so the estimate alone would alert by chance. Pure arithmetic; the labels come from `labeling.audits`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from restar_lib.domain import SENTIMENTS
from restar_lib.evaluation.metrics import CLASSES, accuracy, macro_f1
from restar_lib.labeling.audits import AuditSample
from restar_lib.monitoring.drift.findings import Finding, FindingKind
from restar_lib.settings import MonitoringSettings

RESAMPLES = 2000
SEED = 17
TAIL = 0.05
"""On each side: the interval holds 90 %, so its upper end is a one-sided 95 % bound."""

Metric = Callable[[np.ndarray], np.ndarray]
"""Of confusion matrices [..., 3, 3]."""


@dataclass(frozen=True, kw_only=True)
class AuditFigure:
    """A figure in [0, 1] of the answered audits."""

    value: float
    low: float
    high: float
    """Ends of the 90 % interval of chance."""
    least: float
    most: float
    """The figure if the champion were wrong, or right, about every audit that is not answered."""

    def __str__(self) -> str:
        """For sentences and tables."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def bounds(self) -> str:
        """For sentences and tables."""
        return f"{self.least:.3f} to {self.most:.3f}"


@dataclass(frozen=True, kw_only=True)
class ProductionQuality:
    """An estimate, and of how many of the drawn audits it is made."""

    labels: int
    """Audits that are answered."""
    skipped: int
    """Not answered, and somebody skipped them."""
    unread: int
    """Not answered, and nobody skipped them."""
    accuracy: AuditFigure | None
    """None in reports of earlier versions, which had macro-F1 alone."""
    macro_f1: AuditFigure
    unlabeled: tuple[str, ...] = ()
    """Classes that no label is of: macro-F1 is the mean of the others."""

    @property
    def drawn(self) -> int:
        """All audits, answered or not."""
        return self.labels + self.skipped + self.unread

    @property
    def answered(self) -> str:
        """How many of them, for sentences and tables."""
        return f"{self.labels:,} of {self.drawn:,} ({self.skipped:,} skipped, {self.unread:,} not read)"


def from_json(content: Mapping[str, Any]) -> ProductionQuality:
    """The estimate that `dataclasses.asdict` wrote, also one of an earlier version, with macro-F1 alone."""
    if "accuracy" in content:
        figures = {name: AuditFigure(**content[name]) for name in ("accuracy", "macro_f1")}
        return ProductionQuality(**{**content, **figures, "unlabeled": tuple(content.get("unlabeled", ()))})
    value, low, high = (float(content[name]) for name in ("macro_f1", "low", "high"))
    only = AuditFigure(value=value, low=low, high=high, least=value, most=value)
    return ProductionQuality(labels=content["labels"], skipped=0, unread=0, accuracy=None, macro_f1=only)


def estimate(sample: AuditSample) -> ProductionQuality | None:
    """The estimate; None without labels."""
    if not sample.labels:
        return None
    cells, weights = sample.truth * CLASSES + sample.predicted, sample.weights
    drawn = np.random.default_rng(SEED).integers(sample.labels, size=(RESAMPLES, sample.labels))
    resampled = np.stack([_confusion(cells[rows], weights[rows]) for rows in drawn])
    answered = _confusion(cells, weights)
    return ProductionQuality(
        labels=sample.labels,
        skipped=sample.skipped,
        unread=sample.unread,
        accuracy=_figure(accuracy, answered, resampled, unanswered=sample.unanswered_weights),
        macro_f1=_figure(macro_f1, answered, resampled, unanswered=sample.unanswered_weights),
        unlabeled=tuple(one.value for one in SENTIMENTS if one.position not in sample.truth),
    )


def can_judge(quality: ProductionQuality | None, limits: MonitoringSettings) -> bool:
    """Whether there are enough labels to say anything."""
    return quality is not None and quality.labels >= limits.min_labels


def judge(quality: ProductionQuality | None, limits: MonitoringSettings) -> Finding | None:
    """A finding where even the upper end of the interval is under the floor."""
    if quality is None or not can_judge(quality, limits) or quality.macro_f1.high >= limits.min_macro_f1:
        return None
    return Finding(
        kind=FindingKind.LOW_QUALITY,
        headline=f"macro-F1 {quality.macro_f1.value:.2f} on fresh labels",
        sentence=f"Macro-F1 on {quality.labels:,} fresh audit labels is {quality.macro_f1}, all of it under the floor "
        f"of {limits.min_macro_f1:.2f} (monitoring.min_macro_f1). {_missing(quality)}",
    )


def sentence(quality: ProductionQuality | None, limits: MonitoringSettings) -> str:
    """What there is to say where nothing was found."""
    if quality is None or not can_judge(quality, limits):
        have = quality.labels if quality else 0
        of = f" Answered are {quality.answered} of the audits that were drawn." if quality else ""
        return (
            f"Macro-F1 is not estimated: {have:,} of {limits.min_labels:,} fresh audit labels (monitoring.min_labels)."
            f"{of}"
        )
    return (
        f"Macro-F1 on {quality.labels:,} fresh audit labels is {quality.macro_f1}, floor {limits.min_macro_f1:.2f}. "
        f"{_missing(quality)}"
    )


def _missing(quality: ProductionQuality) -> str:
    said = f"No label is {' or '.join(quality.unlabeled)}: it is the mean of the others. " if quality.unlabeled else ""
    said += f"Accuracy is {quality.accuracy}. " if quality.accuracy else ""
    said += f"Answered are {quality.answered} of the audits that were drawn"
    if quality.labels == quality.drawn or quality.accuracy is None:
        return f"{said}."
    return (
        f"{said}: were the others all wrong or all right, accuracy would be {quality.accuracy.bounds} and macro-F1 "
        f"{quality.macro_f1.bounds}."
    )


def _figure(metric: Metric, answered: np.ndarray, resampled: np.ndarray, *, unanswered: np.ndarray) -> AuditFigure:
    low, high = np.quantile(metric(resampled), [TAIL, 1 - TAIL])
    return AuditFigure(
        value=float(metric(answered)),
        low=float(low),
        high=float(high),
        least=float(metric(answered + _all_wrong(unanswered)).min()),
        most=float(metric(answered + np.diag(unanswered))),
    )


def _all_wrong(unanswered: np.ndarray) -> np.ndarray:
    """Confusions [8, 3, 3]: the truth of what is predicted as a class is one of the two others, in each combination."""
    others = [[one for one in range(CLASSES) if one != predicted] for predicted in range(CLASSES)]
    confusions = np.zeros((2**CLASSES, CLASSES, CLASSES))
    for confusion, truths in zip(confusions, product(*others), strict=True):
        confusion[list(truths), range(CLASSES)] = unanswered
    return confusions


def _confusion(cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.bincount(cells, weights=weights, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
