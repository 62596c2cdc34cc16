"""From the observations of one look at the data to alerts: when an incident opens, as reminders, and when it has ended.

A look makes one observation for each kind of alert. Trouble found: the incident opens or continues. None found by a
look that could judge: the incident ends, with an all-clear. A look that could not judge changes nothing. An incident
about a model that no longer serves ends too, and its last alert says so: the new model is judged on its own.

Runs in the transaction of the look, so that alerts are stored exactly where the report is. It sends nothing
(`monitoring.alerts.send`) and judges nothing. Called by `monitoring.watch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from restar_lib.monitoring.alerts import incidents
from restar_lib.monitoring.alerts.alert_log import AlertDetails, AlertKind, NewAlert, raise_within
from restar_lib.monitoring.alerts.deliveries import Channel, add_within
from restar_lib.monitoring.alerts.incidents import Incident, IncidentStage
from restar_lib.settings import Settings

NAMES = {
    AlertKind.DRIFT: "Drift",
    AlertKind.CONFIDENCE: "Confidence",
    AlertKind.QUEUE: "Labeling queue",
    AlertKind.QUALITY: "Quality",
    AlertKind.REFUSED: "Refused rows",
}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What one look found about one kind of alert."""

    kind: AlertKind
    model_version: str | None
    """The champion that was looked at; None where the kind is about no model."""
    headline: str | None
    """What is wrong, for the subject line; None where nothing was found."""
    can_judge: bool
    """Whether finding nothing means that nothing is wrong."""
    calm: str
    """What to say where nothing was found."""
    details: AlertDetails
    report_file: str | None = None


def channels_of(settings: Settings) -> tuple[Channel, ...]:
    """The channels that are configured; none where mailing is switched off and there is no webhook."""
    configured = {Channel.MAIL: settings.mail.enabled, Channel.WEBHOOK: settings.webhook.url is not None}
    return tuple(channel for channel, is_on in configured.items() if is_on)


def raise_alerts(
    connection: Connection, observations: Iterable[Observed], settings: Settings, *, now: datetime
) -> None:
    """Open, continue or end the incidents of these observations, and store the alerts about them."""
    incidents.one_at_a_time(connection)
    for observed in observations:
        for alert in _alerts_of(connection, observed, settings, now=now):
            made = raise_within(connection, alert, now=now)
            add_within(connection, made.alert_id, channels=channels_of(settings))


def _alerts_of(connection: Connection, observed: Observed, settings: Settings, *, now: datetime) -> Iterator[NewAlert]:
    before = incidents.open_incident(connection, observed.kind)
    if before is not None and before.model_version != observed.model_version:
        incidents.close(connection, before, now=now)
        yield _superseded(before, observed, now=now)
        before = None
    if observed.headline is not None:
        yield from _found(connection, observed, settings, now=now)
    elif before is not None and observed.can_judge:
        incidents.close(connection, before, now=now)
        yield _all_clear(before, observed, now=now)


def _found(connection: Connection, observed: Observed, settings: Settings, *, now: datetime) -> Iterator[NewAlert]:
    incident, is_new = incidents.open_or_continue(
        connection, observed.kind, model_version=observed.model_version, now=now
    )
    subject = f"{NAMES[observed.kind]}: {observed.headline}"
    if is_new:
        yield _alert(incident, observed, IncidentStage.OPENED, subject=subject, details=observed.details)
        return
    remind_after = timedelta(hours=settings.monitoring.remind_after_hours)
    if incidents.is_due(incident, remind_after=remind_after, now=now):
        incidents.record_reminder(connection, incident, now=now)
        details = replace(observed.details, since=incident.opened_at)
        yield _alert(incident, observed, IncidentStage.REMINDER, subject=f"Still: {subject}", details=details)


def _all_clear(incident: Incident, observed: Observed, *, now: datetime) -> NewAlert:
    details = replace(
        observed.details,
        findings=(observed.calm, _lasted(incident, now=now)),
        since=incident.opened_at,
        actions=(),
        changes=(),
    )
    subject = f"All clear: {NAMES[observed.kind].lower()}"
    return _alert(incident, observed, IncidentStage.ENDED, subject=subject, details=details)


def _superseded(incident: Incident, observed: Observed, *, now: datetime) -> NewAlert:
    """Not "all clear": nobody knows whether the new model does better on the same reviews."""
    said = (
        f"{incident.model_version}, which this was about, does not serve any more.",
        f"{observed.model_version} does, and is judged by its own training reference.",
        observed.calm if observed.headline is None else f"Of the new one: {observed.headline}; another mail says more.",
        _lasted(incident, now=now),
    )
    details = replace(observed.details, findings=said, since=incident.opened_at, actions=(), changes=())
    subject = f"Ended: {NAMES[observed.kind].lower()} of {incident.model_version}"
    return _alert(incident, observed, IncidentStage.ENDED, subject=subject, details=details)


def _alert(
    incident: Incident, observed: Observed, stage: IncidentStage, *, subject: str, details: AlertDetails
) -> NewAlert:
    number = f":{incident.times_seen}" if stage is IncidentStage.REMINDER else ""
    return NewAlert(
        key=f"{incident.kind}:{incident.incident_id}:{stage}{number}",
        kind=observed.kind,
        subject=subject,
        details=details,
        report_file=observed.report_file,
        stage=stage,
        incident_id=incident.incident_id,
    )


def _lasted(incident: Incident, *, now: datetime) -> str:
    hours = max(0.0, (now - incident.opened_at) / timedelta(hours=1))
    long = f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
    looks = "one look" if incident.times_seen == 1 else f"{incident.times_seen} looks"
    return f"Incident {incident.incident_id} lasted {long} and was found by {looks}."
