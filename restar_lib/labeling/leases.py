"""The labeling queue as a labeler uses it: claim a review, answer it, skip it, take the last answer back.

`claim` leases one task to one labeler under a fencing token; `submit`, `skip` and `release_claim` end the lease,
`renew` prolongs it, `undo` takes the last answer or skip back. A person has one label on a task: a second look, where
people disagree and nobody else is left, replaces the own one. Every change names the state that it expects in its
WHERE; where that state is gone it raises `LeaseLost` or `NothingToUndo` and writes nothing.

A lease only says from when on others may take the review. What refuses a late answer is the token: it grows with every
claim, so an answer that comes after the lease but before anybody else's claim still counts, also where `queue.expire`
has reopened the task meanwhile: who held it stays in the row until the next claim.

A claim holds neither stars nor predictions: they would anchor people (`labeling.anchoring_hints` reads them, where
configured). It chooses no review (`selection`), shows nothing, and does not read the clock: `now` is passed in. The
desk, the terminal and the demo labelers all call this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningUpdate

from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.errors import LeaseLost, NothingToUndo
from restar_lib.labeling import set_aside
from restar_lib.labeling.consensus import consensus
from restar_lib.labeling.lost_leases import lost
from restar_lib.selection import SKIPPED_AUDIT
from restar_lib.settings import Settings
from restar_lib.store.tables import Label, LabelSkip, LabelTask, ReviewRow

_NOBODY: dict[str, Any] = {"claimed_by": None, "claimed_at": None, "lease_expires_at": None}
REOPENED: dict[str, Any] = {"status": TaskStatus.OPEN, **_NOBODY}
"""What a task becomes when its labeler gives it back."""
EXPIRED: dict[str, Any] = {"status": TaskStatus.OPEN, "lease_expires_at": None}
"""What a task becomes when its lease ends by itself: others may take it, and until then a late answer counts."""
ANSWERED_BY_OTHERS = "Taken back. Others have answered this review, so it is not asked again."
"""What to tell a labeler to whom `undo` returns no claim."""
SECOND_LOOK = "You have seen this review: people disagree on it. Your answer now replaces your first one."
"""What to tell a labeler whose claim is a second look."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One review leased to one labeler."""

    task_id: int
    token: int
    review_id: str
    text: str
    product_category: str | None
    reviewed_at: datetime
    lease_expires_at: datetime
    second_look: bool = False
    """Whether this labeler has answered it before, and others said something else."""


def claim(engine: Engine, *, labeler: str, now: datetime, lease_seconds: float) -> Claim | None:
    """Lease the next review to `labeler`, or None where nothing is left for them.

    First what they already hold (a reloaded page shows the same review under a new token), then abandoned leases, then
    the open task of the highest priority; never one that they answered or skipped. Last a second look at what they
    answered and people disagree on. One statement.
    """
    new, second = set_aside.is_new(labeler), set_aside.is_second_look(labeler)
    held = and_(
        LabelTask.status == TaskStatus.CLAIMED,
        (LabelTask.claimed_by == labeler) | (LabelTask.lease_expires_at <= now),
    )
    taken_up = _first(held, new | second).order_by((LabelTask.claimed_by == labeler).desc()).cte("taken_up")
    # A branch runs only where those before it found nothing, so that a claim never locks two rows.
    unclaimed = and_(LabelTask.status == TaskStatus.OPEN, ~exists(select(taken_up.c.task_id)))
    opened = _first(unclaimed, new).order_by(LabelTask.priority.desc(), LabelTask.task_id).cte("opened")
    nothing_new = and_(unclaimed, ~exists(select(opened.c.task_id)))
    again = _first(nothing_new, second).order_by(LabelTask.task_id).cte("again")
    chosen = union_all(*(select(branch.c.task_id) for branch in (taken_up, opened, again))).subquery("chosen")
    statement = (
        update(LabelTask)
        .where(
            LabelTask.task_id == chosen.c.task_id,
            LabelTask.status.in_((TaskStatus.OPEN, TaskStatus.CLAIMED)),
            ReviewRow.review_id == LabelTask.review_id,
        )
        .values(_leased(labeler=labeler, now=now, lease_seconds=lease_seconds))
        .returning(*_claim_columns(labeler))
    )
    with engine.begin() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else _as_claim(row)


def submit(
    engine: Engine,
    *,
    task_id: int,
    token: int,
    labeler: str,
    sentiment: Sentiment,
    source: LabelSource,
    now: datetime,
    settings: Settings,
) -> TaskStatus:
    """Store the answer; `done` once enough people agree, else back to `open` for the next one.

    An earlier answer of the same labeler is replaced: this was a second look. Sending the same answer again (the first
    reply got lost on the way) changes nothing. Raises `LeaseLost` where the review meanwhile went to somebody else,
    `OpenInAnotherTab` where the labeler claimed it once more.
    """
    held = _Held(task_id=task_id, token=token, labeler=labeler)
    with engine.begin() as connection:
        claimed_at = connection.execute(select(LabelTask.claimed_at).where(held.still()).with_for_update()).scalar()
        if claimed_at is None:
            return _answered_before(connection, held, sentiment=sentiment)
        others = select(Label.sentiment).where(Label.task_id == task_id, Label.labeler != labeler)
        earlier = connection.execute(others).scalars().all()
        agreed = consensus([*earlier, sentiment], needed=settings.labeling.labels_per_task)
        status = TaskStatus.OPEN if agreed is None else TaskStatus.DONE
        outcome = {"status": status, "consensus": agreed, "done_at": None if agreed is None else now}
        _end_lease(connection, held, outcome if agreed is None else outcome | {"set_aside": None})
        answer = {"task_id": task_id, "labeler": labeler, "sentiment": sentiment, "source": source}
        seconds = max(0.0, (now - claimed_at).total_seconds())  # a clock may have been set back meanwhile
        _store_label(connection, answer | {"seconds": seconds, "labeled_at": now})
        if agreed is None:
            set_aside.mark(connection, settings, now=now, task_id=task_id)
    return status


def _store_label(connection: Connection, label: dict[str, Any]) -> None:
    first = insert(Label).values(label)
    newer = {name: first.excluded[name] for name in ("sentiment", "source", "seconds", "labeled_at")}
    second = {**newer, "looks": Label.looks + 1}
    connection.execute(first.on_conflict_do_update(index_elements=["task_id", "labeler"], set_=second))


def skip(engine: Engine, *, task_id: int, token: int, labeler: str, now: datetime, settings: Settings) -> None:
    """Back to `open`, and `labeler` is not asked this again. Raises `LeaseLost`.

    An audit is asked of somebody else before anything new: figures of the audits that are easy to answer flatter.
    """
    first = case(
        (and_(LabelTask.audit_rate.is_not(None), LabelTask.priority < SKIPPED_AUDIT), LabelTask.priority + 1),
        else_=LabelTask.priority,
    )
    with engine.begin() as connection:
        held = _Held(task_id=task_id, token=token, labeler=labeler)
        _end_lease(connection, held, REOPENED | {"priority": first})
        connection.execute(insert(LabelSkip).values(task_id=task_id, labeler=labeler, skipped_at=now))
        set_aside.mark(connection, settings, now=now, task_id=task_id)


def release_claim(engine: Engine, *, task_id: int, token: int, labeler: str) -> None:
    """Back to `open`, without an opinion: the labeler closed the page. Raises `LeaseLost`."""
    with engine.begin() as connection:
        _end_lease(connection, _Held(task_id=task_id, token=token, labeler=labeler), REOPENED)


def renew(engine: Engine, *, task_id: int, token: int, labeler: str, now: datetime, lease_seconds: float) -> datetime:
    """The labeler is still reading: when the lease ends now. Raises `LeaseLost`."""
    until = now + timedelta(seconds=lease_seconds)
    held = _Held(task_id=task_id, token=token, labeler=labeler)
    renewed = {"status": TaskStatus.CLAIMED, "lease_expires_at": until}
    with engine.begin() as connection:
        if connection.execute(update(LabelTask).where(held.still()).values(renewed)).rowcount == 0:
            raise held.lost(connection)
    return until


def undo(engine: Engine, *, labeler: str, now: datetime, settings: Settings) -> Claim | None:
    """Take back the labeler's last answer or skip and lease that review to them again; what they hold now is freed.

    Nothing of anybody else is touched: the consensus is made anew of the answers that are left. None where those finish
    the review (`ANSWERED_BY_OTHERS`): it is not asked again, and what the labeler holds now stays theirs.

    Raises `NothingToUndo` where there is no answer or skip within `labeling.undo_seconds`, or where the answer is
    already in a training set, or where somebody else is reading that review.
    """
    since = now - timedelta(seconds=settings.labeling.undo_seconds)
    with engine.begin() as connection:
        task_id = connection.execute(_last_action(labeler=labeler, since=since)).scalar()
        if task_id is None:
            minutes = settings.labeling.undo_seconds / 60
            raise NothingToUndo(f"{labeler} has answered or skipped nothing in the last {minutes:g} minutes")
        task = connection.execute(_TASK_STATE.where(LabelTask.task_id == task_id).with_for_update()).one_or_none()
        answered, skipped = (_delete_own(connection, kind, task_id, labeler=labeler) for kind in (Label, LabelSkip))
        if task is None or not (answered or skipped):
            raise NothingToUndo(f"task {task_id} was taken back a moment ago, in another tab of yours perhaps")
        if answered and task.status is TaskStatus.MERGED:
            raise NothingToUndo(f"task {task_id} is already in a training set")
        if task.status is TaskStatus.CLAIMED and task.lease_expires_at > now:
            raise NothingToUndo(f"somebody else is reading task {task_id} now")
        if _finished_without(connection, task_id, status=task.status, answered=answered, now=now, settings=settings):
            return None
        held = (LabelTask.status == TaskStatus.CLAIMED, LabelTask.claimed_by == labeler)
        connection.execute(update(LabelTask).where(*held).values(REOPENED))
        lease = _leased(labeler=labeler, now=now, lease_seconds=settings.labeling.lease_seconds)
        return _as_claim(connection.execute(_take_back(task_id, labeler, lease)).one())


def answered_since(engine: Engine, *, labeler: str, since: datetime) -> int:
    """How many answers this labeler has given from `since` on."""
    mine = (Label.labeler == labeler, Label.labeled_at >= since)
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(Label).where(*mine)).scalar_one()


def _claim_columns(labeler: str) -> tuple[ColumnElement[Any], ...]:
    return (
        LabelTask.task_id.expression,
        LabelTask.claim_token.label("token"),
        ReviewRow.review_id.expression,
        ReviewRow.text.expression,
        ReviewRow.product_category.expression,
        ReviewRow.reviewed_at.expression,
        LabelTask.lease_expires_at.expression,
        set_aside.has_answered(labeler).label("second_look"),
    )


_TASK_STATE = select(LabelTask.status, LabelTask.lease_expires_at)


def _as_claim(row: Row[*tuple[Any, ...]]) -> Claim:
    return Claim(**row._asdict())


def _leased(*, labeler: str, now: datetime, lease_seconds: float) -> dict[str, Any]:
    return {
        "status": TaskStatus.CLAIMED,
        "claimed_by": labeler,
        "claimed_at": now,
        "claim_token": LabelTask.claim_token + 1,
        "lease_expires_at": now + timedelta(seconds=lease_seconds),
    }


def _first(state: ColumnElement[bool], allowed: ColumnElement[bool]) -> Select[int]:
    """One task in this state that the labeler may have, locked, passing those locked by others."""
    chosen = select(LabelTask.task_id).where(state, allowed)
    return chosen.limit(1).with_for_update(skip_locked=True, of=LabelTask)


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A claim that a labeler comes back with."""

    task_id: int
    token: int
    labeler: str

    def still(self) -> ColumnElement[bool]:
        """Whether nobody has claimed the task since, and it was not answered, skipped or given back."""
        return and_(
            LabelTask.task_id == self.task_id,
            LabelTask.status.in_((TaskStatus.CLAIMED, TaskStatus.OPEN)),
            LabelTask.claimed_by == self.labeler,
            LabelTask.claim_token == self.token,
        )

    def lost(self, connection: Connection) -> LeaseLost:
        """The error that says why not."""
        return lost(connection, task_id=self.task_id, token=self.token, labeler=self.labeler)


def _end_lease(connection: Connection, held: _Held, outcome: dict[str, Any]) -> None:
    if connection.execute(update(LabelTask).where(held.still()).values(outcome | _NOBODY)).rowcount == 0:
        raise held.lost(connection)


def _answered_before(connection: Connection, held: _Held, *, sentiment: Sentiment) -> TaskStatus:
    """The task's status where this very answer is already stored, else `LeaseLost`."""
    same = (Label.task_id == held.task_id, Label.labeler == held.labeler, Label.sentiment == sentiment)
    status = connection.execute(select(LabelTask.status).join(Label, Label.task_id == LabelTask.task_id).where(*same))
    found = status.scalar()
    if found is None:
        raise held.lost(connection)
    return found


def _last_action(*, labeler: str, since: datetime) -> Select[int]:
    labels = select(Label.task_id, Label.labeled_at.label("at")).where(Label.labeler == labeler)
    skips = select(LabelSkip.task_id, LabelSkip.skipped_at.label("at")).where(LabelSkip.labeler == labeler)
    action = union_all(labels, skips).subquery("action")
    return select(action.c.task_id).where(action.c.at >= since).order_by(action.c.at.desc()).limit(1)


def _delete_own(connection: Connection, table: type[Label | LabelSkip], task_id: int, *, labeler: str) -> bool:
    statement = delete(table).where(table.task_id == task_id, table.labeler == labeler)
    return connection.execute(statement).rowcount > 0


def _finished_without(
    connection: Connection, task_id: int, *, status: TaskStatus, answered: bool, now: datetime, settings: Settings
) -> bool:
    """Whether the answers that are left finish the task; its consensus is then theirs."""
    if not answered and status in (TaskStatus.DONE, TaskStatus.MERGED):
        return True  # a skip was no part of the consensus
    left = connection.execute(select(Label.sentiment).where(Label.task_id == task_id)).scalars().all()
    agreed = consensus(left, needed=settings.labeling.labels_per_task)
    if agreed is None:
        return False
    done = {"status": TaskStatus.DONE, "consensus": agreed, "done_at": func.coalesce(LabelTask.done_at, now)}
    ended = done | _NOBODY | {"set_aside": None}
    connection.execute(update(LabelTask).where(LabelTask.task_id == task_id).values(ended))
    return True


def _take_back(task_id: int, labeler: str, lease: dict[str, Any]) -> ReturningUpdate[*tuple[Any, ...]]:
    expected = (LabelTask.task_id == task_id, ReviewRow.review_id == LabelTask.review_id)
    unanswered = {"consensus": None, "done_at": None, "set_aside": None}
    return update(LabelTask).where(*expected).values(lease | unanswered).returning(*_claim_columns(labeler))
