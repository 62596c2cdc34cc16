"""When a challenger is trained, and what a training is made of.

`reason_to_train` is the rule (DESIGN section 8, "What is trained, and when"), a pure function. The other functions
are the steps of DAG `retrain_sentiment`: each takes ids, does one thing through the modules that own it, and returns
ids and counts. Every step can be killed and run again. It knows nothing of Airflow and starts no training by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from restar_lib.errors import NothingToDo


class Asked(StrEnum):
    """Who wants this training."""

    HAND = "by hand"
    SCHEDULE = "by the schedule"
    LABELS = "by finished labels"
    DRIFT = "by a drift alert"
    AGAIN = "again, after a retry or a clear"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the rule looks at."""

    finished: int
    """Finished labels that are in no snapshot yet."""
    has_champion: bool
    judged_at: datetime | None
    """When the newest challenger was judged."""


def reason_to_train(
    standing: Standing, *, asked: Asked, enough: int, cooldown: timedelta, now: datetime
) -> str:
    """Why to go on, in words. Raises `NothingToDo` with the reason why not.

    A person, a first model and a step that runs again always go on: in the last case the labels may already be
    merged, and counting them once more would lose them.
    """
    if asked in {Asked.HAND, Asked.AGAIN}:
        return f"asked {asked}"
    if not standing.has_champion:
        return f"asked {asked}, and there is no champion yet"
    if is_cooling_down(standing.judged_at, cooldown=cooldown, now=now):
        raise NothingToDo(
            f"the last challenger was judged at {standing.judged_at:%Y-%m-%d %H:%M}, less than {cooldown} ago "
            "(training.cooldown_minutes); trigger by hand to train now"
        )
    if asked is Asked.LABELS and standing.finished < enough:
        raise NothingToDo(f"{standing.finished} of {enough} finished labels (labeling.enough): waiting for more")
    return f"asked {asked}: {standing.finished} finished labels are in no snapshot yet"


def is_cooling_down(judged_at: datetime | None, *, cooldown: timedelta, now: datetime) -> bool:
    """Whether an automatic training would come too soon after the last one."""
    return judged_at is not None and now - judged_at < cooldown


@dataclass(frozen=True, kw_only=True)
class Announced:
    """The last time that finished labels were announced."""

    finished: int
    at: datetime


REMIND_AFTER = timedelta(hours=1)
"""An announcement that led to nothing (a paused DAG, a failed run) is repeated after this long."""


def is_news(finished: int, *, enough: int, announced: Announced | None, now: datetime) -> bool:
    """Whether so many finished labels should be announced: once per growth, so that nobody is stormed.

    Fewer than announced means that they were merged since, so the count starts afresh.
    """
    if finished < enough:
        return False
    if announced is None or finished < announced.finished:
        return True
    return finished >= announced.finished + enough or now - announced.at >= REMIND_AFTER
