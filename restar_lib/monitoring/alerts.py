"""Alerts: what a person should act on, one row each, and each mailed once.

Raising one is harmless to repeat: the key decides. `mail_waiting` holds an alert's row while its mail goes out, so two
runs at once mail it once; a mail that could not be sent leaves the alert waiting for the next run. A crash between the
mail server's answer and our commit mails an alert a second time, under the same Message-ID, rather than never.

Owns table `alert`. Decides nothing about drift (`monitoring.drift`), writes no mail and knows no SMTP
(`monitoring.mail`). Called by the watch and by housekeeping.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects.postgresql import insert

from restar_lib.errors import MailFailed
from restar_lib.store.tables import AlertRow

log = logging.getLogger(__name__)


class AlertKind(StrEnum):
    """What an alert is about."""

    DRIFT = "drift"
    QUEUE = "queue"


@dataclass(frozen=True, kw_only=True)
class Number:
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
class Picture:
    """A small bar chart that every mail program can show: it is drawn as a table."""

    title: str
    caption: str
    full: float
    """The value at which a bar is full; larger ones are cut."""
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class AlertDetails:
    """What the person on call reads; stored as JSON in `alert.details`."""

    findings: tuple[str, ...]
    """What is wrong and how bad, one sentence each."""
    since: datetime
    """When the first finding of this uninterrupted series was made."""
    numbers: tuple[Number, ...] = ()
    pictures: tuple[Picture, ...] = ()
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
            numbers=tuple(Number(**number) for number in content["numbers"]),
            pictures=tuple(_picture(picture) for picture in content["pictures"]),
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
    subject: str
    details: AlertDetails
    report_file: str | None
    """Path below the reports folder."""
    created_at: datetime
    mailed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class MailCounts:
    """How mailing the waiting alerts went."""

    sent: int
    failed: int
    elsewhere: int
    """Alerts that another run was mailing at this moment."""


@dataclass(frozen=True, kw_only=True)
class NewAlert:
    """An alert to be raised."""

    key: str
    """What makes raising it twice harmless, for example `drift:<run key>`."""
    kind: AlertKind
    subject: str
    details: AlertDetails
    report_file: str | None = None


def raise_alert(engine: Engine, alert: NewAlert, *, now: datetime) -> Alert:
    """Store an alert; under a key that is known already, change nothing and return the one that is there."""
    with engine.begin() as connection:
        return raise_within(connection, alert, now=now)


def raise_within(connection: Connection, alert: NewAlert, *, now: datetime) -> Alert:
    """`raise_alert` as part of a transaction: the alert stands exactly where what it reports stands."""
    values = {
        "alert_key": alert.key,
        "kind": alert.kind.value,
        "subject": alert.subject,
        "details": alert.details.to_json(),
        "report_file": alert.report_file,
        "created_at": now,
    }
    made = connection.execute(insert(AlertRow).values(values).on_conflict_do_nothing(index_elements=["alert_key"]))
    row = connection.execute(select(AlertRow.__table__).where(AlertRow.alert_key == alert.key)).one()
    if made.rowcount:
        log.warning("alert %d raised (%s): %s", row.alert_id, alert.key, alert.subject)
    return _alert(row)


def unmailed(engine: Engine) -> tuple[Alert, ...]:
    """The alerts that still wait for their mail, oldest first."""
    query = select(AlertRow.__table__).where(AlertRow.mailed_at.is_(None)).order_by(AlertRow.alert_id)
    with engine.connect() as connection:
        return tuple(_alert(row) for row in connection.execute(query))


def mark_mailed(connection: Connection, alert_id: int, *, now: datetime) -> bool:
    """Note that the mail left; False where it had been noted before."""
    statement = (
        update(AlertRow).where(AlertRow.alert_id == alert_id, AlertRow.mailed_at.is_(None)).values(mailed_at=now)
    )
    return connection.execute(statement).rowcount == 1


def mail_waiting(engine: Engine, *, deliver: Callable[[Alert], None], now: datetime) -> MailCounts:
    """Hand every waiting alert to `deliver`, each in its own transaction; one that fails does not stop the others.

    `deliver` raises `MailFailed` where the mail did not leave; the alert then waits for the next call.
    """
    outcomes = [_mail(engine, alert.alert_id, deliver=deliver, now=now) for alert in unmailed(engine)]
    return MailCounts(sent=outcomes.count(True), failed=outcomes.count(False), elsewhere=outcomes.count(None))


def forget_reports(connection: Connection, files: Iterable[str]) -> None:
    """Take the link to deleted report files from the alerts that have one."""
    statement = update(AlertRow).where(AlertRow.report_file.in_(list(files))).values(report_file=None)
    connection.execute(statement)


def _mail(engine: Engine, alert_id: int, *, deliver: Callable[[Alert], None], now: datetime) -> bool | None:
    held = (
        select(AlertRow.__table__)
        .where(AlertRow.alert_id == alert_id, AlertRow.mailed_at.is_(None))
        .with_for_update(skip_locked=True)
    )
    with engine.begin() as connection:
        row = connection.execute(held).one_or_none()
        if row is None:
            return None
        try:
            deliver(_alert(row))
        except MailFailed as error:
            log.warning("alert %d stays unmailed and is tried again by the next run: %s", alert_id, error)
            return False
        return mark_mailed(connection, alert_id, now=now)


def _alert(row: Any) -> Alert:
    values = row._asdict()
    return Alert(**values | {"kind": AlertKind(row.kind), "details": AlertDetails.from_json(row.details)})


def _picture(content: dict[str, Any]) -> Picture:
    return Picture(**content | {"bars": tuple(Bar(**bar) for bar in content["bars"])})
