"""Each alert goes once over each channel, and a channel that is away holds up no other.

A delivery is a row from the moment its alert is raised, for the channels that were configured then. `deliver_waiting`
holds that row while the message goes out, so two runs at once send it once; one that fails waits for the next call, and
later alerts of the same incident wait behind it. A crash between a server's answer and the commit sends a
message a second time rather than never; a mail then carries the same Message-ID.

Owns table `alert_delivery`. It knows neither SMTP nor HTTP (`monitoring.alerts.mail`, `monitoring.alerts.webhook`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects.postgresql import insert

from restar_lib.errors import DeliveryFailed
from restar_lib.monitoring.alerts.alert_log import Alert, alert_of
from restar_lib.store.tables import AlertDelivery, AlertRow

log = logging.getLogger(__name__)

PROBLEM_LENGTH = 500


class Channel(StrEnum):
    """The ways out."""

    MAIL = "mail"
    WEBHOOK = "webhook"


Deliver = Callable[[Alert], None]
"""Sends one alert, or raises `DeliveryFailed`."""


@dataclass(frozen=True, kw_only=True)
class DeliveryCounts:
    """How sending the waiting alerts went."""

    sent: int
    failed: int
    held_back: int
    """Behind an earlier alert of the same incident that did not leave, or in another run's hands at this moment."""


def add_within(connection: Connection, alert_id: int, *, channels: Iterable[Channel]) -> None:
    """Let an alert wait for these channels; what is there already stays as it is."""
    rows = [{"alert_id": alert_id, "channel": channel.value} for channel in channels]
    if rows:
        connection.execute(insert(AlertDelivery).values(rows).on_conflict_do_nothing())


def waiting(engine: Engine, channel: Channel) -> tuple[Alert, ...]:
    """The alerts that have not left over `channel` yet, oldest first."""
    query = (
        select(AlertRow.__table__)
        .join(AlertDelivery, AlertDelivery.alert_id == AlertRow.alert_id)
        .where(AlertDelivery.channel == channel.value, AlertDelivery.delivered_at.is_(None))
        .order_by(AlertRow.alert_id)
    )
    with engine.connect() as connection:
        return tuple(alert_of(row) for row in connection.execute(query))


def deliver_waiting(engine: Engine, channel: Channel, *, deliver: Deliver, now: datetime) -> DeliveryCounts:
    """Hand what waits for `channel` to `deliver`, each in its own transaction; one that fails stops no other incident.

    `deliver` raises `DeliveryFailed` where the message did not leave; it then waits for the next call, and so it does
    after any other error.
    """
    outcomes: list[bool | None] = []
    stuck: set[int] = set()
    for alert in waiting(engine, channel):
        if alert.incident_id in stuck:  # an all-clear never comes before what it clears
            outcomes.append(None)
            continue
        outcome = _send(engine, alert, channel, deliver=deliver, now=now)
        outcomes.append(outcome)
        if outcome is not True and alert.incident_id is not None:
            stuck.add(alert.incident_id)
    return DeliveryCounts(sent=outcomes.count(True), failed=outcomes.count(False), held_back=outcomes.count(None))


def _send(engine: Engine, alert: Alert, channel: Channel, *, deliver: Deliver, now: datetime) -> bool | None:
    this = (AlertDelivery.alert_id == alert.alert_id) & (AlertDelivery.channel == channel.value)
    still_waits = this & AlertDelivery.delivered_at.is_(None)
    held = select(AlertDelivery.alert_id).where(still_waits).with_for_update(skip_locked=True)
    tried = update(AlertDelivery).where(still_waits)
    with engine.begin() as connection:
        if connection.execute(held).one_or_none() is None:
            return None
        try:
            deliver(alert)
        except Exception as error:  # one alert that cannot be written or sent must not hold up the others
            known = isinstance(error, DeliveryFailed)
            # What nobody foresaw may quote a secret: the table gets its kind alone, the log where it happened.
            problem = str(error)[:PROBLEM_LENGTH] if known else type(error).__name__
            line = "alert %d stays waiting for %s and is tried again: %s"
            log.warning(line, alert.alert_id, channel, problem, exc_info=not known)
            connection.execute(tried.values(attempts=AlertDelivery.attempts + 1, last_problem=problem))
            return False
        values = {"delivered_at": now, "attempts": AlertDelivery.attempts + 1, "last_problem": None}
        connection.execute(tried.values(values))
        return True
