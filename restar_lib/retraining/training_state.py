"""What decides whether a training is due, read from the database. Changes nothing.

Called by the triggerer every few seconds, and by the steps that train or ask for a training; the rule itself is
`retraining.policy`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine

from restar_lib.artifacts.release_log import newest
from restar_lib.gate.verdict_log import labels_judged_until, last_judged_at
from restar_lib.labeling.queue import finished_since
from restar_lib.retraining.policy import TrainingState, is_cooling_down
from restar_lib.settings import Settings


def training_state(engine: Engine) -> TrainingState:
    """Finished labels, champion and last verdict at this moment."""
    with engine.connect() as connection:
        return TrainingState(
            finished=finished_since(connection, labels_judged_until(connection)),
            has_champion=newest(connection) is not None,
            judged_at=last_judged_at(connection),
        )


def labels_waiting(engine: Engine, settings: Settings, *, now: datetime) -> int:
    """Finished labels that no judged snapshot has yet; 0 while a training would come too soon after the last one."""
    state = training_state(engine)
    too_soon = state.has_champion and is_cooling_down(state.judged_at, cooldown=training_cooldown(settings), now=now)
    return 0 if too_soon else state.finished


def training_cooldown(settings: Settings) -> timedelta:
    """How long after a verdict no training starts by itself."""
    return timedelta(minutes=settings.training.cooldown_minutes)
