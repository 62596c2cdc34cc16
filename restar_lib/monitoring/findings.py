"""What the watch makes of its measurements: findings, and the words that a person on call reads.

Pure functions over numbers, with the thresholds of DESIGN section 9 (`monitoring` in the configuration): a column's
population stability index, the share of drifted columns, mean confidence, the mix of predicted classes, the age of the
oldest open task. It reads nothing, stores nothing and mails nothing; a window that is too small never comes here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from restar_lib.domain import SENTIMENTS, Sentiment
from restar_lib.monitoring.alerts import AlertDetails, Bar, Number, Picture
from restar_lib.monitoring.features import Columns
from restar_lib.settings import Monitoring


class FindingKind(StrEnum):
    """What can be found."""

    COLUMN_DRIFT = "column_drift"
    DRIFTED_SHARE = "drifted_share"
    LOW_CONFIDENCE = "low_confidence"
    CLASS_SHIFT = "class_shift"
    OLD_TASK = "old_task"


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


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the window looks like beside the reference; shares and confidences in [0, 1]."""

    columns: tuple[ColumnDrift, ...]
    """The column that moved most comes first."""
    mean_confidence: float
    reference_confidence: float
    class_shares: dict[Sentiment, float]
    reference_shares: dict[Sentiment, float]

    @property
    def drifted_columns(self) -> tuple[ColumnDrift, ...]:
        """Those over their limit."""
        return tuple(column for column in self.columns if column.drifted)

    @property
    def drifted_share(self) -> float:
        """Share of the columns that drifted."""
        return len(self.drifted_columns) / len(self.columns) if self.columns else 0.0

    @property
    def shifted_class(self) -> Sentiment:
        """The predicted class whose share moved most; of two that moved alike, the first."""
        return max(SENTIMENTS, key=self._shift)

    @property
    def class_shift(self) -> float:
        """By how much that share moved, in [0, 1]."""
        return self._shift(self.shifted_class)

    def _shift(self, name: Sentiment) -> float:
        # Rounded, so that two classes that swap the same reviews do move alike.
        return round(abs(self.class_shares[name] - self.reference_shares[name]), 6)


def measure(reference: Columns, window: Columns, *, psi: dict[str, float], max_psi: float) -> Measured:
    """Put the numbers of both sides together."""
    columns = [ColumnDrift(name=name, psi=value, drifted=value > max_psi) for name, value in psi.items()]
    return Measured(
        columns=tuple(sorted(columns, key=lambda column: -column.psi)),
        mean_confidence=window.mean_confidence,
        reference_confidence=reference.mean_confidence,
        class_shares=window.class_shares,
        reference_shares=reference.class_shares,
    )


def judge(measured: Measured, limits: Monitoring) -> tuple[Finding, ...]:
    """Every threshold that the window crosses."""
    candidates = (
        _column_drift(measured, limits),
        _drifted_share(measured, limits),
        _low_confidence(measured, limits),
        _class_shift(measured, limits),
    )
    return tuple(finding for finding in candidates if finding)


def judge_queue(oldest_open_at: datetime | None, limits: Monitoring, *, now: datetime) -> Finding | None:
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


def drift_details(
    findings: tuple[Finding, ...],
    measured: Measured,
    limits: Monitoring,
    *,
    rows: int,
    period: str,
    model_version: str,
    since: datetime,
    run_key: str,
) -> AlertDetails:
    """The body of a drift alert; `period` is when the window's reviews were written."""
    return AlertDetails(
        findings=tuple(finding.sentence for finding in findings),
        since=since,
        numbers=(
            Number(name="Model", value=model_version, normal="the champion", bad=False),
            Number(name="Newest reviews", value=f"{rows:,}", normal=f"written {period}", bad=False),
            *_numbers(measured, limits),
        ),
        pictures=(_column_picture(measured, limits), _class_picture(measured, limits)),
        actions=_actions(findings, measured, limits),
        dag_id=WATCH_DAG,
        run_key=run_key,
    )


def queue_details(finding: Finding, *, open_tasks: int, since: datetime, run_key: str) -> AlertDetails:
    """The body of an alert about the queue."""
    return AlertDetails(
        findings=(finding.sentence,),
        since=since,
        numbers=(Number(name="Open tasks", value=f"{open_tasks:,}", normal="waiting for a person", bad=False),),
        actions=(
            "Open the label desk and answer a few: single keys, about ten seconds each.",
            "If nobody can, lower selection.max_tasks or selection.audit_rate, so that less is asked.",
        ),
        dag_id=WATCH_DAG,
        run_key=run_key,
    )


WATCH_DAG = "watch_drift"


def _column_drift(measured: Measured, limits: Monitoring) -> Finding | None:
    drifted = measured.drifted_columns
    if not drifted:
        return None
    listed = ", ".join(f"{column.name} ({column.psi:.2f})" for column in drifted)
    return Finding(
        kind=FindingKind.COLUMN_DRIFT,
        headline=_columns_headline(measured),
        sentence=f"Drifted against the training reference: {listed}; "
        f"population stability index, limit {limits.max_psi:g}.",
    )


def _drifted_share(measured: Measured, limits: Monitoring) -> Finding | None:
    if measured.drifted_share <= limits.max_drifted_share:
        return None
    return Finding(
        kind=FindingKind.DRIFTED_SHARE,
        headline=_columns_headline(measured),
        sentence=f"{len(measured.drifted_columns)} of {len(measured.columns)} columns drifted at once "
        f"({100 * measured.drifted_share:.0f} %, limit {100 * limits.max_drifted_share:.0f} %): "
        "these are other reviews than the model was trained on.",
    )


def _columns_headline(measured: Measured) -> str:
    drifted = measured.drifted_columns
    if len(drifted) == 1:
        return f"{drifted[0].name} drifted"
    return f"{len(drifted)} of {len(measured.columns)} columns drifted"


def _low_confidence(measured: Measured, limits: Monitoring) -> Finding | None:
    if measured.mean_confidence >= limits.min_mean_confidence:
        return None
    return Finding(
        kind=FindingKind.LOW_CONFIDENCE,
        headline=f"mean confidence {measured.mean_confidence:.2f}",
        sentence=f"Mean confidence is {measured.mean_confidence:.3f}, limit {limits.min_mean_confidence:.3f}; "
        f"on held-out reviews at training it was {measured.reference_confidence:.3f}.",
    )


def _class_shift(measured: Measured, limits: Monitoring) -> Finding | None:
    if measured.class_shift <= limits.max_class_shift:
        return None
    name = measured.shifted_class
    before, after = measured.reference_shares[name], measured.class_shares[name]
    return Finding(
        kind=FindingKind.CLASS_SHIFT,
        headline=f"{name} {'up' if after > before else 'down'} {_points(measured.class_shift)}",
        sentence=f"The share of {name} predictions went from {100 * before:.1f} % to {100 * after:.1f} %, "
        f"more than {_points(limits.max_class_shift)}.",
    )


def _numbers(measured: Measured, limits: Monitoring) -> tuple[Number, ...]:
    return (
        Number(
            name="Drifted columns",
            value=f"{len(measured.drifted_columns)} of {len(measured.columns)}",
            normal=f"none over {limits.max_psi:g}, at most {100 * limits.max_drifted_share:.0f} % of them",
            bad=bool(measured.drifted_columns),
        ),
        Number(
            name="Mean confidence",
            value=f"{measured.mean_confidence:.3f}",
            normal=f"at least {limits.min_mean_confidence:.3f}; {measured.reference_confidence:.3f} at training",
            bad=measured.mean_confidence < limits.min_mean_confidence,
        ),
        Number(
            name=f"Share of {measured.shifted_class}",
            value=f"{100 * measured.class_shares[measured.shifted_class]:.1f} %",
            normal=f"{100 * measured.reference_shares[measured.shifted_class]:.1f} % at training, "
            f"give or take {_points(limits.max_class_shift)}",
            bad=measured.class_shift > limits.max_class_shift,
        ),
    )


def _points(share: float) -> str:
    return f"{100 * share:.0f} points"


def _column_picture(measured: Measured, limits: Monitoring) -> Picture:
    bars = tuple(Bar(name=it.name, value=it.psi, text=f"{it.psi:.3f}", over=it.drifted) for it in measured.columns)
    return Picture(
        title="How far each column moved",
        caption=f"Population stability index: 0 is no change, over {limits.max_psi:g} (half of the bar) is drift; "
        "longer bars are cut.",
        full=2 * limits.max_psi,
        bars=bars,
    )


def _class_picture(measured: Measured, limits: Monitoring) -> Picture:
    def bar(name: Sentiment) -> Bar:
        share, before = measured.class_shares[name], measured.reference_shares[name]
        over = abs(share - before) > limits.max_class_shift
        return Bar(name=name.value, value=share, text=f"{100 * share:.1f} %, was {100 * before:.1f} %", over=over)

    return Picture(
        title="What the model says",
        caption="Share of each predicted class among the newest reviews, and at training.",
        full=1.0,
        bars=tuple(bar(name) for name in SENTIMENTS),
    )


def _actions(findings: tuple[Finding, ...], measured: Measured, limits: Monitoring) -> tuple[str, ...]:
    kinds = {finding.kind for finding in findings}
    actions = []
    if kinds - {FindingKind.LOW_CONFIDENCE}:
        actions.append("Open the report: which values are new, and since when? Read a few of those reviews.")
        actions.append("If the source is broken or mixed up, pause the DAG ingest_reviews and tell its owner.")
    if measured.reference_confidence < limits.min_mean_confidence:
        actions.append(
            f"This model was under the confidence limit at its training already ({measured.reference_confidence:.3f}): "
            "either train a better one, or set monitoring.min_mean_confidence to what is normal here."
        )
    actions.append(
        "If the reviews are right and new, label some of what is in the queue, then trigger retrain_sentiment."
    )
    actions.append("If the newest release made it worse, roll back: DAG roll_back, or `restar roll-back`.")
    return tuple(actions)
