"""How tasks are marked that nobody new can be asked about, and how they come back."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from typer.testing import CliRunner

from restar_lib.cli import app
from restar_lib.domain import Sentiment, SetAside, TaskStatus
from restar_lib.errors import LeaseLost, OpenInAnotherTab
from restar_lib.labeling import leases, queue, set_aside
from restar_lib.settings import Settings
from restar_lib.settings import settings as process_settings
from restar_lib.store.database import engine as process_engine
from restar_lib.store.tables import Label, LabelTask
from tests.labelers import LATER, LEASE, asking, skip, submit, take
from tests.tasks import NOON, add_tasks, labels, statuses

NEGATIVE, NEUTRAL, POSITIVE = Sentiment
LONG_AFTER = NOON + set_aside.SEEN + timedelta(hours=1)


def marks(engine: Engine) -> dict[str, SetAside | None]:
    """By review, what its task waits for."""
    with engine.connect() as connection:
        rows = connection.execute(select(LabelTask.review_id, LabelTask.set_aside).order_by(LabelTask.review_id))
        return dict(rows.tuples().all())


def mark(engine: Engine, settings: Settings, *, now: datetime = NOON) -> int:
    with engine.begin() as connection:
        return set_aside.mark(connection, settings, now=now)


def disagree(engine: Engine, settings: Settings) -> None:
    """Ada and Ben say different things about the next task."""
    submit(engine, take(engine), settings, sentiment=POSITIVE)
    submit(engine, take(engine, "ben"), settings, labeler="ben", sentiment=NEGATIVE)


def test_what_a_task_waits_for_is_marked_and_counted_apart(engine: Engine, smoke: Settings) -> None:
    """Skipped by both, answered by one and skipped by the other, answered differently, and not looked at."""
    two = asking(smoke, 2)
    add_tasks(engine, 4)
    for labeler in ("ada", "ben"):
        skip(engine, take(engine, labeler), labeler, settings=two)
    skip(engine, take(engine), settings=two)
    submit(engine, take(engine, "ben"), two, labeler="ben")
    disagree(engine, two)
    assert marks(engine) == {"r0": SetAside.SKIPPED, "r1": SetAside.TOO_FEW, "r2": SetAside.DISAGREE, "r3": None}
    counts = queue.counts(engine)
    assert (counts.open, counts.waiting, counts.skipped_by_all, counts.too_few, counts.disagreeing) == (4, 1, 1, 1, 1)
    assert counts.why_aside == "1 skipped by everybody, 1 on which people disagree, 1 in need of one more person"
    assert mark(engine, two) == 0, "making all marks anew changes none"


def test_a_new_labeler_gets_what_is_set_aside_by_itself(engine: Engine, smoke: Settings) -> None:
    """Nobody needs to do anything; her answer finishes it."""
    add_tasks(engine, 1)
    skip(engine, take(engine))
    assert marks(engine) == {"r0": SetAside.SKIPPED}
    assert submit(engine, take(engine, "cy"), smoke, labeler="cy") is TaskStatus.DONE
    assert marks(engine) == {"r0": None}


def test_who_was_seen_lately_is_waited_for(engine: Engine, smoke: Settings) -> None:
    """For two weeks; then those who are left are all. Nothing changes while nobody is left at all."""
    add_tasks(engine, 3)
    submit(engine, take(engine, "ben"), smoke, labeler="ben")
    skip(engine, take(engine))
    assert marks(engine)["r1"] is None
    assert mark(engine, smoke, now=LONG_AFTER) == 0
    skip(engine, take(engine, now=LONG_AFTER), now=LONG_AFTER)
    assert mark(engine, smoke, now=LONG_AFTER) == 1
    assert marks(engine) == {"r0": None, "r1": SetAside.SKIPPED, "r2": SetAside.SKIPPED}


def test_a_name_that_is_added_is_waited_for(engine: Engine, smoke: Settings) -> None:
    """The watch unmarks what Ben could be asked about."""
    add_tasks(engine, 1)
    skip(engine, take(engine))
    named = smoke.model_copy(update={"labeling": smoke.labeling.model_copy(update={"labelers": ("ada", "ben")})})
    assert mark(engine, named) == 1
    assert marks(engine) == {"r0": None}


def test_everybody_looks_a_second_time_once(engine: Engine, smoke: Settings) -> None:
    """Still of two minds: the review is not shown for ever, and a lead brings it back with a command."""
    two = asking(smoke, 2)
    add_tasks(engine, 1)
    disagree(engine, two)
    for labeler, sentiment in (("ada", POSITIVE), ("ben", NEGATIVE)):
        claim = take(engine, labeler)
        assert claim.second_look
        assert submit(engine, claim, two, labeler=labeler, sentiment=sentiment) is TaskStatus.OPEN
    for labeler in ("ada", "ben"):
        assert leases.claim(engine, labeler=labeler, now=NOON, lease_seconds=LEASE) is None
    assert set_aside.ask_again(engine, two, now=NOON) == 1
    assert submit(engine, take(engine, "ben"), two, labeler="ben", sentiment=POSITIVE) is TaskStatus.DONE


def test_a_reloaded_page_shows_the_second_look_again_and_a_closed_one_gives_it_back(
    engine: Engine, smoke: Settings
) -> None:
    """As any other claim; while one holds it, the other does not get it."""
    two = asking(smoke, 2)
    add_tasks(engine, 1)
    disagree(engine, two)
    first = take(engine)
    again = take(engine)
    assert (again.task_id, again.token) == (first.task_id, first.token + 1)
    with pytest.raises(OpenInAnotherTab):
        submit(engine, first, two, sentiment=NEUTRAL)
    assert leases.claim(engine, labeler="ben", now=NOON, lease_seconds=LEASE) is None
    leases.release_claim(engine, task_id=again.task_id, token=again.token, labeler="ada")
    abandoned = take(engine, "ben")
    assert take(engine, now=LATER).task_id == abandoned.task_id
    with pytest.raises(LeaseLost):
        submit(engine, abandoned, two, labeler="ben", sentiment=POSITIVE)


def test_undo_of_a_second_look_takes_the_answer_back(engine: Engine, smoke: Settings) -> None:
    """The own label is gone, the other's stays, and the review is in hand again."""
    two = asking(smoke, 2)
    add_tasks(engine, 1)
    disagree(engine, two)
    submit(engine, take(engine), two, sentiment=NEGATIVE)
    back = leases.undo(engine, labeler="ada", now=NOON, settings=two)
    assert back is not None
    assert [label[1] for label in labels(engine)] == ["ben"]
    assert marks(engine) == {"r0": None}
    assert submit(engine, back, two, sentiment=NEGATIVE) is TaskStatus.DONE


def test_people_who_disagree_at_once_leave_one_label_each(engine: Engine, smoke: Settings) -> None:
    """Many labelers claim, answer differently, skip and look again at the same time: nothing is doubled or lost."""
    two = asking(smoke, 2)
    people, tasks = "abcd", 30
    add_tasks(engine, tasks)

    def work(labeler: str) -> int:
        given = 0
        while claim := leases.claim(engine, labeler=labeler, now=NOON, lease_seconds=LEASE):
            if (claim.task_id + ord(labeler)) % 7 == 0:
                skip(engine, claim, labeler, settings=two)
            else:
                answer = tuple(Sentiment)[(claim.task_id + people.index(labeler)) % 3]
                submit(engine, claim, two, labeler=labeler, sentiment=answer)
                given += 1
        return given

    with ThreadPoolExecutor(len(people)) as pool:
        given = sum(pool.map(work, people))
    with engine.connect() as connection:
        rows = connection.execute(select(Label.task_id, Label.labeler, Label.looks)).all()
    assert max(Counter((row.task_id, row.labeler) for row in rows).values()) == 1
    assert sum(row.looks for row in rows) == given
    mark(engine, two)
    counts = queue.counts(engine)
    assert counts.claimed == 0
    assert (counts.done + counts.aside, counts.waiting) == (tasks, 0)


def test_what_everybody_skipped_is_asked_again_by_a_command(
    engine: Engine, database_url: str, smoke: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One task, or all of them; the summary says what is set aside."""
    add_tasks(engine, 3)
    for _ in range(3):
        skip(engine, take(engine))
    with engine.connect() as connection:
        first = connection.scalar(select(LabelTask.task_id).where(LabelTask.review_id == "r0"))
    for name, value in {"PROFILE": "smoke", "HOME": smoke.home, "DATABASE__URL": database_url}.items():
        monkeypatch.setenv(f"RESTAR_{name}", str(value))
    for cached in (process_settings, process_engine):
        cached.cache_clear()
    try:
        said = CliRunner().invoke(app, ["labels", "summary"]).output
        assert "waiting: 0\nset aside: 3 skipped by everybody\n" in said
        one = CliRunner().invoke(app, ["labels", "reopen", "--task", str(first)]).output
        assert one == "1 tasks are asked about again\n"
        assert take(engine).review_id == "r0"
        assert CliRunner().invoke(app, ["labels", "reopen"]).output == "2 tasks are asked about again\n"
    finally:
        for cached in (process_settings, process_engine):
            cached.cache_clear()
    assert set(statuses(engine).values()) == {TaskStatus.CLAIMED, TaskStatus.OPEN}
    assert set(marks(engine).values()) == {None}
