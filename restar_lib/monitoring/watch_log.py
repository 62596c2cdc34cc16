"""Drift reports: what each look at the newest window saw, one row for each run that asked.

Owns table `drift_report`. It measures nothing and judges nothing (`monitoring.watch` looks and stores through here).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, select, update
from sqlalchemy.dialects.postgresql import insert

from restar_lib.monitoring import production_quality
from restar_lib.monitoring.drift.findings import ColumnDrift, DriftMeasurements, Finding, FindingKind
from restar_lib.monitoring.production_quality import ProductionQuality
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import DriftReportRow

SERIES = 60
"""How many earlier reports are looked at for the last one that found nothing."""


@dataclass(frozen=True, kw_only=True)
class NewDriftReport:
    """A look to be stored."""

    run_key: str
    model_version: str
    window_rows: int
    window_start: datetime | None
    window_end: datetime | None
    measured: DriftMeasurements | None
    """None where the window was too small to be compared."""
    quality: ProductionQuality | None
    sentences: tuple[str, ...]
    alerts: tuple[Finding, ...]
    report_file: str | None
    created_at: datetime


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
    quality: ProductionQuality | None
    """Accuracy and macro-F1 on fresh audit labels; None where there were none."""
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


def last_calm_at(engine: Engine) -> datetime | None:
    """When the newest look that could judge found nothing; None where none of the last ones did."""
    calm = (report for report in newest(engine, limit=SERIES) if report.enough_rows and not report.alerts)
    return next((report.created_at for report in calm), None)


def store_within(connection: Connection, report: NewDriftReport) -> tuple[DriftReport, bool]:
    """Store a look, and whether it is new: of two looks for the same run the first one stays."""
    values = {
        "run_key": report.run_key,
        "model_version": report.model_version,
        "window_rows": report.window_rows,
        "window_start": report.window_start,
        "window_end": report.window_end,
        "enough_rows": report.measured is not None,
        "findings": _to_json(report),
        "report_file": report.report_file,
        "created_at": report.created_at,
    }
    made = connection.execute(insert(DriftReportRow).values(values).on_conflict_do_nothing(index_elements=["run_key"]))
    return _report(connection.execute(_by_run_key(report.run_key)).one()), bool(made.rowcount)


def forget_reports(connection: Connection, files: Iterable[str]) -> None:
    """Take the link to deleted report files from their rows; the numbers stay."""
    gone = one_of(DriftReportRow.report_file, list(files))
    statement = update(DriftReportRow).where(gone).values(report_file=None)
    connection.execute(statement)


def _by_run_key(run_key: str) -> Select[Any]:
    return select(DriftReportRow.__table__).where(DriftReportRow.run_key == run_key)


def _to_json(report: NewDriftReport) -> dict[str, Any]:
    measured = report.measured
    return {
        "columns": [asdict(column) for column in measured.columns] if measured else [],
        "drifted_share": measured.drifted_share if measured else 0.0,
        "mean_confidence": measured.mean_confidence if measured else None,
        "reference_confidence": measured.reference_confidence if measured else None,
        "class_shift": measured.class_shift if measured else None,
        "quality": asdict(report.quality) if report.quality else None,
        "findings": list(report.sentences),
        "alerts": [asdict(finding) for finding in report.alerts],
    }


def _report(row: Any) -> DriftReport:
    content = row.findings
    quality = content.get("quality")
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
        quality=production_quality.from_json(quality) if quality else None,
        findings=tuple(content["findings"]),
        alerts=tuple(Finding(**alert | {"kind": FindingKind(alert["kind"])}) for alert in content["alerts"]),
        report_file=row.report_file,
        created_at=row.created_at,
    )
