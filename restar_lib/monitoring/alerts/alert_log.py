"""Alerts, one row each, for the person on call: an incident opened, continues, or ended.

Raising one is harmless to repeat: the key decides. How it leaves, and that it leaves once over each channel, is
decided by `monitoring.alerts.deliveries`; what is wrong, by `monitoring.drift.findings`.

Owns table `alert`. Decides nothing about drift (`monitoring.watch`), writes no mail and knows no SMTP
(`monitoring.alerts.mail`). Called by the watch and by housekeeping.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects.postgresql import insert

from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import AlertRow

log = logging.getLogger(__name__)


class AlertKind(StrEnum):
    """What an alert is about."""

    DRIFT = "drift"
    """The newest reviews are not what the champion learned from."""
    CONFIDENCE = "confidence"
    """The champion is less sure than it should be, on reviews that did not drift."""
    QUEUE = "queue"
    """The oldest open task has waited too long."""
    QUALITY = "quality"
    """Macro-F1 on fresh audit labels is under its floor."""
    REFUSED = "refused"
    """Many rows of a source could not be read."""


@dataclass(frozen=True, kw_only=True)
class AlertNumber:
    """One line of an alert's table: what was measured, and what would be normal."""

    name: str
    value: str
    normal: str
    bad: bool


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of an alert's picture."""

    name: str
    value: float
    text: str
    over: bool


@dataclass(frozen=True, kw_only=True)
class BarChart:
    """A small bar chart that every mail program can show: it is drawn as a table."""

    title: str
    caption: str
    full: float
    """The value at which a bar is full; larger ones are cut."""
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class ColumnShape:
    """One column before and now, as shares over the same bins or values."""

    name: str
    labels: tuple[str, ...]
    before: tuple[float, ...]
    now: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class AlertDetails:
    """What the person on call reads; stored as JSON in `alert.details`."""

    findings: tuple[str, ...]
    """What is wrong and how bad, one sentence each."""
    since: datetime
    """When the first finding of this uninterrupted series was made."""
    numbers: tuple[AlertNumber, ...] = ()
    pictures: tuple[BarChart, ...] = ()
    shapes: tuple[ColumnShape, ...] = ()
    """The columns that moved most, for the drawn picture."""
    changes: tuple[str, ...] = ()
    """What else changed since the last look that found nothing, oldest first."""
    actions: tuple[str, ...] = ()
    """What to do, the likeliest first."""
    dag_id: str
    run_key: str
    """The Airflow run that found it, or who else asked."""

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return asdict(self) | {"since": self.since.isoformat()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            findings=tuple(content["findings"]),
            since=datetime.fromisoformat(content["since"]),
            numbers=tuple(AlertNumber(**number) for number in content["numbers"]),
            pictures=tuple(_picture(picture) for picture in content["pictures"]),
            shapes=tuple(_shape(shape) for shape in content.get("shapes", ())),
            changes=tuple(content.get("changes", ())),
            actions=tuple(content["actions"]),
            dag_id=content["dag_id"],
            run_key=content["run_key"],
        )


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One row of table `alert`."""

    alert_id: int
    alert_key: str
    kind: AlertKind
    stage: IncidentStage
    incident_id: int | None
    subject: str
    details: AlertDetails
    report_file: str | None
    """Path below the reports folder."""
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class NewAlert:
    """An alert to be raised."""

    key: str
    """What makes raising it twice harmless, for example `drift:12:opened`."""
    kind: AlertKind
    subject: str
    details: AlertDetails
    report_file: str | None = None
    stage: IncidentStage = IncidentStage.OPENED
    incident_id: int | None = None


def raise_within(connection: Connection, alert: NewAlert, *, now: datetime) -> Alert:
    """Store an alert where what it reports is stored; under a known key, change nothing and return what is there."""
    values = {
        "alert_key": alert.key,
        "kind": alert.kind.value,
        "stage": alert.stage.value,
        "incident_id": alert.incident_id,
        "subject": alert.subject,
        "details": alert.details.to_json(),
        "report_file": alert.report_file,
        "created_at": now,
    }
    made = connection.execute(insert(AlertRow).values(values).on_conflict_do_nothing(index_elements=["alert_key"]))
    row = connection.execute(select(AlertRow.__table__).where(AlertRow.alert_key == alert.key)).one()
    if made.rowcount:
        log.warning("alert %d raised (%s): %s", row.alert_id, alert.key, alert.subject)
    return alert_of(row)


def newest_alert(engine: Engine, kind: AlertKind, stage: IncidentStage) -> Alert | None:
    """The newest alert of a kind at a stage; None where there never was one."""
    query = (
        select(AlertRow.__table__)
        .where(AlertRow.kind == kind.value, AlertRow.stage == stage.value)
        .order_by(AlertRow.alert_id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else alert_of(row)


def forget_reports(connection: Connection, files: Iterable[str]) -> None:
    """Take the link to deleted report files from the alerts that have one."""
    statement = update(AlertRow).where(one_of(AlertRow.report_file, list(files))).values(report_file=None)
    connection.execute(statement)


def alert_of(row: Any) -> Alert:
    """A row of table `alert` as a value."""
    values = row._asdict()
    typed = {
        "kind": AlertKind(row.kind),
        "stage": IncidentStage(row.stage),
        "details": AlertDetails.from_json(row.details),
    }
    return Alert(**values | typed)


def _picture(content: dict[str, Any]) -> BarChart:
    return BarChart(**content | {"bars": tuple(Bar(**bar) for bar in content["bars"])})


def _shape(content: dict[str, Any]) -> ColumnShape:
    return ColumnShape(name=content["name"], **{name: tuple(content[name]) for name in ("labels", "before", "now")})
