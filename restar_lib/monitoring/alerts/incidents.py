"""Incidents: an uninterrupted series of looks that found the same kind of trouble, so that people get one alert.

open -> (seen again, reminded of) -> closed. A look that finds something opens an incident or continues the open one; a
look that could judge and finds nothing closes it; a look that cannot judge changes nothing. At most one incident of a
kind is open: a unique index ensures that. Everything happens in the transaction of the look.

Owns table `incident`. It writes no alert and knows no threshold (`monitoring.drift.findings` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from restar_lib.store.database import lock
from restar_lib.store.tables import IncidentRow

LOCK = "incident"


class IncidentStage(StrEnum):
    """The stage of the incident that an alert is about."""

    OPENED = "opened"
    REMINDER = "reminder"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One row of table `incident`."""

    incident_id: int
    kind: str
    model_version: str | None
    opened_at: datetime
    last_seen_at: datetime
    times_seen: int
    told_at: datetime
    closed_at: datetime | None
    retrain_asked_at: datetime | None
    retrain_asked_by: str | None


def one_at_a_time(connection: Connection) -> None:
    """Wait until no other look decides about incidents; held until this transaction ends."""
    lock(connection, LOCK)


def open_incident(connection: Connection, kind: str) -> Incident | None:
    """The open incident of a kind, where there is one."""
    query = select(IncidentRow.__table__).where(_is_open(kind))
    row = connection.execute(query).one_or_none()
    return None if row is None else _incident(row)


def open_or_continue(
    connection: Connection, kind: str, *, model_version: str | None, now: datetime
) -> tuple[Incident, bool]:
    """Continue the open incident of this kind, or open one; and whether this look opened it."""
    again = (
        update(IncidentRow)
        .where(_is_open(kind))
        .values(last_seen_at=now, times_seen=IncidentRow.times_seen + 1)
        .returning(IncidentRow.__table__)
    )
    row = connection.execute(again).one_or_none()
    if row is not None:
        return _incident(row), False
    values = {"kind": kind, "model_version": model_version, "opened_at": now, "last_seen_at": now, "told_at": now}
    opened = insert(IncidentRow).values(values).returning(IncidentRow.__table__)
    return _incident(connection.execute(opened).one()), True


def is_due(incident: Incident, *, remind_after: timedelta, now: datetime) -> bool:
    """Whether a reminder is due; never where `remind_after` is zero."""
    return bool(remind_after) and now - incident.told_at >= remind_after


def record_reminder(connection: Connection, incident: Incident, *, now: datetime) -> None:
    """Store that people are reminded now."""
    connection.execute(update(IncidentRow).where(_this(incident)).values(told_at=now))


def close(connection: Connection, incident: Incident, *, now: datetime) -> None:
    """End the incident. The next look that finds something opens another one."""
    connection.execute(update(IncidentRow).where(_this(incident)).values(closed_at=now))


def record_request(connection: Connection, incident: Incident, *, run_key: str, now: datetime) -> None:
    """Store that this run requested a retraining because of this incident."""
    values = {"retrain_asked_at": now, "retrain_asked_by": run_key}
    connection.execute(update(IncidentRow).where(_this(incident)).values(values))


def _is_open(kind: str) -> ColumnElement[bool]:
    return (IncidentRow.kind == kind) & IncidentRow.closed_at.is_(None)


def _this(incident: Incident) -> ColumnElement[bool]:
    return (IncidentRow.incident_id == incident.incident_id) & IncidentRow.closed_at.is_(None)


def _incident(row: Any) -> Incident:
    return Incident(**row._asdict())
