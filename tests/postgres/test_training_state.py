"""What the rule for trainings reads from the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert, update

from restar_lib.artifacts.release_log import ANY, ChampionChange, append
from restar_lib.domain import ReleaseKind, Sentiment, TaskStatus
from restar_lib.errors import NothingToDo
from restar_lib.labeling.queue import merge_finished
from restar_lib.retraining.pipeline import merge_labels
from restar_lib.retraining.policy import TrainingState, TrainingTrigger
from restar_lib.retraining.training_state import labels_waiting, training_state
from restar_lib.settings import Settings
from restar_lib.store.tables import LabelTask, SnapshotRow, VerdictRow
from tests.tasks import add_tasks, statuses

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
VERSION = "rs-0123456789"


@pytest.fixture
def settings(smoke: Settings) -> Settings:
    """Three labels are enough, and a training rests for an hour."""
    labeling = smoke.labeling.model_copy(update={"enough": 3})
    training = smoke.training.model_copy(update={"cooldown_minutes": 60.0})
    return smoke.model_copy(update={"labeling": labeling, "training": training})


def finish_tasks(engine: Engine, number: int) -> None:
    """So many tasks with an answer that no snapshot holds."""
    add_tasks(engine, number)
    with engine.begin() as connection:
        connection.execute(update(LabelTask).values(status=TaskStatus.DONE, consensus=Sentiment.NEGATIVE, done_at=NOON))


def make_champion(engine: Engine, *, judged_at: datetime) -> None:
    """A champion whose verdict was given then."""
    change = ChampionChange(
        model_version=VERSION,
        kind=ReleaseKind.RELEASE,
        provisional=False,
        released_by="test",
        reason="a test",
        released_at=judged_at,
    )
    append(engine, change, expected_previous=ANY)
    rows = {"train_rows": 1, "validation_rows": 1, "test_rows": 1, "people_rows": 0}
    question = {"challenger": VERSION, "snapshot_hash": "0" * 16, "rules_hash": "0" * 16}
    verdict = question | {"passed": True, "provisional": False, "lines": []}
    with engine.begin() as connection:
        connection.execute(insert(SnapshotRow).values(snapshot_hash="0" * 16, **rows))
        connection.execute(insert(VerdictRow).values(created_at=judged_at, **verdict))


def test_an_empty_database_has_nothing_to_train_on(engine: Engine) -> None:
    """No labels, no champion, no verdict."""
    assert training_state(engine) == TrainingState(finished=0, has_champion=False, judged_at=None)


def test_labels_wait_out_the_cool_down_and_are_then_announced(engine: Engine, settings: Settings) -> None:
    """Within the hour after a verdict the trigger sees none of them; afterwards it sees all, so none is forgotten."""
    finish_tasks(engine, 3)
    make_champion(engine, judged_at=NOON)
    assert labels_waiting(engine, settings, now=NOON + timedelta(minutes=59)) == 0
    assert labels_waiting(engine, settings, now=NOON + timedelta(minutes=60)) == 3


def test_without_a_champion_there_is_nothing_to_rest_from(engine: Engine, settings: Settings) -> None:
    """The first model is never put off."""
    finish_tasks(engine, 3)
    assert labels_waiting(engine, settings, now=NOON) == 3


def test_labels_of_a_training_that_failed_are_announced_again(engine: Engine, settings: Settings) -> None:
    """They are merged and frozen, but no challenger was judged on that set; judged, they are news no more."""
    finish_tasks(engine, 3)
    later = NOON + timedelta(hours=3)
    make_champion(engine, judged_at=NOON)
    with engine.begin() as connection:
        merge_finished(connection, now=later)
        sizes = {"train_rows": 1, "validation_rows": 1, "test_rows": 1, "people_rows": 3}
        connection.execute(insert(SnapshotRow).values(snapshot_hash="1" * 16, labels_until=later, **sizes))
    assert labels_waiting(engine, settings, now=later) == 3
    assert training_state(engine).finished == 3
    judged = {"challenger": "rs-1111111111", "snapshot_hash": "1" * 16, "rules_hash": "0" * 16}
    with engine.begin() as connection:
        verdict = judged | {"passed": False, "provisional": False, "lines": [], "created_at": NOON}
        connection.execute(insert(VerdictRow).values(**verdict))
    assert labels_waiting(engine, settings, now=later) == 0


def test_too_few_labels_stay_unmerged(engine: Engine, settings: Settings) -> None:
    """A run that has no reason to train leaves the labels open for undo."""
    finish_tasks(engine, 2)
    make_champion(engine, judged_at=NOON - timedelta(days=1))
    with pytest.raises(NothingToDo, match="2 of 3"):
        merge_labels(engine, settings, trigger=TrainingTrigger.LABELS, rerun=False, now=NOON)
    assert set(statuses(engine).values()) == {TaskStatus.DONE}


def test_a_merge_that_is_run_again_goes_on_with_nothing_left_to_merge(engine: Engine, settings: Settings) -> None:
    """Killed after its commit, the step's second try still leads to the training."""
    finish_tasks(engine, 3)
    make_champion(engine, judged_at=NOON - timedelta(days=1))
    first = merge_labels(engine, settings, trigger=TrainingTrigger.LABELS, rerun=False, now=NOON)
    second = merge_labels(engine, settings, trigger=TrainingTrigger.LABELS, rerun=True, now=NOON)
    assert (first.merged, second.merged) == (3, 0)
    assert set(statuses(engine).values()) == {TaskStatus.MERGED}
