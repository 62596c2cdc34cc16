"""Drift findings: which measurements exceed their limits, and the sentences that the person on call reads.

Pure functions over numbers, with the thresholds of DESIGN section 9 (`monitoring` in the configuration): how far a
column moved, the share of drifted columns, mean confidence against that of the training's held-out rows (and against
an absolute limit where somebody set one), the mix of predicted classes, the age of the oldest open task. A difference
that samples of these sizes show by chance becomes a note, not a finding. The bodies of alerts are
`monitoring.alerts.alert_text`'s. It reads nothing and stores nothing; a window that is too small is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import sqrt
from statistics import NormalDist, pvariance

from restar_lib.artifacts.reference import Columns
from restar_lib.domain import SENTIMENTS, Sentiment
from restar_lib.monitoring.drift.evidently_comparison import ColumnDistance
from restar_lib.settings import MonitoringSettings


class FindingKind(StrEnum):
    """What can be found."""

    COLUMN_DRIFT = "column_drift"
    DRIFTED_SHARE = "drifted_share"
    LOW_CONFIDENCE = "low_confidence"
    CLASS_SHIFT = "class_shift"
    OLD_TASK = "old_task"
    LOW_QUALITY = "low_quality"
    REFUSED_ROWS = "refused_rows"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One threshold that was crossed."""

    kind: FindingKind
    headline: str
    """A few words for a subject line."""
    sentence: str
    """What, how bad, and against which limit."""


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """How far one column moved."""

    name: str
    psi: float
    drifted: bool
    psi_by_chance: float = 0.0
    """What samples of these sizes exceed by chance only as often as `monitoring.chance` says."""
    ks: float | None = None
    """Kolmogorov-Smirnov distance; None for categories, and in reports from before it was measured."""
    ks_p: float | None = None

    @property
    def distance(self) -> str:
        """Both measures, for a sentence or a table."""
        return f"{self.psi:.2f}" if self.ks is None else f"{self.psi:.2f}, KS {self.ks:.2f}"


@dataclass(frozen=True, kw_only=True)
class DriftMeasurements:
    """What the window looks like beside the reference; shares and confidences in [0, 1]."""

    columns: tuple[ColumnDrift, ...]
    """The column that moved most comes first."""
    mean_confidence: float
    reference_confidence: float | None
    """On held-out rows at training; None where the reference has no rows, so that nothing can be compared."""
    class_shares: dict[Sentiment, float]
    reference_shares: dict[Sentiment, float]
    shift_by_chance: float = 0.0
    """By how much a class's share moves by chance in samples of these sizes."""
    drop_by_chance: float = 0.0
    """By how much mean confidence is lower by chance in samples of these sizes."""

    @property
    def drifted_columns(self) -> tuple[ColumnDrift, ...]:
        """Those over their limit."""
        return tuple(column for column in self.columns if column.drifted)

    @property
    def drifted_share(self) -> float:
        """Share of the columns that drifted."""
        return len(self.drifted_columns) / len(self.columns) if self.columns else 0.0

    @property
    def confidence_drop(self) -> float:
        """How far mean confidence is under that of the reference; 0 where there is nothing to compare it with."""
        if self.reference_confidence is None:
            return 0.0
        return round(self.reference_confidence - self.mean_confidence, 6)

    @property
    def as_trained(self) -> str:
        """Mean confidence at training, for a sentence or a table."""
        return "unknown" if self.reference_confidence is None else f"{self.reference_confidence:.3f}"

    @property
    def shifted_class(self) -> Sentiment:
        """The predicted class whose share moved most; of two that moved alike, the first."""
        return max(SENTIMENTS, key=self._shift)

    @property
    def class_shift(self) -> float:
        """By how much that share moved, in [0, 1]."""
        return self._shift(self.shifted_class)

    def _shift(self, name: Sentiment) -> float:
        # Rounded, so that two classes that exchange the same reviews have equal shifts.
        return round(abs(self.class_shares[name] - self.reference_shares[name]), 6)


def measure(
    reference: Columns, window: Columns, *, distances: Mapping[str, ColumnDistance], limits: MonitoringSettings
) -> DriftMeasurements:
    """Put the numbers of both sides together."""
    columns = [_column(name, distance, limits) for name, distance in distances.items()]
    predicted = distances.get("predicted")
    return DriftMeasurements(
        columns=tuple(sorted(columns, key=lambda column: -column.psi)),
        mean_confidence=window.mean_confidence,
        reference_confidence=reference.mean_confidence if reference.rows else None,
        class_shares=window.class_shares,
        reference_shares=reference.class_shares,
        shift_by_chance=predicted.binned.shift_by_chance(limits.chance) if predicted else 0.0,
        drop_by_chance=_drop_by_chance(reference, window, limits.chance),
    )


def _drop_by_chance(reference: Columns, window: Columns, chance: float) -> float:
    """What the difference of two means of one population exceeds with probability `chance` (normal approximation)."""
    if not reference.rows or not window.rows:
        return 0.0
    variance = sum(pvariance(side.confidence) / side.rows for side in (reference, window))
    return NormalDist().inv_cdf(1 - chance) * sqrt(variance)


def _column(name: str, distance: ColumnDistance, limits: MonitoringSettings) -> ColumnDrift:
    """A column drifted where one measure is over its limit, and chance does not explain it.

    Between two normal samples of one spread, PSI 0.25 and a Kolmogorov-Smirnov distance of 0.20 are the same shift, by
    half a standard deviation: PSI = d^2 and KS = 2 Phi(d / 2) - 1 for a shift by d standard deviations.
    """
    by_psi = distance.psi > max(limits.max_psi, distance.psi_by_chance)
    by_ks = (distance.ks or 0.0) > limits.max_ks and (distance.ks_p or 0.0) < limits.chance
    return ColumnDrift(
        name=name,
        psi=distance.psi,
        drifted=by_psi or by_ks,
        psi_by_chance=distance.psi_by_chance,
        ks=distance.ks,
        ks_p=distance.ks_p,
    )


def judge(measured: DriftMeasurements, limits: MonitoringSettings) -> tuple[Finding, ...]:
    """Every threshold that the window crosses."""
    candidates = (
        _column_drift(measured, limits),
        _drifted_share(measured, limits),
        _low_confidence(measured, limits),
        _class_shift(measured, limits),
    )
    return tuple(finding for finding in candidates if finding)


def within_sampling_noise(measured: DriftMeasurements, limits: MonitoringSettings) -> tuple[str, ...]:
    """Notes on what exceeds a limit and is no finding, because samples of these sizes differ as much by chance."""
    notes = [
        f"{column.name} moved by {column.psi:.2f} (limit {limits.max_psi:g}), which so few rows show by chance, up to "
        f"{column.psi_by_chance:.2f}: no finding."
        for column in measured.columns
        if column.psi > limits.max_psi and not column.drifted
    ]
    if limits.max_class_shift < measured.class_shift <= measured.shift_by_chance:
        notes.append(
            f"The share of {measured.shifted_class} predictions moved by {points(measured.class_shift)}, which so few "
            f"rows show by chance, up to {points(measured.shift_by_chance)}: no finding."
        )
    if limits.max_confidence_drop < measured.confidence_drop <= measured.drop_by_chance:
        notes.append(
            f"Mean confidence is {measured.confidence_drop:.3f} lower than at training, which so few rows show by "
            f"chance, up to {measured.drop_by_chance:.3f}: no finding."
        )
    if measured.reference_confidence is None:
        notes.append("Mean confidence cannot be compared: the model's reference has no held-out rows.")
    return tuple(notes)


def judge_queue(oldest_open_at: datetime | None, limits: MonitoringSettings, *, now: datetime) -> Finding | None:
    """Whether the oldest open task has waited too long."""
    if oldest_open_at is None or now - oldest_open_at <= timedelta(hours=limits.max_open_task_hours):
        return None
    hours = (now - oldest_open_at) / timedelta(hours=1)
    return Finding(
        kind=FindingKind.OLD_TASK,
        headline=f"the oldest open task has waited {hours:.0f} h",
        sentence=f"The oldest open task has waited {hours:.1f} hours (limit {limits.max_open_task_hours:g}): "
        "nobody labels, or the queue grows faster than it is answered.",
    )


def subject(found: Iterable[Finding]) -> str:
    """The subject line of these findings: each headline once."""
    return "; ".join(dict.fromkeys(finding.headline for finding in found))


def _column_drift(measured: DriftMeasurements, limits: MonitoringSettings) -> Finding | None:
    drifted = measured.drifted_columns
    if not drifted:
        return None
    listed = ", ".join(f"{column.name} ({column.distance})" for column in drifted)
    return Finding(
        kind=FindingKind.COLUMN_DRIFT,
        headline=_columns_headline(measured),
        sentence=f"Drifted against the training reference: {listed}; "
        f"population stability index, limit {limits.max_psi:g}; KS distance, limit {limits.max_ks:g}.",
    )


def _drifted_share(measured: DriftMeasurements, limits: MonitoringSettings) -> Finding | None:
    if measured.drifted_share <= limits.max_drifted_share:
        return None
    return Finding(
        kind=FindingKind.DRIFTED_SHARE,
        headline=_columns_headline(measured),
        sentence=f"{len(measured.drifted_columns)} of {len(measured.columns)} columns drifted at once "
        f"({100 * measured.drifted_share:.0f} %, limit {100 * limits.max_drifted_share:.0f} %): "
        "these are other reviews than the model was trained on.",
    )


def _columns_headline(measured: DriftMeasurements) -> str:
    drifted = measured.drifted_columns
    if len(drifted) == 1:
        return f"{drifted[0].name} drifted"
    return f"{len(drifted)} of {len(measured.columns)} columns drifted"


def is_unsure(measured: DriftMeasurements, limits: MonitoringSettings) -> bool:
    """Whether mean confidence is too low, by either limit."""
    return _dropped(measured, limits) or _is_under_floor(measured, limits)


def confidence_limit(limits: MonitoringSettings) -> str:
    """The limits of mean confidence, in words."""
    floor = "" if limits.min_mean_confidence is None else f", and at least {limits.min_mean_confidence:.3f}"
    return f"at most {limits.max_confidence_drop:g} under that of training{floor}"


def _dropped(measured: DriftMeasurements, limits: MonitoringSettings) -> bool:
    return measured.confidence_drop > max(limits.max_confidence_drop, measured.drop_by_chance)


def _is_under_floor(measured: DriftMeasurements, limits: MonitoringSettings) -> bool:
    return limits.min_mean_confidence is not None and measured.mean_confidence < limits.min_mean_confidence


def _low_confidence(measured: DriftMeasurements, limits: MonitoringSettings) -> Finding | None:
    if not is_unsure(measured, limits):
        return None
    return Finding(
        kind=FindingKind.LOW_CONFIDENCE,
        headline=f"mean confidence {measured.mean_confidence:.2f}",
        sentence=f"Mean confidence is {measured.mean_confidence:.3f}; on held-out reviews at training it was "
        f"{measured.as_trained} (limit: {confidence_limit(limits)}).",
    )


def _class_shift(measured: DriftMeasurements, limits: MonitoringSettings) -> Finding | None:
    if measured.class_shift <= max(limits.max_class_shift, measured.shift_by_chance):
        return None
    name = measured.shifted_class
    before, after = measured.reference_shares[name], measured.class_shares[name]
    return Finding(
        kind=FindingKind.CLASS_SHIFT,
        headline=f"{name} {'up' if after > before else 'down'} {points(measured.class_shift)}",
        sentence=f"The share of {name} predictions went from {100 * before:.1f} % to {100 * after:.1f} %, "
        f"more than {points(limits.max_class_shift)}.",
    )


def points(share: float) -> str:
    """A difference of shares, in words."""
    return f"{100 * share:.0f} points"
