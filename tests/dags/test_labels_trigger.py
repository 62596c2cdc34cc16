"""The trigger that starts a retraining looks at the real database."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Engine, insert, update

from restar_lib.domain import Sentiment, TaskStatus
from restar_lib.store.tables import LabelTask, SnapshotRow, VerdictRow
from tests.dags.conftest import AirflowHouse
from tests.tasks import add_tasks

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
"""No cool-down after a verdict of then."""


def finish(engine: Engine, status: TaskStatus) -> None:
    """Every task answered, and merged where `status` says so."""
    merged_at = NOON if status is TaskStatus.MERGED else None
    with engine.begin() as connection:
        connection.execute(
            update(LabelTask).values(status=status, consensus=Sentiment.NEGATIVE, done_at=NOON, merged_at=merged_at)
        )


def test_enough_finished_labels_are_announced_once(
    house: AirflowHouse, environment: dict[str, str], engine: Engine
) -> None:
    """However often it looks, one heap of labels is one announcement."""
    add_tasks(engine, 3)
    finish(engine, TaskStatus.DONE)
    events = house.ask("look", enough=3, looks=10, environment=environment)
    assert events == [{"finished_labels": 3, "enough": 3}]


def test_merged_labels_and_too_few_are_not_announced(
    house: AirflowHouse, environment: dict[str, str], engine: Engine
) -> None:
    """Fewer than enough start nothing, nor do labels on whose training set a challenger was judged."""
    add_tasks(engine, 3)
    finish(engine, TaskStatus.DONE)
    too_few = house.ask("look", enough=4, looks=5, environment=environment)
    finish(engine, TaskStatus.MERGED)
    unjudged = house.ask("look", enough=1, looks=5, environment=environment)
    sizes = {"train_rows": 1, "validation_rows": 1, "test_rows": 1, "people_rows": 3}
    verdict = {"challenger": "rs-1111111111", "snapshot_hash": "1" * 16, "rules_hash": "0" * 16, "lines": []}
    with engine.begin() as connection:
        connection.execute(insert(SnapshotRow).values(snapshot_hash="1" * 16, labels_until=datetime.now(UTC), **sizes))
        connection.execute(insert(VerdictRow).values(passed=False, provisional=False, created_at=LONG_AGO, **verdict))
    judged = house.ask("look", enough=1, looks=5, environment=environment)
    assert (too_few, [one["finished_labels"] for one in unjudged], judged) == ([], [3], [])


def test_a_database_that_is_away_does_not_end_the_trigger(house: AirflowHouse, environment: dict[str, str]) -> None:
    """It says so in the log and keeps looking."""
    nowhere = {"RESTAR_DATABASE__URL": "postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=1"}
    assert house.ask("look", enough=1, looks=5, environment=environment | nowhere) == []
    assert "cannot count finished labels" in house.log.read_text()
