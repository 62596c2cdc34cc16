"""When trouble asks for a retraining: an open incident of drift, confidence or quality, where configured.

An incident that goes on does not storm: it asks when it is first seen, and again after a cool-down at the earliest.
While a training would be put off anyway (`training.cooldown_minutes` after the last verdict), nothing is asked and
nothing is noted, so the next watch asks instead. The DAG turns the answer into an asset event; this module starts no
training.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from restar_lib.errors import NothingToDo
from restar_lib.monitoring.alerts import incidents
from restar_lib.monitoring.alerts.alert_log import AlertKind
from restar_lib.monitoring.alerts.incidents import Incident
from restar_lib.retraining.policy import is_cooling_down, may_ask
from restar_lib.retraining.state import cooldown_of, standing
from restar_lib.settings import Settings

log = logging.getLogger(__name__)

ASKING = (AlertKind.DRIFT, AlertKind.CONFIDENCE, AlertKind.QUALITY)


@dataclass(frozen=True, kw_only=True)
class RetrainingRequest:
    """A retraining is asked for."""

    incidents: tuple[int, ...]
    """Because of these."""


def ask(engine: Engine, settings: Settings, *, run_key: str, now: datetime) -> RetrainingRequest:
    """Ask for a retraining because of what is open. Raises `NothingToDo` with the reason why not.

    A run that asked already asks again: it may have been killed before its event left.
    """
    if not settings.monitoring.retrain_on_drift:
        raise NothingToDo("no retraining is asked for: monitoring.retrain_on_drift is off")
    stands = standing(engine)
    if is_cooling_down(stands.judged_at, cooldown=cooldown_of(settings), now=now):
        raise NothingToDo(
            f"the last challenger was judged at {stands.judged_at:%Y-%m-%d %H:%M}, less than {cooldown_of(settings)} "
            "ago (training.cooldown_minutes): the next watch asks, if it is still so then"
        )
    cooldown = timedelta(hours=settings.monitoring.retrain_cooldown_hours)
    with engine.begin() as connection:
        incidents.one_at_a_time(connection)
        found = [incidents.open_incident(connection, kind) for kind in ASKING]
        asking = [it for it in found if it and _may_ask(it, cooldown=cooldown, run_key=run_key, now=now)]
        if not asking:
            raise NothingToDo(_why_not([it for it in found if it], cooldown=cooldown))
        for incident in asking:
            incidents.note_asked(connection, incident, run_key=run_key, now=now)
    request = RetrainingRequest(incidents=tuple(incident.incident_id for incident in asking))
    log.info("a retraining is asked for because of incident %s", ", ".join(map(str, request.incidents)))
    return request


def _may_ask(incident: Incident, *, cooldown: timedelta, run_key: str, now: datetime) -> bool:
    mine = incident.retrain_asked_by == run_key
    return mine or may_ask(incident.retrain_asked_at, cooldown=cooldown, now=now)


def _why_not(found: list[Incident], *, cooldown: timedelta) -> str:
    if not found:
        return "no incident of drift, confidence or quality is open"
    asked = "; ".join(f"incident {it.incident_id} asked at {it.retrain_asked_at:%Y-%m-%d %H:%M}" for it in found)
    return f"{asked}, and asks again after {cooldown} (monitoring.retrain_cooldown_hours)"
