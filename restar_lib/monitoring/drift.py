"""The watch: whether the newest reviews are still those that the champion was trained for.

Takes the champion's newest predictions for reviews that came after its training, compares them with the reference
that the model carries, writes the report page, and stores one row of `drift_report` together with the alerts
in one transaction. Asked again for the same run, it finds the same report and raises nothing twice. A window that is
too small says so and raises nothing. It also looks how long the oldest open task has waited.

Owns table `drift_report`. The thresholds are `monitoring.findings`', the statistics `monitoring.comparison`'s; it mails
nothing (`monitoring.mail`) and starts no training (that is the DAG's business).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, select, update
from sqlalchemy.dialects.postgresql import insert

from restar_lib.errors import NothingToDo
from restar_lib.labeling import queue
from restar_lib.labeling.queue import QueueCounts
from restar_lib.monitoring import alerts, comparison, findings, page
from restar_lib.monitoring.alerts import AlertKind, NewAlert
from restar_lib.monitoring.features import columns_of, read_reference
from restar_lib.monitoring.findings import ColumnDrift, Finding, FindingKind, Measured
from restar_lib.registry.release_log import champion_folder
from restar_lib.scoring.engine import ModelInfo
from restar_lib.scoring.predictions import Window, newest_window
from restar_lib.settings import Monitoring, Settings
from restar_lib.store.tables import DriftReport as DriftReportRow

log = logging.getLogger(__name__)

SERIES = 60
"""How many earlier reports are looked at to say since when something has been so."""


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """One look at the newest window."""

    drift_report_id: int
    run_key: str
    model_version: str
    window_rows: int
    window_start: datetime | None
    window_end: datetime | None
    enough_rows: bool
    columns: tuple[ColumnDrift, ...]
    """Empty where the window was too small to be compared; the column that moved most comes first."""
    drifted_share: float
    mean_confidence: float | None
    reference_confidence: float | None
    class_shift: float | None
    """By how much the share of a predicted class moved, the largest of the three, in [0, 1]."""
    findings: tuple[str, ...]
    """What there is to say, for a log or a summary."""
    alerts: tuple[Finding, ...]
    """The thresholds that were crossed."""
    report_file: str | None
    """Path below the reports folder."""
    created_at: datetime

    @property
    def drifted_columns(self) -> tuple[ColumnDrift, ...]:
        """The columns over their limit."""
        return tuple(column for column in self.columns if column.drifted)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What was seen, before it is stored."""

    run_key: str
    at: datetime
    model_version: str
    window: Window
    measured: Measured | None
    """None where the window was too small."""
    found: tuple[Finding, ...]
    """About the window."""
    queue: QueueCounts
    waiting: Finding | None
    """About the queue."""
    report_file: str | None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """About both."""
        return (*self.found, *([self.waiting] if self.waiting else []))


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


def find(engine: Engine, run_key: str) -> DriftReport | None:
    """The report of a run, where there is one."""
    with engine.connect() as connection:
        row = connection.execute(_by_run_key(run_key)).one_or_none()
    return None if row is None else _report(row)


def newest(engine: Engine, *, limit: int) -> tuple[DriftReport, ...]:
    """The newest reports first, for pages and summaries."""
    query = select(DriftReportRow.__table__).order_by(DriftReportRow.drift_report_id.desc()).limit(limit)
    with engine.connect() as connection:
        return tuple(_report(row) for row in connection.execute(query))


def forget_reports(connection: Connection, files: Iterable[str]) -> None:
    """Take the link to deleted report files from their rows; the numbers stay."""
    statement = update(DriftReportRow).where(DriftReportRow.report_file.in_(list(files))).values(report_file=None)
    connection.execute(statement)


def _look(engine: Engine, settings: Settings, folder: Path, *, run_key: str, now: datetime) -> _Look:
    limits = settings.monitoring
    open_tasks = queue.counts(engine)
    look = _Look(
        run_key=run_key,
        at=now,
        model_version=folder.name,
        window=_window(engine, folder, rows=limits.window_rows),
        measured=None,
        found=(),
        queue=open_tasks,
        waiting=findings.judge_queue(open_tasks.oldest_open_at, limits, now=now),
        report_file=None,
    )
    return _compared(look, settings, folder) if look.window.rows >= limits.min_rows else look


def _window(engine: Engine, folder: Path, *, rows: int) -> Window:
    """The newest reviews that came after the training set of the model in `folder` was frozen.

    Not "all that it has not learned from": training takes every review of a rare class and a sample of the others, so
    what it left over is no fair picture of the stream.
    """
    # A model's time is that of its training set: training adds nothing that came later.
    trained_at = datetime.fromisoformat(ModelInfo.read(folder).created_at)
    with engine.connect() as connection:
        return newest_window(connection, model_version=folder.name, arrived_after=trained_at, rows=rows)


def _compared(look: _Look, settings: Settings, folder: Path) -> _Look:
    """The look with the window measured, judged, and shown on a page."""
    limits, reference = settings.monitoring, read_reference(folder)
    columns = columns_of(look.window.observations, reference.vocabulary_set)
    compared = comparison.compare(
        reference.columns, columns, max_psi=limits.max_psi, max_drifted_share=limits.max_drifted_share
    )
    measured = findings.measure(reference.columns, columns, psi=compared.psi, max_psi=limits.max_psi)
    head = page.Head(
        model_version=look.model_version,
        rows=look.window.rows,
        reference_rows=reference.columns.rows,
        period=look.window.period,
        looked_at=look.at,
        notice=settings.simulated_notice,
    )
    found = findings.judge(measured, limits)
    file = page.file_name(look.run_key)
    page.write(settings.reports_dir / file, compared.html, head, measured=measured, found=found, limits=limits)
    return replace(look, measured=measured, found=found, report_file=file)


def _store(engine: Engine, settings: Settings, look: _Look) -> DriftReport:
    """Store the look and its alerts in one transaction; of two looks for the same run the first one stays."""
    values = {
        "run_key": look.run_key,
        "model_version": look.model_version,
        "window_rows": look.window.rows,
        "window_start": look.window.start,
        "window_end": look.window.end,
        "enough_rows": look.measured is not None,
        "findings": _to_json(look, settings.monitoring),
        "report_file": look.report_file,
        "created_at": look.at,
    }
    statement = insert(DriftReportRow).values(values).on_conflict_do_nothing(index_elements=["run_key"])
    with engine.begin() as connection:
        since = _since(connection, look)
        if connection.execute(statement).rowcount:
            for alert in _alerts(look, settings.monitoring, since=since):
                alerts.raise_within(connection, alert, now=look.at)
        return _report(connection.execute(_by_run_key(look.run_key)).one())


def _by_run_key(run_key: str) -> Select[Any]:
    return select(DriftReportRow.__table__).where(DriftReportRow.run_key == run_key)


def _alerts(look: _Look, limits: Monitoring, *, since: datetime) -> Iterator[NewAlert]:
    if look.measured and look.found:
        yield NewAlert(
            key=f"drift:{look.run_key}",
            kind=AlertKind.DRIFT,
            subject=f"Drift: {findings.subject(look.found)}",
            details=findings.drift_details(
                look.found,
                look.measured,
                limits,
                rows=look.window.rows,
                period=look.window.period,
                model_version=look.model_version,
                since=since,
                run_key=look.run_key,
            ),
            report_file=look.report_file,
        )
    if look.waiting and look.queue.oldest_open_at:
        late = look.queue.oldest_open_at + timedelta(hours=limits.max_open_task_hours)
        details = findings.queue_details(look.waiting, open_tasks=look.queue.open, since=late, run_key=look.run_key)
        subject = f"Labeling queue: {look.waiting.headline}"
        yield NewAlert(key=f"queue:{look.run_key}", kind=AlertKind.QUEUE, subject=subject, details=details)


def _since(connection: Connection, look: _Look) -> datetime:
    """When the uninterrupted series began in which every look at this model that could judge found the same."""
    query = (
        select(DriftReportRow.__table__)
        .where(DriftReportRow.model_version == look.model_version, DriftReportRow.enough_rows)
        .order_by(DriftReportRow.drift_report_id.desc())
        .limit(SERIES)
    )
    since = look.at
    for earlier in map(_report, connection.execute(query)):
        if not {alert.kind for alert in earlier.alerts} & {finding.kind for finding in look.found}:
            break
        since = min(since, earlier.created_at)
    return since


def _to_json(look: _Look, limits: Monitoring) -> dict[str, Any]:
    measured = look.measured
    return {
        "columns": [asdict(column) for column in measured.columns] if measured else [],
        "drifted_share": measured.drifted_share if measured else 0.0,
        "mean_confidence": measured.mean_confidence if measured else None,
        "reference_confidence": measured.reference_confidence if measured else None,
        "class_shift": measured.class_shift if measured else None,
        "findings": list(_sentences(look, limits)),
        "alerts": [asdict(finding) for finding in look.findings],
    }


def _sentences(look: _Look, limits: Monitoring) -> Iterator[str]:
    if look.measured is None:
        yield (
            f"{look.model_version} has scored {look.window.rows:,} reviews that came after its training: too few to "
            f"judge (monitoring.min_rows = {limits.min_rows:,}), nothing was compared."
        )
    elif not look.found:
        yield (
            f"No drift: {look.window.rows:,} reviews, largest population stability index "
            f"{look.measured.columns[0].psi:.3f} ({look.measured.columns[0].name}), "
            f"mean confidence {look.measured.mean_confidence:.3f}."
        )
    yield from (finding.sentence for finding in look.findings)


def _report(row: Any) -> DriftReport:
    content = row.findings
    return DriftReport(
        drift_report_id=row.drift_report_id,
        run_key=row.run_key,
        model_version=row.model_version,
        window_rows=row.window_rows,
        window_start=row.window_start,
        window_end=row.window_end,
        enough_rows=row.enough_rows,
        columns=tuple(ColumnDrift(**column) for column in content["columns"]),
        drifted_share=content["drifted_share"],
        mean_confidence=content["mean_confidence"],
        reference_confidence=content["reference_confidence"],
        class_shift=content["class_shift"],
        findings=tuple(content["findings"]),
        alerts=tuple(Finding(**alert | {"kind": FindingKind(alert["kind"])}) for alert in content["alerts"]),
        report_file=row.report_file,
        created_at=row.created_at,
    )
