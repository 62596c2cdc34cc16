"""How many tasks stand where: exact whatever changes them, and without reading the queue."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, and_, delete, func, insert, select, text, update

from restar_lib.domain import Reason, Sentiment, SetAside, TaskStatus
from restar_lib.labeling import leases, queue
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for
from restar_lib.store.tables import LabelSkip, LabelTask, LabelTaskTotal
from tests.labelers import LATER, LEASE, skip, submit, take
from tests.tasks import NOON, add_reviews, add_tasks, selected

LONG = 5000
MOST_READ = 100
"""Rows that a key press may read; whoever counts the queue reads fifty times as many."""


def counted(engine: Engine) -> queue.QueueCounts:
    """What a look at every task says."""
    is_open = and_(LabelTask.status == TaskStatus.OPEN, LabelTask.set_aside.is_(None))
    waiting = is_open | (LabelTask.status == TaskStatus.CLAIMED)
    with engine.connect() as connection:
        rows = connection.execute(select(LabelTask.status, func.count()).group_by(LabelTask.status)).all()
        oldest = connection.scalar(select(func.min(LabelTask.created_at)).where(waiting))
        aside = select(LabelTask.set_aside, func.count()).where(LabelTask.status == TaskStatus.OPEN)
        why = dict(connection.execute(aside.group_by(LabelTask.set_aside)).tuples().all())
    by_status = {row[0]: row[1] for row in rows}
    return queue.QueueCounts(
        **{one.value: by_status.get(one, 0) for one in TaskStatus},
        oldest_open_at=oldest,
        skipped_by_all=why.get(SetAside.SKIPPED, 0),
        too_few=why.get(SetAside.TOO_FEW, 0),
        disagreeing=why.get(SetAside.DISAGREE, 0),
    )


def test_counts_are_exact_after_every_change(engine: Engine, smoke: Settings) -> None:
    """Added, claimed, answered, skipped, expired, merged, taken back, erased: the totals follow each."""
    add_tasks(engine, 8)
    skip(engine, take(engine))
    submit(engine, take(engine), smoke)
    take(engine, "ben", now=NOON)
    assert queue.counts(engine) == counted(engine)
    queue.expire(engine, now=LATER)
    submit(engine, take(engine, "cy"), smoke, labeler="cy")
    with engine.begin() as connection:
        assert len(queue.merge_finished(connection, now=NOON)) == 2
    assert queue.counts(engine) == counted(engine)
    submit(engine, take(engine), smoke, now=LATER)
    leases.undo(engine, labeler="ada", now=LATER, settings=smoke)
    assert queue.counts(engine) == counted(engine)
    with engine.begin() as connection:
        connection.execute(delete(LabelSkip))
        assert queue.remove_tasks_of(connection, ["r1", "r6", "r7"]).tasks == 3
    assert queue.counts(engine) == counted(engine)
    assert queue.counts(engine).merged == 1


def test_counts_follow_statements_that_are_not_ours(engine: Engine) -> None:
    """Rows that somebody writes, changes or deletes by hand are counted too."""
    add_reviews(engine, *(f"text {number}" for number in range(4)))
    row = {"reasons": [Reason.AUDIT], "priority": 1.0, "inclusion_probability": 0.5}
    merged = {"status": TaskStatus.MERGED, "consensus": Sentiment.NEUTRAL, "merged_at": NOON}
    reopened = {"status": TaskStatus.OPEN, "consensus": None, "merged_at": None}
    with engine.begin() as connection:
        connection.execute(insert(LabelTask), [row | merged | {"review_id": f"r{number}"} for number in range(4)])
    assert queue.counts(engine) == counted(engine)
    with engine.begin() as connection:
        connection.execute(update(LabelTask).where(LabelTask.review_id == "r0").values(reopened))
        connection.execute(delete(LabelTask).where(LabelTask.review_id == "r1"))
    assert queue.counts(engine) == counted(engine)
    with engine.begin() as connection:
        connection.execute(text("truncate label_task cascade"))
    assert queue.counts(engine) == counted(engine)


def test_what_is_rolled_back_is_not_counted(engine: Engine) -> None:
    """A killed scoring run leaves neither its tasks nor their number."""
    add_reviews(engine, "one", "two")
    with engine.connect() as connection:
        queue.enqueue(connection, [selected("r0"), selected("r1")], model_version=None)
        connection.rollback()
    assert queue.counts(engine) == counted(engine)


def test_counts_are_exact_while_many_work_at_once(engine: Engine, smoke: Settings) -> None:
    """Scoring adds, people answer and skip, and two trainings merge at once, over and over; then all is counted."""
    review_ids = add_reviews(engine, *(f"text {number}" for number in range(120)))

    def score(step: int) -> None:
        for start in range(0, 120, 10):
            with engine.begin() as connection:
                chosen = [selected(review_id) for review_id in review_ids[start : start + 10 + step]]
                queue.enqueue(connection, chosen, model_version="rs-1")

    def label(labeler: str) -> None:
        for turn in range(25):
            claim = leases.claim(engine, labeler=labeler, now=NOON, lease_seconds=LEASE)
            if claim is not None and turn % 5 == 0:
                skip(engine, claim, labeler)
            elif claim is not None:
                submit(engine, claim, smoke, labeler=labeler)

    def merge() -> None:
        for _ in range(10):
            with engine.begin() as connection:
                queue.merge_finished(connection, now=NOON)

    with ThreadPoolExecutor(7) as pool:
        work = [pool.submit(score, step) for step in range(2)]
        work += [pool.submit(label, labeler) for labeler in ("ada", "ben", "cy")]
        work += [pool.submit(merge) for _ in range(2)]
    for one in work:
        one.result()
    assert queue.counts(engine) == counted(engine)


def test_merging_adds_the_totals_up(engine: Engine, smoke: Settings) -> None:
    """One row is left of many, so that the sum stays quick."""
    add_tasks(engine, 3)
    add_tasks_again = [selected(review_id) for review_id in add_reviews(engine, "a", "b", prefix="s", source="s")]
    with engine.begin() as connection:
        queue.enqueue(connection, add_tasks_again, model_version=None)
    for _ in range(2):
        submit(engine, take(engine), smoke)
    with engine.begin() as connection:
        queue.merge_finished(connection, now=NOON)
        totals = connection.execute(select(LabelTaskTotal.tasks, LabelTaskTotal.merged)).tuples().all()
    assert totals == [(5, 2)]


@pytest.fixture
def long_queue(engine: Engine) -> None:
    """Thousands of open tasks, and as many skips of other people."""
    add_tasks(engine, LONG)
    skips = "insert into label_skip (task_id, labeler, skipped_at) select task_id, 'zoe', :at from label_task"
    with engine.begin() as connection:
        connection.execute(text(skips), {"at": NOON - timedelta(days=1)})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def rows_read(engine: Engine, url: str) -> int:
    """Rows of tasks and skips that were read so far, by scanning the table or by index."""
    engine.dispose()  # a session counts when it ends
    query = """
        select coalesce(sum(seq_tup_read + idx_tup_fetch), 0) from pg_stat_user_tables
        where relname in ('label_task', 'label_skip')
    """
    looking = engine_for(url)
    with looking.connect() as connection:
        found = int(connection.execute(text(query)).scalar_one())
    looking.dispose()
    return found


@pytest.mark.usefixtures("long_queue")
@pytest.mark.parametrize("call", ["counts", "undo"])
def test_no_call_of_the_desk_reads_the_queue(engine: Engine, database_url: str, smoke: Settings, call: str) -> None:
    """The counts at each key press, and the search for the last skip, read a few rows of thousands."""
    skip(engine, take(engine))
    before = rows_read(engine, database_url)
    if call == "counts":
        assert queue.counts(engine).open == LONG
    else:
        assert leases.undo(engine, labeler="ada", now=NOON, settings=smoke) is not None
    assert rows_read(engine, database_url) - before < MOST_READ
