"""What the rule for trainings looks at, read from the database.

Light on purpose: the triggerer asks every few seconds. Changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, func, select

from restar_lib.labeling.queue import finished_unmerged
from restar_lib.registry.release_log import current
from restar_lib.retraining.reasons import Standing, is_cooling_down
from restar_lib.settings import Settings
from restar_lib.store.tables import VerdictRow


def standing(engine: Engine) -> Standing:
    """How things stand now."""
    with engine.connect() as connection:
        return Standing(
            finished=finished_unmerged(connection),
            has_champion=current(engine) is not None,
            judged_at=connection.execute(select(func.max(VerdictRow.created_at))).scalar(),
        )


def labels_waiting(engine: Engine, settings: Settings, *, now: datetime) -> int:
    """Finished labels that are in no snapshot yet; 0 while a training would come too soon after the last one."""
    stands = standing(engine)
    too_soon = stands.has_champion and is_cooling_down(stands.judged_at, cooldown=cooldown_of(settings), now=now)
    return 0 if too_soon else stands.finished


def cooldown_of(settings: Settings) -> timedelta:
    """How long automatic trainings wait for after a verdict."""
    return timedelta(minutes=settings.training.cooldown_minutes)
