"""When a challenger is trained at all (DESIGN section 8, "What is trained, and when"), and what lets it serve: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from restar_lib.errors import NothingToDo


class TrainingTrigger(StrEnum):
    """Who wants this training."""

    HAND = "by hand"
    SCHEDULE = "by the schedule"
    LABELS = "by finished labels"
    DRIFT = "by a drift alert"


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What the rule looks at."""

    finished: int
    """Finished labels that are in no snapshot yet."""
    has_champion: bool
    judged_at: datetime | None
    """When the newest challenger was judged."""


def reason_to_train(
    standing: TrainingState, *, asked: TrainingTrigger, again: bool, enough: int, cooldown: timedelta, now: datetime
) -> str:
    """Why to go on, in words. Raises `NothingToDo` with the reason why not.

    A person, a first model and a step that runs `again` (a retry, a clear) always go on: in the last case the first
    try may have merged the labels already, and counting what is left would lose them.
    """
    if again or asked is TrainingTrigger.HAND:
        return f"asked {asked}{', once more' if again else ''}"
    if not standing.has_champion:
        return f"asked {asked}, and there is no champion yet"
    if is_cooling_down(standing.judged_at, cooldown=cooldown, now=now):
        raise NothingToDo(
            f"the last challenger was judged at {standing.judged_at:%Y-%m-%d %H:%M}, less than {cooldown} ago "
            "(training.cooldown_minutes); trigger by hand to train now"
        )
    if asked is TrainingTrigger.LABELS and standing.finished < enough:
        raise NothingToDo(f"{standing.finished} of {enough} finished labels (labeling.enough): waiting for more")
    return (
        f"asked {asked}, {standing.finished} of them in no snapshot yet"
        if asked is TrainingTrigger.LABELS
        else f"asked {asked}"
    )


def is_cooling_down(judged_at: datetime | None, *, cooldown: timedelta, now: datetime) -> bool:
    """Whether an automatic training would come too soon after the last one."""
    return judged_at is not None and now - judged_at < cooldown


def may_ask(asked_at: datetime | None, *, cooldown: timedelta, now: datetime) -> bool:
    """Whether an incident that goes on may ask for a training again."""
    return asked_at is None or now - asked_at >= cooldown


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who lets a challenger serve. There is no default: without an answer there is no release."""

    approved: bool
    by: str


BY_POLICY = Approval(approved=True, by="policy auto")
