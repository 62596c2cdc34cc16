"""Alerts that wait for their channels, as the watch raises them, and a sender to the mail catcher."""

import smtplib
from collections.abc import Iterable
from datetime import datetime
from email.message import EmailMessage

from sqlalchemy import Engine

from restar_lib.errors import MailFailed
from restar_lib.monitoring.alerts.alert_log import Alert, NewAlert, raise_within
from restar_lib.monitoring.alerts.deliveries import Channel, add_within
from restar_lib.monitoring.alerts.mail import Sender


def raise_alert(
    engine: Engine, alert: NewAlert, *, channels: Iterable[Channel] = (Channel.MAIL,), now: datetime
) -> Alert:
    """Store an alert that waits for these channels, in one transaction as `notify.raise_alerts` does."""
    with engine.begin() as connection:
        made = raise_within(connection, alert, now=now)
        add_within(connection, made.alert_id, channels=channels)
    return made


def sender_to(port: int) -> Sender:
    """A sender to a mail server on this machine, in the place of the one over Airflow's connection."""

    def send(message: EmailMessage) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as server:
                server.send_message(message)
        except OSError as error:  # SMTP's own errors are such
            raise MailFailed(str(error)) from error

    return send
