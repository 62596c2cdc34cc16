"""Macro-F1 of the champion on fresh audit labels, with its interval, and whether that is under the floor.

The interval is a percentile bootstrap over the audited reviews (Efron & Tibshirani 1993), seeded. It is a finding only
where the whole interval lies under the floor: a rare class has a handful of labels among a hundred, so the estimate
alone would alert by chance. Pure arithmetic; the labels come from `labeling.audits`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restar_lib.evaluation.metrics import CLASSES, macro_f1
from restar_lib.labeling.audits import AuditSample
from restar_lib.monitoring.drift.findings import Finding, FindingKind
from restar_lib.settings import MonitoringSettings

RESAMPLES = 2000
SEED = 17
TAIL = 0.05
"""On each side: the interval holds 90 %, so its upper end is a one-sided 95 % bound."""


@dataclass(frozen=True, kw_only=True)
class ProductionQuality:
    """An estimate; figures in [0, 1]."""

    labels: int
    macro_f1: float
    low: float
    high: float

    def __str__(self) -> str:
        """For sentences and tables."""
        return f"{self.macro_f1:.3f} ({self.low:.3f} to {self.high:.3f})"


def estimate(sample: AuditSample) -> ProductionQuality | None:
    """The estimate; None without labels."""
    if not sample.labels:
        return None
    cells, weights = sample.truth * CLASSES + sample.predicted, sample.weights
    drawn = np.random.default_rng(SEED).integers(sample.labels, size=(RESAMPLES, sample.labels))
    resampled = np.stack([_confusion(cells[rows], weights[rows]) for rows in drawn])
    low, high = np.quantile(macro_f1(resampled), [TAIL, 1 - TAIL])
    found = float(macro_f1(_confusion(cells, weights)))
    return ProductionQuality(labels=sample.labels, macro_f1=found, low=float(low), high=float(high))


def can_judge(quality: ProductionQuality | None, limits: MonitoringSettings) -> bool:
    """Whether there are enough labels to say anything."""
    return quality is not None and quality.labels >= limits.min_labels


def judge(quality: ProductionQuality | None, limits: MonitoringSettings) -> Finding | None:
    """A finding where even the upper end of the interval is under the floor."""
    if quality is None or not can_judge(quality, limits) or quality.high >= limits.min_macro_f1:
        return None
    return Finding(
        kind=FindingKind.LOW_QUALITY,
        headline=f"macro-F1 {quality.macro_f1:.2f} on fresh labels",
        sentence=f"Macro-F1 on {quality.labels:,} fresh audit labels is {quality}, all of it under the floor of "
        f"{limits.min_macro_f1:.2f} (monitoring.min_macro_f1).",
    )


def sentence(quality: ProductionQuality | None, limits: MonitoringSettings) -> str:
    """What there is to say where nothing was found."""
    if quality is None or not can_judge(quality, limits):
        have = quality.labels if quality else 0
        return (
            f"Macro-F1 is not estimated: {have:,} of {limits.min_labels:,} fresh audit labels (monitoring.min_labels)."
        )
    return f"Macro-F1 on {quality.labels:,} fresh audit labels is {quality}, floor {limits.min_macro_f1:.2f}."


def _confusion(cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.bincount(cells, weights=weights, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
