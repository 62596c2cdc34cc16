"""Sends what waits: every alert once over each channel; a channel that is away is tried again and holds up no other.

Called by DAG `watch_drift` right after the look, and every hour by DAG `send_alerts` for what could not leave then.
Messages are built by `monitoring.alerts.mail` and `monitoring.alerts.webhook`; that each alert goes once is ensured by
`monitoring.alerts.deliveries`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from restar_lib.errors import DeliveryFailed
from restar_lib.monitoring.alerts import mail, webhook
from restar_lib.monitoring.alerts.alert_log import Alert, AlertKind
from restar_lib.monitoring.alerts.deliveries import Channel, Deliver, DeliveryCounts, deliver_waiting, waiting
from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.monitoring.alerts.links import links_for
from restar_lib.monitoring.alerts.mail import Sender
from restar_lib.monitoring.alerts.notify import channels_of
from restar_lib.monitoring.alerts.row_examples import examples
from restar_lib.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SendCounts:
    """How sending went, over all channels."""

    sent: int
    failed: int
    held_back: int


def anything_waits(engine: Engine, settings: Settings) -> bool:
    """Whether some alert has not left over a configured channel."""
    return any(waiting(engine, channel) for channel in channels_of(settings))


def send_alerts(engine: Engine, settings: Settings, *, sender: Sender, now: datetime) -> SendCounts:
    """Send every alert that waits. Raises `DeliveryFailed` at the end where some did not leave; those keep waiting."""
    ways = {Channel.MAIL: _by_mail(engine, settings, sender), Channel.WEBHOOK: _by_webhook(settings)}
    counts = {
        channel: deliver_waiting(engine, channel, deliver=ways[channel], now=now) for channel in channels_of(settings)
    }
    for channel, count in counts.items():
        if count.sent:
            log.info("sent %d alerts to %s", count.sent, _address(channel, settings))
    stuck = [_complaint(channel, count, settings) for channel, count in counts.items() if count.failed]
    if stuck:
        raise DeliveryFailed(f"{'; '.join(stuck)}; they keep waiting and the next run tries again")
    return SendCounts(
        sent=sum(count.sent for count in counts.values()),
        failed=0,
        held_back=sum(count.held_back for count in counts.values()),
    )


def _by_mail(engine: Engine, settings: Settings, sender: Sender) -> Deliver:
    def deliver(alert: Alert) -> None:
        goes_on = alert.kind is AlertKind.REFUSED and alert.stage is not IncidentStage.ENDED
        shown = examples(engine) if goes_on else ()
        sender(mail.build_message(alert, settings, links_for(alert, settings), examples=shown))

    return deliver


def _by_webhook(settings: Settings) -> Deliver:
    def deliver(alert: Alert) -> None:
        webhook.post(webhook.build_content(alert, settings, links_for(alert, settings)), settings.webhook)

    return deliver


def _complaint(channel: Channel, count: DeliveryCounts, settings: Settings) -> str:
    check = f"the Airflow connection {settings.mail.conn_id!r}" if channel is Channel.MAIL else "webhook.url"
    left = count.failed + count.held_back
    return (
        f"{left} of {left + count.sent} alerts could not be sent to {_address(channel, settings)}: check {check}, and "
        "the log above for what it answered"
    )


def _address(channel: Channel, settings: Settings) -> str:
    return ", ".join(settings.mail.recipients) if channel is Channel.MAIL else "the webhook"
