"""Second thoughts of a labeler: `undo` takes back what they said and nothing that others said."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select

from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.errors import LeaseLost, NothingToUndo
from restar_lib.labeling import leases, queue
from restar_lib.labeling.leases import Claim
from restar_lib.settings import Settings
from restar_lib.store.tables import Label, LabelSkip, LabelTask
from tests.labelers import LATER, LEASE, asking, skip, submit, take
from tests.tasks import NOON, add_tasks, count_rows, labels, statuses


def undo(engine: Engine, smoke: Settings, labeler: str = "ada") -> Claim | None:
    """Take the labeler's last answer or skip back."""
    return leases.undo(engine, labeler=labeler, now=NOON, settings=smoke)


def agreed(engine: Engine) -> Sentiment | None:
    """The consensus of the only task."""
    with engine.connect() as connection:
        return connection.execute(select(LabelTask.consensus)).scalar_one()


def test_undo_takes_the_last_answer_back_and_shows_it_again(engine: Engine, smoke: Settings) -> None:
    """The label is gone, its review is leased to its author again, and what they held meanwhile is free."""
    add_tasks(engine, 2)
    submit(engine, take(engine), smoke)
    take(engine)
    back = undo(engine, smoke)
    assert back is not None
    assert back.review_id == "r0"
    assert statuses(engine) == {"r0": TaskStatus.CLAIMED, "r1": TaskStatus.OPEN}
    submit(engine, back, smoke, sentiment=Sentiment.POSITIVE)
    assert labels(engine) == [("r0", "ada", Sentiment.POSITIVE, LabelSource.PERSON)]


def test_undo_again_goes_one_further_back(engine: Engine, smoke: Settings) -> None:
    """Two answers, two undos: first the newer one, then the older."""
    add_tasks(engine, 2)
    for second in range(2):
        submit(engine, take(engine), smoke, now=NOON + timedelta(seconds=second))
    back = [leases.undo(engine, labeler="ada", now=LATER, settings=smoke) for _ in range(2)]
    assert [claim.review_id for claim in back if claim] == ["r1", "r0"]
    assert labels(engine) == []


def test_undo_takes_a_skip_back(engine: Engine, smoke: Settings) -> None:
    """A slip on the skip key is mended like a wrong answer."""
    add_tasks(engine, 2)
    skip(engine, take(engine))
    back = undo(engine, smoke)
    assert back is not None
    assert back.review_id == "r0"


def test_there_is_nothing_to_undo_after_a_while(engine: Engine, smoke: Settings) -> None:
    """Past `undo_seconds`, or without an answer of one's own, undo says so and changes nothing."""
    add_tasks(engine, 1)
    submit(engine, take(engine), smoke)
    late = NOON + timedelta(seconds=smoke.labeling.undo_seconds + 1)
    with pytest.raises(NothingToUndo, match="ada has answered or skipped nothing in the last 10 minutes"):
        leases.undo(engine, labeler="ada", now=late, settings=smoke)
    with pytest.raises(NothingToUndo):
        leases.undo(engine, labeler="ben", now=NOON, settings=smoke)
    assert statuses(engine) == {"r0": TaskStatus.DONE}


def test_an_answer_in_a_training_set_cannot_be_taken_back(engine: Engine, smoke: Settings) -> None:
    """Merged means sealed: undo is refused, the label stays, and so does the claim in hand."""
    add_tasks(engine, 2)
    submit(engine, take(engine), smoke)
    with engine.begin() as connection:
        queue.merge_finished(connection, now=NOON)
    take(engine)
    with pytest.raises(NothingToUndo, match="already in a training set"):
        leases.undo(engine, labeler="ada", now=NOON, settings=smoke)
    assert count_rows(engine, Label) == 1
    assert statuses(engine) == {"r0": TaskStatus.MERGED, "r1": TaskStatus.CLAIMED}


def test_an_answer_cannot_be_taken_back_while_somebody_reads_its_review(engine: Engine, smoke: Settings) -> None:
    """With two people per task, the second one is not interrupted."""
    add_tasks(engine, 1)
    submit(engine, take(engine, "ada"), asking(smoke, 2))
    take(engine, "ben")
    with pytest.raises(NothingToUndo):
        leases.undo(engine, labeler="ada", now=NOON, settings=smoke)
    assert count_rows(engine, Label) == 1


def test_undoing_a_skip_leaves_the_answer_of_another_person_whole(engine: Engine, smoke: Settings) -> None:
    """Ada skips, Ben answers, Ada takes her skip back: Ben's answer stays finished, and what Ada holds stays hers."""
    add_tasks(engine, 2)
    skip(engine, take(engine, "ada"))
    submit(engine, take(engine, "ben"), smoke, labeler="ben", sentiment=Sentiment.POSITIVE)
    take(engine, "ada")
    assert undo(engine, smoke) is None
    assert statuses(engine) == {"r0": TaskStatus.DONE, "r1": TaskStatus.CLAIMED}
    with engine.begin() as connection:
        assert [one.sentiment for one in queue.merge_finished(connection, now=NOON)] == [Sentiment.POSITIVE]
    with pytest.raises(NothingToUndo):
        undo(engine, smoke)


def test_undoing_a_skip_of_a_merged_review_changes_no_truth(engine: Engine, smoke: Settings) -> None:
    """The skip goes; the consensus is in a training set and stays."""
    add_tasks(engine, 1)
    skip(engine, take(engine, "ada"))
    submit(engine, take(engine, "ben"), smoke, labeler="ben")
    with engine.begin() as connection:
        truth = queue.merge_finished(connection, now=NOON)
    assert undo(engine, smoke) is None
    with engine.begin() as connection:
        assert list(queue.merged_truths(connection).values()) == truth


def test_an_undone_skip_asks_again_without_losing_an_earlier_answer(engine: Engine, smoke: Settings) -> None:
    """Two answers are needed and Ben has given one: Ada gets the review back, and Ben's answer counts beside hers."""
    add_tasks(engine, 1)
    two = asking(smoke, 2)
    skip(engine, take(engine, "ada"))
    submit(engine, take(engine, "ben"), two, labeler="ben")
    back = undo(engine, two)
    assert back is not None
    assert submit(engine, back, two) is TaskStatus.DONE
    assert [label[1] for label in labels(engine)] == ["ben", "ada"]


def test_undoing_one_of_two_answers_asks_its_author_again(engine: Engine, smoke: Settings) -> None:
    """The other answer stays; together with the new one it makes the consensus."""
    add_tasks(engine, 1)
    two = asking(smoke, 2)
    submit(engine, take(engine, "ada"), two)
    submit(engine, take(engine, "ben"), two, labeler="ben")
    back = undo(engine, two)
    assert back is not None
    assert (agreed(engine), [label[1] for label in labels(engine)]) == (None, ["ben"])
    assert submit(engine, back, two, sentiment=Sentiment.POSITIVE) is TaskStatus.OPEN
    assert agreed(engine) is None


def test_the_answers_that_are_left_still_finish_the_review(engine: Engine, smoke: Settings) -> None:
    """Two against one, and the one takes their answer back: the two still agree, so nobody is asked again."""
    add_tasks(engine, 1)
    two = asking(smoke, 2)
    submit(engine, take(engine, "ada"), two, sentiment=Sentiment.POSITIVE)
    for labeler in ("ben", "cy"):
        submit(engine, take(engine, labeler), two, labeler=labeler, sentiment=Sentiment.NEGATIVE)
    assert undo(engine, two) is None
    assert statuses(engine) == {"r0": TaskStatus.DONE}
    assert (agreed(engine), [label[1] for label in labels(engine)]) == (Sentiment.NEGATIVE, ["ben", "cy"])


def test_a_skip_cannot_be_taken_back_while_somebody_reads_its_review(engine: Engine, smoke: Settings) -> None:
    """Ben's lease stays, and so does his token: his answer counts."""
    add_tasks(engine, 1)
    skip(engine, take(engine, "ada"))
    reading = take(engine, "ben")
    with pytest.raises(NothingToUndo, match="somebody else is reading task"):
        undo(engine, smoke)
    assert count_rows(engine, LabelSkip) == 1
    assert submit(engine, reading, smoke, labeler="ben") is TaskStatus.DONE


def test_an_abandoned_lease_does_not_stand_against_undo(engine: Engine, smoke: Settings) -> None:
    """Ben's lease has ended, as for a claim; his late answer is refused then."""
    add_tasks(engine, 1)
    skip(engine, take(engine, "ada", now=LATER), now=LATER)
    abandoned = take(engine, "ben", now=LATER)
    long_after = LATER + timedelta(seconds=LEASE + 1)
    back = leases.undo(engine, labeler="ada", now=long_after, settings=smoke)
    assert back is not None
    with pytest.raises(LeaseLost):
        submit(engine, abandoned, smoke, labeler="ben", now=long_after)


def test_undo_pressed_in_several_tabs_at_once_takes_each_answer_back_once(engine: Engine, smoke: Settings) -> None:
    """Eight presses race over three answers, beside another labeler's: none of the other's goes, and nothing fails."""
    add_tasks(engine, 6)
    for second in range(3):
        submit(engine, take(engine), smoke, now=NOON + timedelta(seconds=second))
    submit(engine, take(engine, "ben"), smoke, labeler="ben")

    def press(_: int) -> str | None:
        try:
            back = leases.undo(engine, labeler="ada", now=LATER, settings=smoke)
        except NothingToUndo:
            return None
        return back.review_id if back else "finished"

    with ThreadPoolExecutor(8) as pool:
        taken_back = [review_id for review_id in pool.map(press, range(8)) if review_id]
    left = [label[0] for label in labels(engine) if label[1] == "ada"]
    assert sorted([*taken_back, *left]) == ["r0", "r1", "r2"]
    assert [label[0] for label in labels(engine) if label[1] == "ben"] == ["r3"]
    assert count_rows(engine, Label) == len(left) + 1
