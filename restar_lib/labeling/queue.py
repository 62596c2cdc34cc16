"""The labeling queue as programs use it: open tasks, count them, expire leases, take the finished ones out.

One task per review. Scoring calls `enqueue` in the transaction of its predictions; housekeeping calls `expire`; a
retraining calls `merge_finished`, which closes answered tasks (done -> merged, no undo any more), and its snapshot
reads `merged_truths`. All of them are safe to run twice, or two at once. How a person answers is in `labeling.leases`.

No count of `counts` reads the whole queue: the desk asks for them at each key press. Claimed and finished tasks are few
and counted in their partial indexes. How many tasks there are, and how many are merged, are totals that triggers keep
in `label_task_total`, by appending a row: they change where programs add, delete or merge tasks, and no call of a
labeler touches them, so labelers never wait for each other there. What is open is the rest. Tasks that nobody new can
be asked about (`labeling.set_aside`) are few too, and counted apart.

Chooses no review (`selection`), trains nothing, and does not read the clock: `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    all_,
    any_,
    case,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from restar_lib.domain import LabelSource, Reason, Sentiment, SetAside, TaskStatus
from restar_lib.labeling.leases import EXPIRED
from restar_lib.selection import Selected
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import LABEL_SOURCE, REASON, Label, LabelSkip, LabelTask, LabelTaskTotal, ReviewRow


@dataclass(frozen=True, kw_only=True)
class QueueCounts:
    """How many tasks there are in each state."""

    open: int
    claimed: int
    done: int
    merged: int
    oldest_open_at: datetime | None
    """When the oldest task came in that is not answered and that somebody can be asked about; None: there is none."""
    skipped_by_all: int = 0
    """Open, and set aside because everybody has skipped it."""
    too_few: int = 0
    """Open, and set aside until one more person is there: the others have answered or skipped it."""
    disagreeing: int = 0
    """Open, and set aside because people disagree and nobody else is there to ask."""

    @property
    def aside(self) -> int:
        """Open, and nobody new can be asked about it."""
        return self.skipped_by_all + self.too_few + self.disagreeing

    @property
    def waiting(self) -> int:
        """Open, and waiting for whoever comes next."""
        return self.open - self.aside

    @property
    def why_aside(self) -> str:
        """What the tasks that are set aside wait for, in words; empty where there is none."""
        kinds = (
            (self.skipped_by_all, "skipped by everybody"),
            (self.disagreeing, "on which people disagree"),
            (self.too_few, "in need of one more person"),
        )
        return ", ".join(f"{number:,} {why}" for number, why in kinds if number)


@dataclass(frozen=True, kw_only=True)
class MergedTask:
    """One review that people have finished, with their consensus."""

    task_id: int
    review_id: str
    sentiment: Sentiment
    label_source: LabelSource
    """`demo` as soon as one of the answers came from a demo labeler."""


def enqueue(connection: Connection, selected: Sequence[Selected], *, model_version: str | None) -> int:
    """Open a task for each review that has none yet; returns how many are new. An existing task stays as it is.

    `model_version` is the model whose predictions or whose training chose them, None where something else did.
    """
    rows = [
        {
            "review_id": one.review_id,
            "reasons": list(one.reasons),
            "priority": one.priority,
            "inclusion_probability": one.inclusion_probability,
            "audit_rate": one.audit_rate,
            "model_version": model_version,
        }
        # Two runs at once insert in the same order, so that neither waits for the other in a circle.
        for one in sorted(selected, key=lambda one: one.review_id)
    ]
    if not rows:
        return 0
    statement = insert(LabelTask).on_conflict_do_nothing(index_elements=["review_id"]).returning(LabelTask.task_id)
    return len(connection.execute(statement, rows).all())


def asked_about(connection: Connection, review_ids: Collection[str], *, but_for: Collection[str]) -> set[str]:
    """Which of these reviews have a task that was not opened because a model of `but_for` doubts their stars."""
    wanted = one_of(LabelTask.review_id, review_ids)
    doubted = literal(Reason.DISAGREEMENT, REASON) == any_(LabelTask.reasons)
    by_others = func.coalesce(LabelTask.model_version, "") != all_(literal(list(but_for), ARRAY(Text)))
    return set(connection.scalars(select(LabelTask.review_id).where(wanted, or_(~doubted, by_others))))


def count_doubted(engine: Engine) -> int:
    """How many reviews people were asked about because their stars are doubted, answered or not."""
    doubted = literal(Reason.DISAGREEMENT, REASON) == any_(LabelTask.reasons)
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(LabelTask).where(doubted)).scalar_one()


def count_uncertain(connection: Connection, *, ingest_runs: Sequence[int]) -> int:
    """How many reviews that these ingest runs brought have a task because a model was unsure."""
    statement = (
        select(func.count())
        .select_from(LabelTask)
        .join(ReviewRow, ReviewRow.review_id == LabelTask.review_id)
        .where(
            one_of(ReviewRow.ingest_run_id, ingest_runs),
            ReviewRow.duplicate_of.is_(None),  # copies have no task; said, so that the small index is used
            literal(Reason.UNCERTAIN, REASON) == any_(LabelTask.reasons),
        )
    )
    return connection.execute(statement).scalar_one()


def expire(engine: Engine, *, now: datetime) -> int:
    """Reopen every task whose lease has ended; returns how many. `claim` takes such tasks even without this.

    Who held it stays known (`leases.EXPIRED`), so that their late answer counts until somebody else claims the task.
    """
    with engine.begin() as connection:
        return connection.execute(update(LabelTask).where(*_lease_ended(now)).values(EXPIRED)).rowcount


def count_expired(engine: Engine, *, now: datetime) -> int:
    """How many tasks `expire` would reopen."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(LabelTask).where(*_lease_ended(now))).scalar_one()


def _lease_ended(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (LabelTask.status == TaskStatus.CLAIMED, LabelTask.lease_expires_at <= now)


def counts(engine: Engine) -> QueueCounts:
    """How many tasks there are in each state, and since when the oldest waits: exact, as of one moment."""
    total = select(
        *(
            cast(func.coalesce(func.sum(column), 0), BigInteger).label(column.key)
            for column in (LabelTaskTotal.tasks, LabelTaskTotal.merged)
        )
    ).subquery()
    claimed = _in_state(TaskStatus.CLAIMED, func.count().label("tasks"), _OLDEST).subquery()
    done = _in_state(TaskStatus.DONE, func.count().label("tasks")).subquery()
    opened = _in_state(TaskStatus.OPEN, _OLDEST).where(LabelTask.set_aside.is_(None)).subquery()
    aside = _in_state(TaskStatus.OPEN, *_ASIDE).where(LabelTask.set_aside.is_not(None)).subquery()
    statement = (
        select(
            (total.c.tasks - total.c.merged - claimed.c.tasks - done.c.tasks).label("open"),
            claimed.c.tasks.label("claimed"),
            done.c.tasks.label("done"),
            total.c.merged,
            func.least(claimed.c.oldest, opened.c.oldest).label("oldest_open_at"),
            *aside.c,
        )
        .join_from(total, claimed, true())
        .join(done, true())
        .join(opened, true())
        .join(aside, true())
    )
    with engine.connect() as connection:
        return QueueCounts(**connection.execute(statement).one()._asdict())


_OLDEST = func.min(LabelTask.created_at).label("oldest")
_ASIDE = tuple(
    func.count().filter(LabelTask.set_aside == why).label(name)
    for name, why in (
        ("skipped_by_all", SetAside.SKIPPED),
        ("too_few", SetAside.TOO_FEW),
        ("disagreeing", SetAside.DISAGREE),
    )
)


def _in_state(status: TaskStatus, *columns: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    return select(*columns).where(LabelTask.status == status)


def finished_since(connection: Connection, judged_until: datetime | None) -> int:
    """How many tasks are answered and not yet merged, or were merged after `judged_until` (None: ever)."""
    merged = [LabelTask.status == TaskStatus.MERGED]
    if judged_until is not None:
        merged.append(LabelTask.merged_at > judged_until)
    # Two counts, so that each reads its own small index.
    counts = (
        select(func.count()).select_from(LabelTask).where(*condition).scalar_subquery()
        for condition in ([LabelTask.status == TaskStatus.DONE], merged)
    )
    return sum(connection.execute(select(*counts)).one())


def merged_until(connection: Connection) -> datetime | None:
    """When the newest merged task was merged; None where there is none."""
    newest = select(func.max(LabelTask.merged_at)).where(LabelTask.status == TaskStatus.MERGED)
    return connection.execute(newest).scalar_one()


def merge_finished(connection: Connection, *, now: datetime) -> list[MergedTask]:
    """Close every finished task and return them, ordered by task. Called again it returns none."""
    statement = (
        update(LabelTask)
        .where(LabelTask.status == TaskStatus.DONE)
        .values(status=TaskStatus.MERGED, merged_at=now)
        .returning(LabelTask.task_id, LabelTask.review_id, LabelTask.consensus.label("sentiment"), _label_source())
    )
    rows = connection.execute(statement).all()
    if rows:
        _add_up_totals(connection)
    return sorted((MergedTask(**row._asdict()) for row in rows), key=lambda merged: merged.task_id)


def _add_up_totals(connection: Connection) -> None:
    """One row instead of many. Two at once are harmless: each adds up what it deleted itself."""
    rows = delete(LabelTaskTotal).returning(LabelTaskTotal.tasks, LabelTaskTotal.merged).cte("rows")
    added_up = select(func.sum(rows.c.tasks), func.sum(rows.c.merged)).having(func.count() > 0)
    connection.execute(insert(LabelTaskTotal).from_select(["tasks", "merged"], added_up))


def merged_truths(connection: Connection) -> dict[str, MergedTask]:
    """The consensus of people for every merged review, by review id."""
    statement = (
        select(LabelTask.task_id, LabelTask.review_id, LabelTask.consensus.label("sentiment"), _label_source())
        .where(LabelTask.status == TaskStatus.MERGED)
        .order_by(LabelTask.task_id)
    )
    return {row.review_id: MergedTask(**row._asdict()) for row in connection.execute(statement)}


@dataclass(frozen=True, kw_only=True)
class RemovedRows:
    """What was deleted with some reviews."""

    tasks: int
    labels: int
    skips: int


def remove_tasks_of(connection: Connection, review_ids: Sequence[str]) -> RemovedRows:
    """Delete the tasks of these reviews, with every answer to them. Their rows in `snapshot_label` must be gone.

    A labeler who has one of them open gets `LeaseLost`.
    """
    wanted = one_of(LabelTask.review_id, review_ids)
    tasks = select(LabelTask.task_id).where(wanted)
    skips = connection.execute(delete(LabelSkip).where(LabelSkip.task_id.in_(tasks))).rowcount
    labels = connection.execute(delete(Label).where(Label.task_id.in_(tasks))).rowcount
    return RemovedRows(tasks=connection.execute(delete(LabelTask).where(wanted)).rowcount, labels=labels, skips=skips)


def _label_source() -> ColumnElement[str]:
    any_demo = select(func.bool_or(Label.source == LabelSource.DEMO)).where(Label.task_id == LabelTask.task_id)
    source = case((any_demo.scalar_subquery(), LabelSource.DEMO.value), else_=LabelSource.PERSON.value)
    return cast(source, LABEL_SOURCE).label("label_source")
