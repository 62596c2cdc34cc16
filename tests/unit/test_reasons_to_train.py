"""When a challenger is trained: the pure rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from restar_lib.errors import NothingToDo
from restar_lib.retraining.policy import TrainingState, TrainingTrigger, reason_to_train

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RESTED = TrainingState(finished=10, has_champion=True, judged_at=NOON - 2 * HOUR)


def reason(state: TrainingState, trigger: TrainingTrigger, *, rerun: bool = False) -> str:
    """The rule with 50 labels as enough and an hour of cool-down, at noon."""
    return reason_to_train(state, trigger=trigger, rerun=rerun, enough=50, cooldown=HOUR, now=NOON)


def test_a_person_always_gets_a_training() -> None:
    """By hand, neither the number of labels nor the cool-down is asked for."""
    assert reason(replace(RESTED, finished=0, judged_at=NOON), TrainingTrigger.HAND) == "asked by hand"


def test_labels_start_a_training_from_enough_on() -> None:
    """49 wait, and the message says for how many; 50 train."""
    with pytest.raises(NothingToDo, match="49 of 50 finished labels"):
        reason(replace(RESTED, finished=49), TrainingTrigger.LABELS)
    assert "50 of them in no judged training set" in reason(replace(RESTED, finished=50), TrainingTrigger.LABELS)


def test_a_step_that_runs_again_goes_on_though_its_labels_are_merged_already() -> None:
    """The first try may have merged them and died: counting what is left would lose the training."""
    assert "once more" in reason(replace(RESTED, finished=0), TrainingTrigger.LABELS, rerun=True)


def test_the_first_model_needs_no_labels() -> None:
    """Without a champion any occasion trains."""
    assert "no champion" in reason(
        TrainingState(finished=0, has_champion=False, judged_at=NOON), TrainingTrigger.SCHEDULE
    )


@pytest.mark.parametrize("trigger", [TrainingTrigger.LABELS, TrainingTrigger.DRIFT, TrainingTrigger.SCHEDULE])
def test_automatic_trainings_keep_the_cool_down(trigger: TrainingTrigger) -> None:
    """Within the hour after a verdict they wait, whatever asked; on the hour they may."""
    state = replace(RESTED, finished=60)
    with pytest.raises(NothingToDo, match="cooldown_minutes"):
        reason(replace(state, judged_at=NOON - HOUR + timedelta(seconds=1)), trigger)
    assert reason(replace(state, judged_at=NOON - HOUR), trigger)


@pytest.mark.parametrize("trigger", [TrainingTrigger.DRIFT, TrainingTrigger.SCHEDULE])
def test_drift_and_the_week_train_with_few_labels(trigger: TrainingTrigger) -> None:
    """New reviews alone may be news; whether they are is the snapshot's hash to say."""
    assert reason(replace(RESTED, finished=0), trigger)
