"""Tasks that nobody new can be asked about, as labelers and the person on call meet them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.labeling import leases
from restar_lib.monitoring import watch
from restar_lib.monitoring.drift.findings import FindingKind
from restar_lib.settings import Settings
from restar_lib.store.tables import LabelTask
from tests.labelers import LEASE, asking, skip, submit, take
from tests.tasks import NOON, add_tasks, labels, statuses
from tests.watched import BASE, release_champion

LONG_AFTER = NOON + timedelta(hours=80)
NEGATIVE, NEUTRAL, POSITIVE = Sentiment


def seen_by_the_watch(engine: Engine, settings: Settings, *, run_key: str = "scheduled__1") -> set[FindingKind]:
    """What the watch finds 80 hours after these tasks came in."""
    release_champion(engine, settings, now=BASE)
    with engine.begin() as connection:
        connection.execute(update(LabelTask).values(created_at=NOON))
    return {one.kind for one in watch.watch(engine, settings, run_key=run_key, now=LONG_AFTER).alerts}


def test_a_task_that_everybody_skipped_raises_no_alarm(engine: Engine, smoke: Settings) -> None:
    """Nobody can be asked about it, so it does not say that nobody labels."""
    add_tasks(engine, 1)
    skip(engine, take(engine), now=NOON)
    assert seen_by_the_watch(engine, smoke) == set()


def test_a_task_that_somebody_could_answer_still_raises_the_alarm(engine: Engine, smoke: Settings) -> None:
    """Ada skipped the first and has not come back to the second; or a colleague is there for both."""
    add_tasks(engine, 2)
    skip(engine, take(engine), now=NOON)
    assert seen_by_the_watch(engine, smoke) == {FindingKind.OLD_TASK}


def test_a_configured_labeler_who_has_not_looked_is_waited_for(engine: Engine, smoke: Settings) -> None:
    """The names of `labeling.labelers` count, whether or not they were seen."""
    both = smoke.model_copy(update={"labeling": smoke.labeling.model_copy(update={"labelers": ("ada", "ben")})})
    add_tasks(engine, 1)
    skip(engine, take(engine), now=NOON)
    assert seen_by_the_watch(engine, both) == {FindingKind.OLD_TASK}


def test_two_who_disagree_raise_no_alarm(engine: Engine, smoke: Settings) -> None:
    """Both have answered, and nobody else was seen."""
    two = asking(smoke, 2)
    add_tasks(engine, 1)
    submit(engine, take(engine), two, sentiment=POSITIVE)
    submit(engine, take(engine, "ben"), two, labeler="ben", sentiment=NEGATIVE)
    assert seen_by_the_watch(engine, two) == set()


def test_two_who_disagree_are_asked_a_second_time_and_can_decide(engine: Engine, smoke: Settings) -> None:
    """The second answer replaces the own first one: one label for each person, and a consensus."""
    two = asking(smoke, 2)
    add_tasks(engine, 1)
    submit(engine, take(engine), two, sentiment=POSITIVE)
    submit(engine, take(engine, "ben"), two, labeler="ben", sentiment=NEGATIVE)
    again = take(engine)
    assert submit(engine, again, two, sentiment=NEGATIVE) is TaskStatus.DONE
    assert labels(engine) == [
        ("r0", "ada", NEGATIVE, LabelSource.PERSON),
        ("r0", "ben", NEGATIVE, LabelSource.PERSON),
    ]
    assert statuses(engine) == {"r0": TaskStatus.DONE}


@pytest.mark.parametrize("labeler", ["ada", "ben"])
def test_a_second_look_comes_after_everything_new(engine: Engine, smoke: Settings, labeler: str) -> None:
    """Whatever the priorities: nobody reads the same review twice in a row while there are others."""
    two = asking(smoke, 2)
    add_tasks(engine, 2)
    submit(engine, take(engine), two, sentiment=POSITIVE)
    submit(engine, take(engine, "ben"), two, labeler="ben", sentiment=NEGATIVE)
    new = take(engine, labeler)
    assert new.review_id == "r1"
    submit(engine, new, two, labeler=labeler)
    assert take(engine, labeler).review_id == "r0"


def test_a_third_person_is_asked_before_a_second_look(engine: Engine, smoke: Settings) -> None:
    """Cy has worked today: the two are not asked again, and his answer decides."""
    two = asking(smoke, 2)
    add_tasks(engine, 2)
    first = take(engine)
    skip(engine, take(engine, "cy"), "cy")
    submit(engine, first, two, sentiment=POSITIVE)
    submit(engine, take(engine, "ben"), two, labeler="ben", sentiment=NEGATIVE)
    skip(engine, take(engine), settings=two)
    skip(engine, take(engine, "ben"), "ben", settings=two)
    assert leases.claim(engine, labeler="ada", now=NOON, lease_seconds=LEASE) is None
    assert leases.claim(engine, labeler="ben", now=NOON, lease_seconds=LEASE) is None
    assert submit(engine, take(engine, "cy"), two, labeler="cy", sentiment=POSITIVE) is TaskStatus.DONE
