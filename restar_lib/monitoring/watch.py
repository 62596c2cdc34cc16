"""The watch: whether the newest reviews are still like those of the training, and whether the champion reads them well.

Takes the champion's newest predictions for reviews that came after its training, compares them with the reference
that the model carries, and writes the report page. It also estimates accuracy and macro-F1 on fresh audits, which it
lets the champion read where only an earlier version has, looks how long the oldest open task has waited, and how many
rows the newest runs of ingest refused (`monitoring.refused_rows`). One row of
`drift_report` and the alerts about it are stored in one transaction. Called again for the same run, it finds the same
report and raises no alert twice. A window that is too small says so and raises none.

Thresholds are in `monitoring.drift.findings` and `monitoring.production_quality`, statistics in
`monitoring.drift.evidently_comparison`, incidents and alerts in `monitoring.alerts.notify`. It sends nothing
(`monitoring.alerts.send`) and starts no training (`retraining.incident_request`). Called by DAG `watch_drift`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from restar_lib.artifacts.reference import columns_of, read_reference
from restar_lib.artifacts.release_log import champion_folder
from restar_lib.errors import NothingToDo
from restar_lib.inference.engine import ModelInfo
from restar_lib.labeling import queue, set_aside
from restar_lib.labeling.audits import fresh_audits
from restar_lib.labeling.queue import QueueCounts
from restar_lib.monitoring import changes, production_quality, refused_rows, watch_log
from restar_lib.monitoring.alerts import alert_text
from restar_lib.monitoring.alerts.alert_log import AlertDetails, AlertKind
from restar_lib.monitoring.alerts.notify import Observed, raise_alerts
from restar_lib.monitoring.drift import evidently_comparison, findings, page
from restar_lib.monitoring.drift.evidently_comparison import ColumnDistance
from restar_lib.monitoring.drift.findings import DriftMeasurements, Finding, FindingKind
from restar_lib.monitoring.production_quality import ProductionQuality
from restar_lib.monitoring.refused_rows import RefusedRows
from restar_lib.monitoring.watch_log import DriftReport, NewDriftReport, find, forget_reports, newest
from restar_lib.scoring.predictions import PredictionWindow, newest_window
from restar_lib.scoring.unread_audits import score_unread_audits
from restar_lib.settings import MonitoringSettings, Settings

__all__ = ["DriftReport", "find", "forget_reports", "newest", "watch"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What was seen, before it is stored."""

    run_key: str
    at: datetime
    model_version: str
    window: PredictionWindow
    measured: DriftMeasurements | None
    """None where the window was too small."""
    distances: Mapping[str, ColumnDistance]
    found: tuple[Finding, ...]
    """About the window."""
    queue: QueueCounts
    waiting: Finding | None
    """About the queue."""
    quality: ProductionQuality | None
    low: Finding | None
    """About macro-F1 on fresh audits."""
    read: tuple[RefusedRows, ...]
    """What the newest runs of ingest refused, by source."""
    refused: tuple[Finding, ...]
    """About that."""
    changes: tuple[str, ...]
    report_file: str | None

    @property
    def moved(self) -> bool:
        """Whether the reviews are others than at training; low confidence alone does not say so."""
        return any(finding.kind is not FindingKind.LOW_CONFIDENCE for finding in self.found)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """About everything."""
        return (*self.found, *(finding for finding in (self.low, self.waiting) if finding), *self.refused)


def watch(engine: Engine, settings: Settings, *, run_key: str, now: datetime) -> DriftReport:
    """Look at the newest window, once for `run_key`. Raises `NothingToDo` without a champion."""
    stored = find(engine, run_key)
    if stored:
        log.info("drift report %d: this run has looked already", stored.drift_report_id)
        return stored
    folder = champion_folder(engine, settings)
    if folder is None:
        raise NothingToDo("there is no champion to watch yet: train and release a first model (DAG retrain_sentiment)")
    report = _store(engine, settings, _look(engine, settings, folder, run_key=run_key, now=now))
    for sentence in report.findings:
        log.info("drift report %d: %s", report.drift_report_id, sentence)
    return report


def _look(engine: Engine, settings: Settings, folder: Path, *, run_key: str, now: datetime) -> _Look:
    limits = settings.monitoring
    # A model's time is that of its training set: training adds nothing that came later.
    trained_at = datetime.fromisoformat(ModelInfo.read(folder).created_at)
    score_unread_audits(engine, settings, model_folder=folder, arrived_after=trained_at, now=now)
    with engine.begin() as connection:  # people come and go: who can be asked is decided anew
        set_aside.mark(connection, settings, now=now)
    open_tasks, measured_quality = queue.counts(engine), _quality(engine, folder, limits, arrived_after=trained_at)
    earlier = newest(engine, limit=1)
    read = refused_rows.look(engine, limits, last_look=earlier[0].created_at if earlier else None, now=now)
    look = _Look(
        run_key=run_key,
        at=now,
        model_version=folder.name,
        window=_window(engine, folder, arrived_after=trained_at, rows=limits.window_rows),
        measured=None,
        distances={},
        found=(),
        queue=open_tasks,
        waiting=findings.judge_queue(open_tasks.oldest_open_at, limits, now=now),
        quality=measured_quality,
        low=production_quality.judge(measured_quality, limits),
        read=read,
        refused=refused_rows.judge(read, limits),
        changes=changes.since(engine, watch_log.last_calm_at(engine)),
        report_file=None,
    )
    return _compared(look, settings, folder) if look.window.rows >= limits.min_rows else look


def _window(engine: Engine, folder: Path, *, arrived_after: datetime, rows: int) -> PredictionWindow:
    """The newest reviews that came after the training set of the model in `folder` was frozen.

    Not "all that it has not learned from": training takes every review of a rare class and a sample of the others, so
    what it left over is no fair picture of the stream.
    """
    titles = ModelInfo.read(folder).reads_titles
    with engine.connect() as connection:
        return newest_window(
            connection, model_version=folder.name, arrived_after=arrived_after, rows=rows, titles=titles
        )


def _quality(
    engine: Engine, folder: Path, limits: MonitoringSettings, *, arrived_after: datetime
) -> ProductionQuality | None:
    with engine.connect() as connection:
        sample = fresh_audits(
            connection, model_version=folder.name, arrived_after=arrived_after, limit=limits.label_window
        )
    return production_quality.estimate(sample)


def _compared(look: _Look, settings: Settings, folder: Path) -> _Look:
    """The look with the window measured, judged, and shown on a page."""
    limits, reference = settings.monitoring, read_reference(folder)
    columns = columns_of(look.window.observations, reference.vocabulary_set)
    compared = evidently_comparison.compare(reference.columns, columns, limits)
    measured = findings.measure(reference.columns, columns, distances=compared.distances, limits=limits)
    head = page.DriftPageHeader(
        model_version=look.model_version,
        rows=look.window.rows,
        reference_rows=reference.columns.rows,
        period=look.window.period,
        looked_at=look.at,
        notice=settings.simulated_notice,
        quality=production_quality.sentence(look.quality, limits) if look.quality else None,
    )
    found = findings.judge(measured, limits)
    file = page.file_name(look.run_key)
    page.write(settings.reports_dir / file, compared.html, head, measured=measured, found=found, limits=limits)
    return replace(look, measured=measured, distances=compared.distances, found=found, report_file=file)


def _store(engine: Engine, settings: Settings, look: _Look) -> DriftReport:
    """Store the look and its alerts in one transaction; of two looks for the same run the first one stays."""
    new = NewDriftReport(
        run_key=look.run_key,
        model_version=look.model_version,
        window_rows=look.window.rows,
        window_start=look.window.start,
        window_end=look.window.end,
        measured=look.measured,
        quality=look.quality,
        sentences=tuple(_sentences(look, settings.monitoring)),
        alerts=look.findings,
        report_file=look.report_file,
        created_at=look.at,
    )
    with engine.begin() as connection:
        report, is_new = watch_log.store_within(connection, new)
        if is_new:
            raise_alerts(connection, _observations(look, settings.monitoring), settings, now=look.at)
        return report


def _observations(look: _Look, limits: MonitoringSettings) -> Iterator[Observed]:
    yield _drift(look, limits)
    yield _confidence(look, limits)
    yield _queue(look, limits)
    yield refused_rows.observed(look.read, look.refused, limits, changes=look.changes, at=look.at, run_key=look.run_key)
    yield Observed(
        kind=AlertKind.QUALITY,
        model_version=look.model_version,
        headline=look.low.headline if look.low else None,
        can_judge=production_quality.can_judge(look.quality, limits),
        calm=production_quality.sentence(look.quality, limits),
        details=replace(
            alert_text.quality_details(
                look.low, look.quality, limits, model_version=look.model_version, at=look.at, run_key=look.run_key
            ),
            changes=look.changes,
        ),
    )


def _drift(look: _Look, limits: MonitoringSettings) -> Observed:
    return Observed(
        kind=AlertKind.DRIFT,
        model_version=look.model_version,
        headline=findings.subject(look.found) if look.moved else None,
        can_judge=look.measured is not None,
        calm=_calm(look, limits),
        details=_window_details(look, limits),
        report_file=look.report_file,
    )


def _confidence(look: _Look, limits: MonitoringSettings) -> Observed:
    """Of its own only where nothing moved: low confidence before other reviews is part of the drift, one incident."""
    return Observed(
        kind=AlertKind.CONFIDENCE,
        model_version=look.model_version,
        headline=findings.subject(look.found) if look.found and not look.moved else None,
        can_judge=look.measured is not None and not look.found,
        calm=_calm(look, limits),
        details=_window_details(look, limits),
        report_file=look.report_file,
    )


def _window_details(look: _Look, limits: MonitoringSettings) -> AlertDetails:
    return replace(
        alert_text.drift_details(
            look.found,
            look.measured,
            limits,
            distances=look.distances,
            rows=look.window.rows,
            period=look.window.period,
            model_version=look.model_version,
            at=look.at,
            run_key=look.run_key,
        ),
        changes=look.changes,
    )


def _queue(look: _Look, limits: MonitoringSettings) -> Observed:
    oldest, allowed = look.queue.oldest_open_at, timedelta(hours=limits.max_open_task_hours)
    late_since = oldest + allowed if look.waiting and oldest else look.at
    return Observed(
        kind=AlertKind.QUEUE,
        model_version=None,
        headline=look.waiting.headline if look.waiting else None,
        can_judge=True,
        calm=f"No open task has waited longer than {limits.max_open_task_hours:g} hours any more.",
        details=alert_text.queue_details(look.waiting, counts=look.queue, at=late_since, run_key=look.run_key),
    )


def _sentences(look: _Look, limits: MonitoringSettings) -> Iterator[str]:
    if not look.found:
        yield _calm(look, limits)
    if look.measured:
        yield from findings.within_sampling_noise(look.measured, limits)
    if look.queue.aside:
        yield f"Set aside in the queue: {look.queue.why_aside} (`restar labels reopen` asks again)."
    if look.low is None and look.quality is not None:
        yield production_quality.sentence(look.quality, limits)
    yield from (finding.sentence for finding in look.findings)


def _calm(look: _Look, limits: MonitoringSettings) -> str:
    if look.measured is None:
        return (
            f"{look.model_version} has scored {look.window.rows:,} reviews that came after its training: too few to "
            f"judge (monitoring.min_rows = {limits.min_rows:,}), nothing was compared."
        )
    return (
        f"No drift: {look.window.rows:,} reviews, largest population stability index "
        f"{look.measured.columns[0].psi:.3f} ({look.measured.columns[0].name}), "
        f"mean confidence {look.measured.mean_confidence:.3f}."
    )
