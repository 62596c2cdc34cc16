"""When a challenger is trained at all, and what lets it serve: pure rules.

What they look at is read by `retraining.training_state`; the limits stand in sections `training`, `labeling` and
`monitoring` of the settings. Called by `retraining.pipeline` and `retraining.incident_request`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from restar_lib.errors import NothingToDo


class TrainingTrigger(StrEnum):
    """What started this training. The words stand in logs and messages behind "asked"."""

    HAND = "by hand"
    SCHEDULE = "by the schedule"
    LABELS = "by finished labels"
    DRIFT = "by a drift alert"


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What the rule for trainings looks at."""

    finished: int
    """Finished labels that no judged training set has yet: those of a training that failed count on."""
    has_champion: bool
    judged_at: datetime | None
    """When the newest challenger was judged."""


def reason_to_train(
    state: TrainingState, *, trigger: TrainingTrigger, rerun: bool, enough: int, cooldown: timedelta, now: datetime
) -> str:
    """Why to train, in words. Raises `NothingToDo` with the reason why not.

    A person, a first model and a `rerun` of the step (a retry, a clear) always lead to a training: in the last case
    the first try may have merged the labels already, and counting what is left would lose them.
    """
    if rerun or trigger is TrainingTrigger.HAND:
        return f"asked {trigger}{', once more' if rerun else ''}"
    if not state.has_champion:
        return f"asked {trigger}, and there is no champion yet"
    if is_cooling_down(state.judged_at, cooldown=cooldown, now=now):
        raise NothingToDo(
            f"the last challenger was judged at {state.judged_at:%Y-%m-%d %H:%M}, less than {cooldown} ago "
            "(training.cooldown_minutes); trigger by hand to train now"
        )
    if trigger is TrainingTrigger.LABELS and state.finished < enough:
        raise NothingToDo(f"{state.finished} of {enough} finished labels (labeling.enough): waiting for more")
    return (
        f"asked {trigger}, {state.finished} of them in no judged training set yet"
        if trigger is TrainingTrigger.LABELS
        else f"asked {trigger}"
    )


def is_cooling_down(judged_at: datetime | None, *, cooldown: timedelta, now: datetime) -> bool:
    """Whether an automatic training would come too soon after the last one."""
    return judged_at is not None and now - judged_at < cooldown


def may_request(requested_at: datetime | None, *, cooldown: timedelta, now: datetime) -> bool:
    """Whether an open incident may request a training, the last time that it did being `requested_at`."""
    return requested_at is None or now - requested_at >= cooldown


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who lets a challenger serve. There is no default: without an answer there is no release."""

    approved: bool
    by: str


BY_POLICY = Approval(approved=True, by="policy auto")
