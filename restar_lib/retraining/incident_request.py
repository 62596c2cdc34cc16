"""When an open incident of drift, confidence or quality requests a retraining, where that is configured.

An incident that lasts does not request one at every look: it does when it is first seen, and again after a cool-down at
the earliest. While a training would be put off anyway (`training.cooldown_minutes` after the last verdict), nothing is
requested and nothing is stored, so the next look requests it instead. The DAG `watch_drift` turns the request into an
asset event; this module starts no training.
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
from restar_lib.retraining.policy import is_cooling_down, may_request
from restar_lib.retraining.training_state import training_cooldown, training_state
from restar_lib.settings import Settings

log = logging.getLogger(__name__)

REQUESTING_KINDS = (AlertKind.DRIFT, AlertKind.CONFIDENCE, AlertKind.QUALITY)


@dataclass(frozen=True, kw_only=True)
class RetrainingRequest:
    """A retraining is requested."""

    incidents: tuple[int, ...]
    """Because of these."""


def request_retraining(engine: Engine, settings: Settings, *, run_key: str, now: datetime) -> RetrainingRequest:
    """Request a retraining because of the open incidents. Raises `NothingToDo` with the reason why not.

    A run that has requested one already does so again: it may have been killed before its event left.
    """
    if not settings.monitoring.retrain_on_drift:
        raise NothingToDo("no retraining is asked for: monitoring.retrain_on_drift is off")
    state, rest = training_state(engine), training_cooldown(settings)
    if is_cooling_down(state.judged_at, cooldown=rest, now=now):
        raise NothingToDo(
            f"the last challenger was judged at {state.judged_at:%Y-%m-%d %H:%M}, less than {rest} "
            "ago (training.cooldown_minutes): the next watch asks, if it is still so then"
        )
    cooldown = timedelta(hours=settings.monitoring.retrain_cooldown_hours)
    with engine.begin() as connection:
        incidents.one_at_a_time(connection)
        found = [incidents.open_incident(connection, kind) for kind in REQUESTING_KINDS]
        requesting = [it for it in found if it and _may_request(it, cooldown=cooldown, run_key=run_key, now=now)]
        if not requesting:
            raise NothingToDo(_why_not([it for it in found if it], cooldown=cooldown))
        for incident in requesting:
            incidents.record_request(connection, incident, run_key=run_key, now=now)
    request = RetrainingRequest(incidents=tuple(incident.incident_id for incident in requesting))
    log.info("a retraining is asked for because of incident %s", ", ".join(map(str, request.incidents)))
    return request


def _may_request(incident: Incident, *, cooldown: timedelta, run_key: str, now: datetime) -> bool:
    by_this_run = incident.retrain_asked_by == run_key
    return by_this_run or may_request(incident.retrain_asked_at, cooldown=cooldown, now=now)


def _why_not(found: list[Incident], *, cooldown: timedelta) -> str:
    if not found:
        return "no incident of drift, confidence or quality is open"
    asked = "; ".join(f"incident {it.incident_id} asked at {it.retrain_asked_at:%Y-%m-%d %H:%M}" for it in found)
    return f"{asked}, and asks again after {cooldown} (monitoring.retrain_cooldown_hours)"
