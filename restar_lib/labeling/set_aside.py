"""Tasks that nobody new can be asked about: everybody who labels has answered or skipped them, and they are not done.

Such a task stays open and is marked with what it waits for (`domain.SetAside`), so that it is counted apart and raises
no alarm that nobody labels. A new labeler gets it by itself. Where people disagree and nobody else is there, each of
them is asked once more (`labeling.leases.claim`); a skipped task comes back with `ask_again`.

Who labels is `labeling.labelers`; where that is empty, everybody who has answered or skipped something within `SEEN`.
While nobody was seen, nothing changes. Marks are set when somebody skips or disagrees, and all of them are made anew by
the watch, because people come and go. It claims nothing and stores no answer.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Engine,
    Text,
    and_,
    case,
    cast,
    delete,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from restar_lib.domain import SetAside, TaskStatus
from restar_lib.settings import Settings
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import SET_ASIDE, Label, LabelSkip, LabelTask

SEEN: Final = timedelta(days=14)
"""Who has done nothing at the desk for so long is not waited for, unless `labeling.labelers` names them."""


def mark(connection: Connection, settings: Settings, *, now: datetime, task_id: int | None = None) -> int:
    """Mark the open tasks that nobody new can be asked about, and unmark the others; returns how many changed.

    Looks at one task, or at all open ones. Tasks that somebody else holds locked are passed: whoever does marks them.
    """
    people = labelers(connection, settings, now=now)
    if not people:
        return 0
    wanted = [LabelTask.status == TaskStatus.OPEN]
    if task_id is not None:
        wanted.append(LabelTask.task_id == task_id)
    why = _waits_for(people, needed=settings.labeling.labels_per_task)
    judged = select(LabelTask.task_id, why.label("why")).where(*wanted, LabelTask.set_aside.is_distinct_from(why))
    changed = judged.with_for_update(skip_locked=True, of=LabelTask).cte("changed")
    marked = update(LabelTask).where(LabelTask.task_id == changed.c.task_id).values(set_aside=changed.c.why)
    return connection.execute(marked).rowcount


def labelers(connection: Connection, settings: Settings, *, now: datetime) -> tuple[str, ...]:
    """Who can be asked: the configured names, else those who have worked lately."""
    if settings.labeling.labelers:
        return settings.labeling.labelers
    since = now - SEEN
    names = _seen(connection, Label.labeler, Label.labeled_at, since=since)
    return tuple(sorted(names | _seen(connection, LabelSkip.labeler, LabelSkip.skipped_at, since=since)))


def ask_again(engine: Engine, settings: Settings, *, now: datetime, task_ids: Collection[int] = ()) -> int:
    """Bring back what is set aside, all of it or these tasks: skips are forgotten, and those who disagree asked again.

    Returns how many tasks somebody can be asked about now. What waits for another person keeps waiting.
    """
    with engine.begin() as connection:
        waiting = select(LabelTask.task_id).where(
            LabelTask.status == TaskStatus.OPEN, LabelTask.set_aside.is_not(None), *_among(task_ids)
        )
        found = connection.scalars(waiting.order_by(LabelTask.task_id).with_for_update(skip_locked=True)).all()
        disagreeing = select(LabelTask.task_id).where(
            one_of(LabelTask.task_id, found), LabelTask.set_aside == SetAside.DISAGREE
        )
        back = set(connection.scalars(disagreeing))
        connection.execute(update(Label).where(one_of(Label.task_id, sorted(back))).values(looks=1))
        forgotten = delete(LabelSkip).where(one_of(LabelSkip.task_id, found)).returning(LabelSkip.task_id)
        skipped = set(connection.scalars(forgotten))
        unmarked = update(LabelTask).where(one_of(LabelTask.task_id, sorted(skipped))).values(set_aside=None)
        connection.execute(unmarked)
        mark(connection, settings, now=now)
        return len(back | skipped)


def is_new(labeler: str) -> ColumnElement[bool]:
    """Whether the labeler has neither answered nor skipped a task."""
    return _is_new_to(literal(labeler))


def is_second_look(labeler: str) -> ColumnElement[bool]:
    """Whether people disagree on a task, nobody else is left, and this labeler has answered it once."""
    once = has_answered(labeler, Label.looks == 1)
    return and_(LabelTask.set_aside == SetAside.DISAGREE, once, ~_has_skipped(literal(labeler)))


def has_answered(labeler: str | ColumnElement[str], *also: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the labeler has answered a task, and their label is like that."""
    own = (Label.task_id == LabelTask.task_id, Label.labeler == labeler)
    return select(Label.label_id).where(*own, *also).correlate_except(Label).exists()


def _has_skipped(labeler: ColumnElement[str]) -> ColumnElement[bool]:
    own = (LabelSkip.task_id == LabelTask.task_id, LabelSkip.labeler == labeler)
    return select(LabelSkip.task_id).where(*own).correlate_except(LabelSkip).exists()


def _is_new_to(labeler: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(~has_answered(labeler), ~_has_skipped(labeler))


def _among(task_ids: Collection[int]) -> tuple[ColumnElement[bool], ...]:
    return (one_of(LabelTask.task_id, task_ids),) if task_ids else ()


def _waits_for(people: Collection[str], *, needed: int) -> ColumnElement[SetAside | None]:
    """What a task waits for; null where one of `people` has neither answered nor skipped it."""
    person = func.unnest(literal(list(people), ARRAY(Text))).column_valued("person")
    somebody_is_left = select(person).where(_is_new_to(person)).correlate(LabelTask).exists()
    answers = select(func.count()).where(Label.task_id == LabelTask.task_id).scalar_subquery()
    return case(
        (somebody_is_left, cast(null(), SET_ASIDE)),
        (answers == 0, cast(SetAside.SKIPPED.value, SET_ASIDE)),
        (answers < needed, cast(SetAside.TOO_FEW.value, SET_ASIDE)),
        else_=cast(SetAside.DISAGREE.value, SET_ASIDE),
    )


def _seen(
    connection: Connection,
    labeler: InstrumentedAttribute[str],
    at: InstrumentedAttribute[datetime],
    *,
    since: datetime,
) -> set[str]:
    """Whose newest row is not older; reads a few entries of the index for each person, however many rows there are."""
    first = select(func.min(labeler).label("name")).cte("names", recursive=True)
    following = select(func.min(labeler)).where(labeler > first.c.name).scalar_subquery()
    names = first.union_all(select(following).where(first.c.name.is_not(None)))
    newest = select(func.max(at)).where(labeler == names.c.name).correlate(names).scalar_subquery()
    found = connection.scalars(select(names.c.name).where(names.c.name.is_not(None), newest >= since))
    return set(found)
