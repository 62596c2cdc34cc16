"""What the rule for trainings looks at, read from the database every few seconds by the triggerer. Changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine

from restar_lib.artifacts.release_log import newest
from restar_lib.gate.verdict_log import last_judged_at
from restar_lib.labeling.queue import finished_unmerged
from restar_lib.retraining.policy import TrainingState, is_cooling_down
from restar_lib.settings import Settings


def standing(engine: Engine) -> TrainingState:
    """How things stand now."""
    with engine.connect() as connection:
        return TrainingState(
            finished=finished_unmerged(connection),
            has_champion=newest(connection) is not None,
            judged_at=last_judged_at(connection),
        )


def labels_waiting(engine: Engine, settings: Settings, *, now: datetime) -> int:
    """Finished labels that are in no snapshot yet; 0 while a training would come too soon after the last one."""
    stands = standing(engine)
    too_soon = stands.has_champion and is_cooling_down(stands.judged_at, cooldown=cooldown_of(settings), now=now)
    return 0 if too_soon else stands.finished


def cooldown_of(settings: Settings) -> timedelta:
    """How long automatic trainings wait for after a verdict."""
    return timedelta(minutes=settings.training.cooldown_minutes)
