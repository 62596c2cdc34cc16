"""The words of the watch's alerts: the tables, pictures and advice that a person on call reads.

One function for each kind of alert, from what was measured to `AlertDetails`; pure. What is wrong is decided in
`monitoring.drift.findings` and `monitoring.production_quality`, how a mail looks in `monitoring.alerts.mail`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from restar_lib.domain import SENTIMENTS, Sentiment
from restar_lib.labeling.queue import QueueCounts
from restar_lib.monitoring.alerts.alert_log import AlertDetails, AlertNumber, Bar, BarChart, ColumnShape
from restar_lib.monitoring.drift.evidently_comparison import ColumnDistance
from restar_lib.monitoring.drift.findings import (
    ColumnDrift,
    DriftMeasurements,
    Finding,
    FindingKind,
    confidence_limit,
    is_unsure,
    points,
)
from restar_lib.monitoring.production_quality import ProductionQuality
from restar_lib.settings import MonitoringSettings

WATCH_DAG = "watch_drift"
SHAPES = 3
"""Columns that are drawn."""
SHAPE_BARS = 8
"""Values of a category that are drawn; the others are one bar."""


def drift_details(
    findings: tuple[Finding, ...],
    measured: DriftMeasurements | None,
    limits: MonitoringSettings,
    *,
    distances: Mapping[str, ColumnDistance],
    rows: int,
    period: str,
    model_version: str,
    at: datetime,
    run_key: str,
) -> AlertDetails:
    """The body of a drift alert; `period` is when the window's reviews were written.

    `measured` is None for a window that was too small, which is mentioned only where an earlier incident ends.
    """
    return AlertDetails(
        findings=tuple(finding.sentence for finding in findings),
        since=at,
        numbers=(
            AlertNumber(name="Model", value=model_version, normal="the champion", bad=False),
            AlertNumber(name="Newest reviews", value=f"{rows:,}", normal=f"written {period}", bad=False),
            *(_numbers(measured, limits) if measured else ()),
        ),
        pictures=(_column_picture(measured, limits), _class_picture(measured, limits)) if measured else (),
        shapes=tuple(_shape(it, distances[it.name]) for it in measured.columns[:SHAPES]) if measured else (),
        actions=_actions(findings, measured, limits) if measured else (),
        dag_id=WATCH_DAG,
        run_key=run_key,
    )


def queue_details(finding: Finding | None, *, counts: QueueCounts, at: datetime, run_key: str) -> AlertDetails:
    """The body of an alert about the queue."""
    aside = AlertNumber(name="Set aside", value=f"{counts.aside:,}", normal=counts.why_aside, bad=False)
    return AlertDetails(
        findings=(finding.sentence,) if finding else (),
        since=at,
        numbers=(
            AlertNumber(name="Open tasks", value=f"{counts.waiting:,}", normal="waiting for a person", bad=False),
            *((aside,) if counts.aside else ()),
        ),
        actions=(
            "Open the label desk and answer a few: single keys, about ten seconds each.",
            "If nobody can, lower selection.max_tasks, doubted_tasks or audit_rate, so that less is asked.",
        ),
        dag_id=WATCH_DAG,
        run_key=run_key,
    )


def quality_details(
    finding: Finding | None,
    quality: ProductionQuality | None,
    limits: MonitoringSettings,
    *,
    model_version: str,
    at: datetime,
    run_key: str,
) -> AlertDetails:
    """The body of an alert about macro-F1 on fresh labels."""
    floor = f"at least {limits.min_macro_f1:.2f}; 90 % interval in brackets"
    return AlertDetails(
        findings=(finding.sentence,) if finding else (),
        since=at,
        numbers=(
            AlertNumber(name="Model", value=model_version, normal="the champion", bad=False),
            *(_quality_numbers(quality, floor, bad=finding is not None) if quality else ()),
        ),
        actions=(
            "Read some of the audits that it got wrong: is the model wrong, or are the answers?",
            "If many audits are skipped, let somebody else answer them: they come first at the desk.",
            "If the model is: trigger retrain_sentiment, the answers are in its next training set.",
            "If the newest release made it worse, roll back: DAG roll_back, or `restar roll-back`.",
            "If this model never was better (its verdict says so), set monitoring.min_macro_f1 to what is normal here.",
        ),
        dag_id=WATCH_DAG,
        run_key=run_key,
    )


def _quality_numbers(quality: ProductionQuality, floor: str, *, bad: bool) -> Iterator[AlertNumber]:
    figures = (
        ("Macro-F1", quality.macro_f1, floor, bad),
        ("Accuracy", quality.accuracy, "90 % interval in brackets", False),
    )
    for name, figure, normal, is_bad in figures:
        if figure is not None:
            yield AlertNumber(name=name, value=str(figure), normal=normal, bad=is_bad)
            others = "were all unanswered audits wrong, or right"
            yield AlertNumber(name=f"{name}, bounds", value=figure.bounds, normal=others, bad=False)
    drawn = "drawn at random, never learned from"
    yield AlertNumber(name="Answered fresh audits", value=quality.answered, normal=drawn, bad=False)


def _shape(column: ColumnDrift, distance: ColumnDistance) -> ColumnShape:
    """A column's shares before and now; of a category's many values the ones that are commonest on either side."""
    counted = distance.binned
    before, now = counted.shares()
    if column.ks is not None or len(counted.labels) <= SHAPE_BARS:
        return ColumnShape(name=column.name, labels=counted.labels, before=before, now=now)
    order = sorted(range(len(before)), key=lambda at: -max(before[at], now[at]))[: SHAPE_BARS - 1]
    return ColumnShape(
        name=column.name,
        labels=(*(counted.labels[at] for at in order), "others"),
        before=(*(before[at] for at in order), max(0.0, 1 - sum(before[at] for at in order))),
        now=(*(now[at] for at in order), max(0.0, 1 - sum(now[at] for at in order))),
    )


def _numbers(measured: DriftMeasurements, limits: MonitoringSettings) -> tuple[AlertNumber, ...]:
    return (
        AlertNumber(
            name="Drifted columns",
            value=f"{len(measured.drifted_columns)} of {len(measured.columns)}",
            normal=f"none over {limits.max_psi:g}, at most {100 * limits.max_drifted_share:.0f} % of them",
            bad=bool(measured.drifted_columns),
        ),
        AlertNumber(
            name="Mean confidence",
            value=f"{measured.mean_confidence:.3f}",
            normal=f"{measured.as_trained} at training; {confidence_limit(limits)}",
            bad=is_unsure(measured, limits),
        ),
        AlertNumber(
            name=f"Share of {measured.shifted_class}",
            value=f"{100 * measured.class_shares[measured.shifted_class]:.1f} %",
            normal=f"{100 * measured.reference_shares[measured.shifted_class]:.1f} % at training, "
            f"give or take {points(limits.max_class_shift)}",
            bad=measured.class_shift > limits.max_class_shift,
        ),
    )


def _column_picture(measured: DriftMeasurements, limits: MonitoringSettings) -> BarChart:
    bars = tuple(Bar(name=it.name, value=it.psi, text=_bar_text(it), over=it.drifted) for it in measured.columns)
    return BarChart(
        title="How far each column moved",
        caption=f"Population stability index: 0 is no change, over {limits.max_psi:g} (half of the bar) is drift; "
        f"longer bars are cut. KS: largest distance of the two distributions, over {limits.max_ks:g} is drift. "
        "What samples of these sizes show by chance is no drift.",
        full=2 * limits.max_psi,
        bars=bars,
    )


def _bar_text(column: ColumnDrift) -> str:
    return f"{column.psi:.3f}" if column.ks is None else f"{column.psi:.3f}, KS {column.ks:.2f}"


def _class_picture(measured: DriftMeasurements, limits: MonitoringSettings) -> BarChart:
    def bar(name: Sentiment) -> Bar:
        share, before = measured.class_shares[name], measured.reference_shares[name]
        over = abs(share - before) > limits.max_class_shift
        return Bar(name=name.value, value=share, text=f"{100 * share:.1f} %, was {100 * before:.1f} %", over=over)

    return BarChart(
        title="What the model says",
        caption="Share of each predicted class among the newest reviews, and at training.",
        full=1.0,
        bars=tuple(bar(name) for name in SENTIMENTS),
    )


def _actions(findings: tuple[Finding, ...], measured: DriftMeasurements, limits: MonitoringSettings) -> tuple[str, ...]:
    kinds = {finding.kind for finding in findings}
    actions = []
    if kinds - {FindingKind.LOW_CONFIDENCE}:
        actions.append("Open the report: which values are new, and since when? Read a few of those reviews.")
        actions.append("If the source is broken or mixed up, pause the DAG ingest_reviews and tell its owner.")
    floor = limits.min_mean_confidence
    if floor is not None and measured.reference_confidence is not None and measured.reference_confidence < floor:
        actions.append(
            f"This model was under monitoring.min_mean_confidence at its training already ({measured.as_trained}): "
            "take that key out of your configuration, which compares with the training, or train a better model."
        )
    actions.append(
        "If the reviews are right and new, label some of what is in the queue, then trigger retrain_sentiment."
    )
    actions.append("If the newest release made it worse, roll back: DAG roll_back, or `restar roll-back`.")
    return tuple(actions)
