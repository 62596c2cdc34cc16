"""From what a look saw to what people are told: once when an incident opens, by reminders, and when it has ended.

A look hands in one sighting for each kind of alert. Found: the incident opens or goes on. Not found by a look that
could judge: it ends, with an all-clear. A look that could not judge changes nothing. An incident about a model that
does not serve any more ends too, and its last alert says just that: the new model is judged on its own.

Runs in the transaction of the look, so that alerts stand exactly where the report does. It sends nothing
(`monitoring.alerts.send`) and judges nothing.
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
}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What one look has to say about one kind of alert."""

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
    """The channels that are configured."""
    return (Channel.MAIL, Channel.WEBHOOK) if settings.webhook.url else (Channel.MAIL,)


def tell(connection: Connection, sightings: Iterable[Observed], settings: Settings, *, now: datetime) -> None:
    """Open, go on with, or end the incidents of these sightings, and raise what people should read about it."""
    incidents.one_at_a_time(connection)
    for sighting in sightings:
        for alert in _about(connection, sighting, settings, now=now):
            made = raise_within(connection, alert, now=now)
            add_within(connection, made.alert_id, channels=channels_of(settings))


def _about(connection: Connection, sighting: Observed, settings: Settings, *, now: datetime) -> Iterator[NewAlert]:
    before = incidents.open_incident(connection, sighting.kind)
    if before is not None and before.model_version != sighting.model_version:
        incidents.close(connection, before, now=now)
        yield _superseded(before, sighting, now=now)
        before = None
    if sighting.headline is not None:
        yield from _found(connection, sighting, settings, now=now)
    elif before is not None and sighting.can_judge:
        incidents.close(connection, before, now=now)
        yield _all_clear(before, sighting, now=now)


def _found(connection: Connection, sighting: Observed, settings: Settings, *, now: datetime) -> Iterator[NewAlert]:
    incident, is_new = incidents.see(connection, sighting.kind, model_version=sighting.model_version, now=now)
    subject = f"{NAMES[sighting.kind]}: {sighting.headline}"
    if is_new:
        yield _alert(incident, sighting, IncidentStage.OPENED, subject=subject, details=sighting.details)
        return
    remind_after = timedelta(hours=settings.monitoring.remind_after_hours)
    if incidents.is_due(incident, remind_after=remind_after, now=now):
        incidents.told(connection, incident, now=now)
        details = replace(sighting.details, since=incident.opened_at)
        yield _alert(incident, sighting, IncidentStage.REMINDER, subject=f"Still: {subject}", details=details)


def _all_clear(incident: Incident, sighting: Observed, *, now: datetime) -> NewAlert:
    details = replace(
        sighting.details,
        findings=(sighting.calm, _lasted(incident, now=now)),
        since=incident.opened_at,
        actions=(),
        changes=(),
    )
    subject = f"All clear: {NAMES[sighting.kind].lower()}"
    return _alert(incident, sighting, IncidentStage.ENDED, subject=subject, details=details)


def _superseded(incident: Incident, sighting: Observed, *, now: datetime) -> NewAlert:
    """Not "all clear": nobody knows whether the new model stands better before the same reviews."""
    said = (
        f"{incident.model_version}, which this was about, does not serve any more.",
        f"{sighting.model_version} does, and is judged by its own training reference.",
        sighting.calm if sighting.headline is None else f"Of the new one: {sighting.headline}; another mail says more.",
        _lasted(incident, now=now),
    )
    details = replace(sighting.details, findings=said, since=incident.opened_at, actions=(), changes=())
    subject = f"Ended: {NAMES[sighting.kind].lower()} of {incident.model_version}"
    return _alert(incident, sighting, IncidentStage.ENDED, subject=subject, details=details)


def _alert(
    incident: Incident, sighting: Observed, stage: IncidentStage, *, subject: str, details: AlertDetails
) -> NewAlert:
    number = f":{incident.times_seen}" if stage is IncidentStage.REMINDER else ""
    return NewAlert(
        key=f"{incident.kind}:{incident.incident_id}:{stage}{number}",
        kind=sighting.kind,
        subject=subject,
        details=details,
        report_file=sighting.report_file,
        stage=stage,
        incident_id=incident.incident_id,
    )


def _lasted(incident: Incident, *, now: datetime) -> str:
    hours = max(0.0, (now - incident.opened_at) / timedelta(hours=1))
    long = f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
    looks = "one look" if incident.times_seen == 1 else f"{incident.times_seen} looks"
    return f"Incident {incident.incident_id} lasted {long} and was found by {looks}."
