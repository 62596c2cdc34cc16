"""The demo labelers answer as people would, through the same calls."""

from collections import Counter

import pytest
from sqlalchemy import Engine, select, update

from restar_lib.demo.labelers import answer_all
from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.labeling import leases, queue
from restar_lib.settings import Settings
from restar_lib.simulator.reviews import true_sentiment
from restar_lib.store.tables import Label, ReviewRow
from tests.tasks import NOON, add_reviews, add_tasks, count_rows, labels, selected, statuses


def answering(smoke: Settings, **labeling: object) -> Settings:
    """Reviews from files, answered with the stars; demo labelers as given."""
    return smoke.model_copy(
        update={
            "source": smoke.source.model_copy(update={"kind": "files"}),
            "labeling": smoke.labeling.model_copy(update={"demo_error_rate": 0.0} | labeling),
        }
    )


def rate(engine: Engine, review_id: str, rating: int | None) -> None:
    """Give a review other stars."""
    with engine.begin() as connection:
        connection.execute(update(ReviewRow).where(ReviewRow.review_id == review_id).values(rating=rating))


def test_the_queue_is_emptied_with_the_stars(engine: Engine, smoke: Settings) -> None:
    """Each review gets one label, which is what its stars suggest, marked as demo."""
    add_tasks(engine, 5)
    for stars in range(1, 6):
        rate(engine, f"r{stars - 1}", stars)
    heard: list[int] = []
    assert answer_all(engine, answering(smoke), now=lambda: NOON, progress=heard.append) == 5
    assert sorted((review_id, sentiment) for review_id, _, sentiment, _ in labels(engine)) == [
        ("r0", Sentiment.NEGATIVE),
        ("r1", Sentiment.NEGATIVE),
        ("r2", Sentiment.NEUTRAL),
        ("r3", Sentiment.POSITIVE),
        ("r4", Sentiment.POSITIVE),
    ]
    assert {source for *_, source in labels(engine)} == {LabelSource.DEMO}
    assert set(statuses(engine).values()) == {TaskStatus.DONE}
    assert heard == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("neutral", "said"), [(False, {"negative", "positive"}), (True, set(Sentiment))])
def test_mistakes_about_likes_and_dislikes_are_the_other_one(
    engine: Engine, smoke: Settings, neutral: bool, said: set[str]
) -> None:
    """Made-up mistakes bring no third class into a source of two; one review of three stars, and they may."""
    add_tasks(engine, 60)
    for number in range(60):
        rate(engine, f"r{number}", 3 if neutral and number == 59 else 5 if number % 2 else 1)
    answer_all(engine, answering(smoke, demo_error_rate=0.9), now=lambda: NOON)
    assert {sentiment for _, _, sentiment, _ in labels(engine)} == said


def test_simulated_reviews_are_answered_with_what_they_express(engine: Engine, smoke: Settings) -> None:
    """Not with the stars, which contradict some of them."""
    simulated = smoke.model_copy(update={"labeling": smoke.labeling.model_copy(update={"demo_error_rate": 0.0})})
    source, prefix = simulated.source.name, f"sim-{simulated.simulated.seed}-"
    review_ids = add_reviews(engine, *(f"text {number}" for number in range(30)), source=source, prefix=prefix)
    with engine.begin() as connection:
        queue.enqueue(connection, [selected(review_id) for review_id in review_ids], model_version="rs-1")
    answer_all(engine, simulated, now=lambda: NOON)
    given = {review_id: sentiment for review_id, _, sentiment, _ in labels(engine)}
    assert given == {review_id: true_sentiment(review_id, simulated.simulated) for review_id in review_ids}
    assert len(set(given.values())) > 1


def test_they_err_at_their_rate_on_the_same_reviews_every_time(engine: Engine, smoke: Settings) -> None:
    """A fifth of 200 answers is wrong, in both other classes, and a second pair of eyes errs on the same ones."""
    add_tasks(engine, 200)
    add_reviews(engine, "text of three stars", rating=3, prefix="neutral-")
    both = answering(smoke, demo_error_rate=0.2, labels_per_task=2, demo_labelers=2)
    assert answer_all(engine, both, now=lambda: NOON) == 400
    by_labeler = {
        name: {review_id: sentiment for review_id, labeler, sentiment, _ in labels(engine) if labeler == name}
        for name in ("demo-1", "demo-2")
    }
    assert by_labeler["demo-1"] == by_labeler["demo-2"]
    answers = Counter(by_labeler["demo-1"].values())
    assert 20 <= answers[Sentiment.NEGATIVE] + answers[Sentiment.NEUTRAL] <= 62  # binomial, four standard deviations
    assert min(answers[Sentiment.NEGATIVE], answers[Sentiment.NEUTRAL]) > 0


def test_all_of_them_work_at_once(engine: Engine, smoke: Settings) -> None:
    """The work is shared: every demo labeler answers some, and no review twice."""
    add_tasks(engine, 120)
    answer_all(engine, answering(smoke, demo_labelers=4), now=lambda: NOON)
    assert {labeler for _, labeler, *_ in labels(engine)} == {"demo-1", "demo-2", "demo-3", "demo-4"}
    assert max(Counter(review_id for review_id, *_ in labels(engine)).values()) == 1


@pytest.mark.parametrize("limit", [1, 7])
def test_a_limit_is_kept_exactly(engine: Engine, smoke: Settings, limit: int) -> None:
    """However many work at once, no more labels than asked for."""
    add_tasks(engine, 20)
    assert answer_all(engine, answering(smoke), now=lambda: NOON, limit=limit) == limit
    assert count_rows(engine, Label) == limit


def test_a_review_without_stars_is_left_to_people(engine: Engine, smoke: Settings) -> None:
    """Where nobody knows the truth a demo labeler skips; the task stays open for a person."""
    add_tasks(engine, 2)
    rate(engine, "r0", None)
    assert answer_all(engine, answering(smoke), now=lambda: NOON) == 1
    assert statuses(engine) == {"r0": TaskStatus.OPEN, "r1": TaskStatus.DONE}


def test_what_a_person_is_reading_is_left_alone(engine: Engine, smoke: Settings) -> None:
    """Demo labelers take only what is free."""
    add_tasks(engine, 2)
    leases.claim(engine, labeler="ada", now=NOON, lease_seconds=60)
    assert answer_all(engine, answering(smoke), now=lambda: NOON) == 1
    assert statuses(engine) == {"r0": TaskStatus.CLAIMED, "r1": TaskStatus.DONE}


def test_two_teams_under_the_same_names_do_no_harm(engine: Engine, smoke: Settings) -> None:
    """A second `restar label-demo` finds the queue empty and adds nothing."""
    add_tasks(engine, 3)
    assert [answer_all(engine, answering(smoke), now=lambda: NOON) for _ in range(2)] == [3, 0]
    with engine.connect() as connection:
        assert len(connection.execute(select(Label)).all()) == 3
