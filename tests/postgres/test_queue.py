"""The queue: what goes in, what stands where, what comes out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from restar_lib.domain import LabelSource, Reason, Sentiment, TaskStatus
from restar_lib.labeling import leases, queue
from restar_lib.settings import Settings
from restar_lib.store.tables import LabelTask
from tests.tasks import NOON, add_reviews, add_tasks, count_rows, selected, statuses


def answer(
    engine: Engine,
    smoke: Settings,
    *,
    labeler: str = "ada",
    sentiment: Sentiment = Sentiment.NEGATIVE,
    source: LabelSource = LabelSource.PERSON,
) -> str:
    """Claim and answer the next task; returns its review."""
    claim = leases.claim(engine, labeler=labeler, now=NOON, lease_seconds=60)
    assert claim is not None
    key = {"task_id": claim.task_id, "token": claim.token, "labeler": labeler}
    leases.submit(engine, **key, sentiment=sentiment, source=source, now=NOON, settings=smoke)
    return claim.review_id


def test_enqueueing_again_changes_nothing(engine: Engine) -> None:
    """The second run finds the tasks of the first: no new row, and nothing about them is rewritten."""
    add_reviews(engine, "one", "two")
    first = [selected("r0", priority=0.2), selected("r1", audit_rate=0.02)]
    with engine.begin() as connection:
        assert queue.enqueue(connection, first, model_version="rs-1") == 2
    with engine.begin() as connection:
        assert queue.enqueue(connection, [selected("r0", priority=0.9)], model_version="rs-2") == 0
        task = connection.execute(select(LabelTask).where(LabelTask.review_id == "r0")).one()
        audit = connection.execute(select(LabelTask).where(LabelTask.review_id == "r1")).one()
    assert (task.priority, task.model_version, task.reasons) == (0.2, "rs-1", [Reason.UNCERTAIN])
    assert (audit.inclusion_probability, audit.audit_rate, audit.reasons) == (0.02, 0.02, [Reason.AUDIT])


def test_two_runs_that_enqueue_at_once_make_one_task_per_review(engine: Engine) -> None:
    """Four transactions put in the same reviews in different orders: no deadlock, and each is new exactly once."""
    review_ids = add_reviews(engine, *(f"text {number}" for number in range(200)))

    def run(step: int) -> int:
        chosen = [selected(review_id) for review_id in review_ids[:: (-1) ** step]]
        with engine.begin() as connection:
            return queue.enqueue(connection, chosen, model_version="rs-1")

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4))) == 200
    assert count_rows(engine, LabelTask) == 200


def test_enqueueing_nobody_is_fine(engine: Engine) -> None:
    """An empty selection writes nothing."""
    with engine.begin() as connection:
        assert queue.enqueue(connection, [], model_version="rs-1") == 0


def test_an_aborted_scoring_run_leaves_no_task(engine: Engine) -> None:
    """Tasks are part of the caller's transaction: rolled back with its predictions."""
    add_reviews(engine, "one")
    with engine.connect() as connection:
        queue.enqueue(connection, [selected("r0")], model_version="rs-1")
        connection.rollback()
    assert count_rows(engine, LabelTask) == 0


def test_counts_say_how_many_stand_where_and_since_when_the_oldest_waits(engine: Engine, smoke: Settings) -> None:
    """One merged, one done, one claimed, two open; the oldest unanswered one counts even while it is claimed."""
    add_tasks(engine, 5)
    assert answer(engine, smoke) == "r0"
    with engine.begin() as connection:
        queue.merge_finished(connection, now=NOON)
    answer(engine, smoke)
    leases.claim(engine, labeler="ada", now=NOON, lease_seconds=60)
    with engine.begin() as connection:
        for age, review_id in enumerate(("r4", "r3", "r2", "r1", "r0")):
            when = NOON - timedelta(hours=age)
            connection.execute(update(LabelTask).where(LabelTask.review_id == review_id).values(created_at=when))
    assert queue.counts(engine) == queue.QueueCounts(
        open=2, claimed=1, done=1, merged=1, oldest_open_at=NOON - timedelta(hours=2)
    )


def test_counts_of_an_empty_queue_are_zero(engine: Engine) -> None:
    """Nothing waits since any time."""
    assert queue.counts(engine) == queue.QueueCounts(open=0, claimed=0, done=0, merged=0, oldest_open_at=None)


def test_only_ended_leases_expire(engine: Engine) -> None:
    """`expire` reopens the abandoned task and leaves the one that is being read."""
    add_tasks(engine, 2)
    leases.claim(engine, labeler="ada", now=NOON, lease_seconds=10)
    leases.claim(engine, labeler="ben", now=NOON, lease_seconds=60)
    assert queue.expire(engine, now=NOON + timedelta(seconds=10)) == 1
    assert statuses(engine) == {"r0": TaskStatus.OPEN, "r1": TaskStatus.CLAIMED}
    assert queue.expire(engine, now=NOON + timedelta(seconds=10)) == 0


def test_finished_tasks_are_merged_once(engine: Engine, smoke: Settings) -> None:
    """Merging seals what is answered, says what it means and who said so, and finds nothing the second time."""
    add_tasks(engine, 3)
    answer(engine, smoke, sentiment=Sentiment.NEUTRAL)
    answer(engine, smoke, sentiment=Sentiment.POSITIVE, labeler="demo-1", source=LabelSource.DEMO)
    with engine.begin() as connection:
        assert queue.finished_since(connection, NOON) == 2
        merged = queue.merge_finished(connection, now=NOON)
    assert [(one.review_id, one.sentiment, one.label_source) for one in merged] == [
        ("r0", Sentiment.NEUTRAL, LabelSource.PERSON),
        ("r1", Sentiment.POSITIVE, LabelSource.DEMO),
    ]
    with engine.begin() as connection:
        assert queue.merge_finished(connection, now=NOON) == []
        assert queue.finished_since(connection, NOON) == 0
        assert queue.finished_since(connection, NOON - timedelta(seconds=1)) == 2, "merged, and not judged"
        assert queue.merged_truths(connection) == {one.review_id: one for one in merged}


def test_unmerged_answers_are_no_truth_yet(engine: Engine, smoke: Settings) -> None:
    """Until it is merged an answer can be taken back, so no snapshot sees it."""
    add_tasks(engine, 1)
    answer(engine, smoke)
    with engine.connect() as connection:
        assert queue.merged_truths(connection) == {}


def test_one_demo_answer_marks_the_consensus_as_demo(engine: Engine, smoke: Settings) -> None:
    """Two people and a demo labeler agree: the truth still says that a demo labeler took part."""
    two = smoke.model_copy(update={"labeling": smoke.labeling.model_copy(update={"labels_per_task": 2})})
    add_tasks(engine, 1)
    answer(engine, two, labeler="ada")
    answer(engine, two, labeler="demo-1", source=LabelSource.DEMO)
    with engine.begin() as connection:
        assert [one.label_source for one in queue.merge_finished(connection, now=NOON)] == [LabelSource.DEMO]


def test_the_table_refuses_half_a_claim(engine: Engine) -> None:
    """Status, holder and lease go together: a claimed task without a lease would be stuck for ever."""
    add_tasks(engine, 1)
    with engine.connect() as connection, pytest.raises(IntegrityError, match="claimed_has_a_lease"):
        connection.execute(update(LabelTask).values(status=TaskStatus.CLAIMED, claimed_by="ada"))
