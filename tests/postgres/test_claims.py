"""The labeler's side of the queue: leases, answers, second thoughts."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select

from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.errors import LeaseLost, OpenInAnotherTab
from restar_lib.labeling import leases, queue
from restar_lib.labeling.leases import Claim
from restar_lib.settings import Settings
from restar_lib.store.tables import Label, LabelTask
from tests.labelers import LATER, LEASE, asking, skip, submit, take
from tests.tasks import NOON, add_tasks, count_rows, labels, statuses


def test_a_claim_is_the_most_urgent_review_with_its_text(engine: Engine) -> None:
    """The highest priority comes first, leased for as long as asked."""
    add_tasks(engine, 3, text="Broke on day one.")
    claim = take(engine)
    assert (claim.review_id, claim.text, claim.product_category) == ("r0", "Broke on day one. (0)", "Kitchen")
    assert claim.lease_expires_at == NOON + timedelta(seconds=LEASE)


def test_a_claim_hides_the_stars_and_the_model() -> None:
    """What would anchor a labeler is not even in the claim."""
    assert set(Claim.__dataclass_fields__) == {
        "task_id", "token", "review_id", "text", "product_category", "reviewed_at", "lease_expires_at",
        "second_look",
    }  # fmt: skip


def test_two_labelers_never_get_the_same_review(engine: Engine, smoke: Settings) -> None:
    """Eight labelers claim and answer at once until nothing is left: each of 60 reviews goes to exactly one of them."""
    review_ids = add_tasks(engine, 60)

    def work(labeler: str) -> list[str]:
        mine = []
        while claim := leases.claim(engine, labeler=labeler, now=NOON, lease_seconds=LEASE):
            mine.append(claim.review_id)
            submit(engine, claim, smoke, labeler=labeler)
        return mine

    with ThreadPoolExecutor(8) as pool:
        found = Counter(review_id for mine in pool.map(work, "abcdefgh") for review_id in mine)
    assert found == Counter(review_ids)
    assert Counter(label[0] for label in labels(engine)) == Counter(review_ids)


@pytest.mark.timeout(30)
def test_a_claim_does_not_wait_for_a_locked_task(engine: Engine) -> None:
    """While another connection holds the first task's row, the second one is handed out at once."""
    add_tasks(engine, 2)
    with engine.begin() as connection:
        connection.execute(select(LabelTask).where(LabelTask.review_id == "r0").with_for_update())
        assert take(engine).review_id == "r1"


def test_claiming_again_shows_the_same_review_under_a_new_token(engine: Engine, smoke: Settings) -> None:
    """A reloaded page goes on where it was; the answer of the page before it is refused."""
    add_tasks(engine, 2)
    before, after = take(engine), take(engine)
    assert (before.review_id, after.review_id) == ("r0", "r0")
    with pytest.raises(LeaseLost):
        submit(engine, before, smoke)
    assert submit(engine, after, smoke) is TaskStatus.DONE


def test_an_abandoned_review_goes_to_somebody_else(engine: Engine, smoke: Settings) -> None:
    """After the lease another labeler gets it, and the late answer of the first is refused without a trace."""
    add_tasks(engine, 1)
    abandoned = take(engine, "ada")
    assert leases.claim(engine, labeler="ben", now=NOON, lease_seconds=LEASE) is None
    taken = take(engine, "ben", now=LATER)
    with pytest.raises(LeaseLost, match=f"task {taken.task_id} is no longer yours"):
        submit(engine, abandoned, smoke, now=LATER)
    assert submit(engine, taken, smoke, labeler="ben", sentiment=Sentiment.POSITIVE, now=LATER) is TaskStatus.DONE
    assert labels(engine) == [("r0", "ben", Sentiment.POSITIVE, LabelSource.PERSON)]


def test_a_late_answer_counts_while_nobody_else_has_the_review(engine: Engine, smoke: Settings) -> None:
    """The lease only says when others may take it; a slow reader loses nothing."""
    add_tasks(engine, 1)
    assert submit(engine, take(engine), smoke, now=LATER) is TaskStatus.DONE


def test_a_late_answer_counts_also_after_housekeeping_reopened_the_task(engine: Engine, smoke: Settings) -> None:
    """`expire` lets others take it; as long as nobody did, the answer counts, with the seconds since the claim."""
    add_tasks(engine, 1)
    claim = take(engine)
    assert queue.expire(engine, now=LATER) == 1
    assert submit(engine, claim, smoke, now=LATER) is TaskStatus.DONE
    with engine.connect() as connection:
        assert connection.execute(select(Label.labeler, Label.seconds)).one() == ("ada", LEASE + 1)


def test_after_housekeeping_only_who_held_the_task_may_answer_it(engine: Engine, smoke: Settings) -> None:
    """Neither another labeler under the same token, nor its holder under another one."""
    add_tasks(engine, 1)
    claim = take(engine)
    queue.expire(engine, now=LATER)
    with pytest.raises(LeaseLost, match="went back to the queue"):
        submit(engine, claim, smoke, labeler="ben", now=LATER)
    with pytest.raises(LeaseLost):
        submit(engine, replace(claim, token=claim.token + 1), smoke, now=LATER)
    assert (labels(engine), statuses(engine)) == ([], {"r0": TaskStatus.OPEN})


@pytest.mark.parametrize("then", ["reads", "answers", "gives it back", "skips"])
def test_a_late_answer_is_refused_once_somebody_else_claimed_the_task(
    engine: Engine, smoke: Settings, then: str
) -> None:
    """Whatever they did with it: their claim is the newer one."""
    add_tasks(engine, 1)
    late = take(engine, "ada")
    queue.expire(engine, now=LATER)
    claim = take(engine, "ben", now=LATER)
    if then == "answers":
        submit(engine, claim, smoke, labeler="ben", now=LATER)
    elif then == "skips":
        skip(engine, claim, "ben", now=LATER)
    elif then == "gives it back":
        leases.release_claim(engine, task_id=claim.task_id, token=claim.token, labeler="ben")
    with pytest.raises(LeaseLost, match=r"somebody else|went back to the queue"):
        submit(engine, late, smoke, now=LATER)
    assert "ada" not in [label[1] for label in labels(engine)]


def test_a_late_answer_and_a_claim_of_somebody_else_do_not_both_count(engine: Engine, smoke: Settings) -> None:
    """They race twenty times: either the answer stands and nobody is asked, or the claim does and it is refused."""
    add_tasks(engine, 41)
    for _ in range(20):
        late = take(engine, "ada")
        queue.expire(engine, now=LATER)
        with ThreadPoolExecutor(2) as pool:
            answer = pool.submit(submit, engine, late, smoke, now=LATER)
            claim = pool.submit(take, engine, "ben", now=LATER).result()
        assert (answer.exception() is None) == (claim.task_id != late.task_id)
        submit(engine, claim, smoke, labeler="ben", now=LATER)
        assert answer.exception() is None or isinstance(answer.exception(), LeaseLost)
    assert set(Counter(label[0] for label in labels(engine)).values()) == {1}


def test_a_reader_who_is_still_there_renews_after_housekeeping(engine: Engine) -> None:
    """The machine slept past its lease and nobody took the review: it is leased again, and others wait."""
    add_tasks(engine, 1)
    claim = take(engine)
    queue.expire(engine, now=LATER)
    key = {"task_id": claim.task_id, "token": claim.token, "labeler": "ada"}
    leases.renew(engine, **key, now=LATER, lease_seconds=LEASE)
    assert statuses(engine) == {"r0": TaskStatus.CLAIMED}
    assert leases.claim(engine, labeler="ben", now=LATER, lease_seconds=LEASE) is None


def test_a_second_tab_of_the_same_person_is_called_so(engine: Engine, smoke: Settings) -> None:
    """The first tab's answer, skip and renewal name the other tab; after the answer there, they name the answer."""
    add_tasks(engine, 1)
    first, second = take(engine), take(engine)
    key = {"task_id": first.task_id, "token": first.token, "labeler": "ada"}
    with pytest.raises(OpenInAnotherTab, match="is open in another tab of yours"):
        submit(engine, first, smoke)
    with pytest.raises(OpenInAnotherTab):
        skip(engine, first)
    with pytest.raises(OpenInAnotherTab):
        leases.renew(engine, **key, now=NOON, lease_seconds=LEASE)
    submit(engine, second, smoke, sentiment=Sentiment.NEUTRAL)
    with pytest.raises(LeaseLost, match="you have answered it"):
        submit(engine, first, smoke, sentiment=Sentiment.POSITIVE)
    assert labels(engine) == [("r0", "ada", Sentiment.NEUTRAL, LabelSource.PERSON)]


def test_what_the_other_tab_did_is_named(engine: Engine, smoke: Settings) -> None:
    """Skipped there, or its review erased meanwhile."""
    add_tasks(engine, 2)
    first, second = take(engine), take(engine)
    skip(engine, second)
    with pytest.raises(LeaseLost, match="you have skipped it"):
        submit(engine, first, smoke)
    erased = take(engine)
    with engine.begin() as connection:
        queue.remove_tasks_of(connection, [erased.review_id])
    with pytest.raises(LeaseLost, match="not stored any more"):
        submit(engine, erased, smoke)


@pytest.mark.parametrize(("token", "labeler"), [(1, "ada"), (0, "ben")])
def test_a_foreign_token_or_name_is_refused(engine: Engine, smoke: Settings, token: int, labeler: str) -> None:
    """Nobody answers, skips, releases or renews in another's name, or under a token that was never theirs."""
    add_tasks(engine, 1)
    claim = take(engine)
    key = {"task_id": claim.task_id, "token": claim.token + token, "labeler": labeler}
    answer = {"sentiment": Sentiment.NEUTRAL, "source": LabelSource.PERSON, "settings": smoke}
    with pytest.raises(LeaseLost):
        leases.submit(engine, **key, **answer, now=NOON)
    with pytest.raises(LeaseLost):
        leases.skip(engine, **key, now=NOON, settings=smoke)
    with pytest.raises(LeaseLost):
        leases.release_claim(engine, **key)
    with pytest.raises(LeaseLost):
        leases.renew(engine, **key, now=NOON, lease_seconds=LEASE)
    assert statuses(engine) == {"r0": TaskStatus.CLAIMED}


def test_an_answer_is_stored_with_its_consensus_and_its_seconds(engine: Engine, smoke: Settings) -> None:
    """A label keeps who, what, when and how long it took; the task keeps the consensus."""
    add_tasks(engine, 1)
    submit(engine, take(engine), smoke, sentiment=Sentiment.NEUTRAL, now=NOON + timedelta(seconds=9))
    with engine.connect() as connection:
        label = connection.execute(select(Label)).one()
        task = connection.execute(select(LabelTask)).one()
    assert (label.labeler, label.sentiment, label.source) == ("ada", Sentiment.NEUTRAL, LabelSource.PERSON)
    assert (label.seconds, label.labeled_at) == (9, NOON + timedelta(seconds=9))
    assert (task.status, task.consensus, task.done_at) == (TaskStatus.DONE, Sentiment.NEUTRAL, label.labeled_at)
    assert (task.claimed_by, task.lease_expires_at) == (None, None)


def test_sending_the_same_answer_twice_stores_it_once(engine: Engine, smoke: Settings) -> None:
    """The reply got lost and the page sends again: fine. Another answer under the same token is refused."""
    add_tasks(engine, 1)
    claim = take(engine)
    assert [submit(engine, claim, smoke), submit(engine, claim, smoke)] == [TaskStatus.DONE, TaskStatus.DONE]
    with pytest.raises(LeaseLost):
        submit(engine, claim, smoke, sentiment=Sentiment.POSITIVE)
    assert count_rows(engine, Label) == 1


def test_the_same_answer_sent_twice_at_once_is_stored_once(engine: Engine, smoke: Settings) -> None:
    """Four copies of one request race: all are told the same, one row is written."""
    add_tasks(engine, 1)
    claim = take(engine)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(submit, engine, claim, smoke) for _ in range(4)]
    assert {answer.result() for answer in answers} == {TaskStatus.DONE}
    assert count_rows(engine, Label) == 1


def test_a_task_that_needs_two_people_asks_two_different_ones(engine: Engine, smoke: Settings) -> None:
    """The first answer reopens it, its author is not asked again, the second finishes it."""
    add_tasks(engine, 1)
    two = asking(smoke, 2)
    assert submit(engine, take(engine, "ada"), two, labeler="ada") is TaskStatus.OPEN
    assert leases.claim(engine, labeler="ada", now=NOON, lease_seconds=LEASE) is None
    assert submit(engine, take(engine, "ben"), two, labeler="ben") is TaskStatus.DONE


def test_people_who_disagree_leave_the_decision_to_one_more(engine: Engine, smoke: Settings) -> None:
    """One against one is no consensus; the third answer decides."""
    add_tasks(engine, 1)
    two = asking(smoke, 2)
    submit(engine, take(engine, "ada"), two, labeler="ada", sentiment=Sentiment.NEGATIVE)
    tie = submit(engine, take(engine, "ben"), two, labeler="ben", sentiment=Sentiment.POSITIVE)
    done = submit(engine, take(engine, "cy"), two, labeler="cy", sentiment=Sentiment.POSITIVE)
    assert (tie, done) == (TaskStatus.OPEN, TaskStatus.DONE)
    with engine.connect() as connection:
        assert connection.execute(select(LabelTask.consensus)).scalar_one() is Sentiment.POSITIVE


def test_a_skipped_review_goes_to_others_and_not_back(engine: Engine) -> None:
    """Who skipped gets the next one; somebody else is asked the skipped one."""
    add_tasks(engine, 2)
    skip(engine, take(engine, "ada"))
    assert take(engine, "ada").review_id == "r1"
    assert take(engine, "ben").review_id == "r0"


def test_a_released_review_comes_back(engine: Engine) -> None:
    """Closing the page is no opinion: the same labeler may get it again, and others at once."""
    add_tasks(engine, 1)
    claim = take(engine, "ada")
    leases.release_claim(engine, task_id=claim.task_id, token=claim.token, labeler="ada")
    assert take(engine, "ben").review_id == "r0"


def test_a_renewed_lease_keeps_others_away(engine: Engine) -> None:
    """A reader who is still there keeps the review past the first lease."""
    add_tasks(engine, 1)
    claim = take(engine, "ada")
    key = {"task_id": claim.task_id, "token": claim.token, "labeler": "ada"}
    assert leases.renew(engine, **key, now=NOON + timedelta(seconds=30), lease_seconds=LEASE) > LATER
    assert leases.claim(engine, labeler="ben", now=LATER, lease_seconds=LEASE) is None


def test_answers_are_counted_by_labeler_and_time(engine: Engine, smoke: Settings) -> None:
    """The desk's progress: mine, and only from then on."""
    add_tasks(engine, 3)
    for labeler, minute in (("ada", 0), ("ada", 30), ("ben", 30)):
        when = NOON + timedelta(minutes=minute)
        submit(engine, take(engine, labeler, now=when), smoke, labeler=labeler, now=when)
    assert leases.answered_since(engine, labeler="ada", since=NOON) == 2
    assert leases.answered_since(engine, labeler="ada", since=NOON + timedelta(minutes=1)) == 1
