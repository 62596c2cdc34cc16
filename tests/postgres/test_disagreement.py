"""Reviews whose stars are doubted go to people: once, and never from the test side."""

import logging
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, insert, select, update

from restar_lib.domain import Reason, Sentiment, Side
from restar_lib.errors import NothingToDo
from restar_lib.label_audit.ask_people import ask_people
from restar_lib.label_audit.audit import Audit, DoubtedReview
from restar_lib.label_quality.doubted_labels import DoubtedLabels
from restar_lib.labeling.queue import count_doubted, enqueue
from restar_lib.retraining import pipeline
from restar_lib.selection import audit_draw
from restar_lib.settings import SelectionSettings, Settings
from restar_lib.store.tables import LabelTask, PredictionRow, ReviewRow, SnapshotRow, VerdictRow
from tests.tasks import add_reviews, selected

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NO_AUDITS = SelectionSettings(audit_rate=0.0)


def listed(review_id: str, *, side: Side = Side.TRAIN, people: Sentiment | None = None) -> DoubtedReview:
    """A doubted review."""
    return DoubtedReview(
        review_id=review_id, side=side, stars=5, expresses=Sentiment.NEGATIVE, sure=0.9, stars_probability=0.05,
        doubt=0.8, people=people, product_category=None, reviewed_at=NOON, text="broken",
    )  # fmt: skip


def audit_of(*rows: DoubtedReview) -> Audit:
    """An audit that lists these."""
    return Audit(
        snapshot_hash="0", simulated=False, audited_at=NOON, encoder="tiny", rows=9, doubted=4, by_stars=(),
        by_category=(), agreement=None, listed=rows,
    )  # fmt: skip


def test_doubted_stars_become_tasks_of_the_training_side(engine: Engine) -> None:
    """Not test rows, not what people had answered, not what our tables do not know, and nobody is asked twice."""
    add_reviews(engine, "one", "two", "three")
    rows = (
        listed("r0"), listed("r1", side=Side.TEST), listed("r2", people=Sentiment.POSITIVE), listed("elsewhere"),
    )  # fmt: skip
    found = audit_of(*rows)
    assert [ask_people(engine, found, NO_AUDITS, languages=["en"]) for _ in range(2)] == [1, 0]
    with engine.connect() as connection:
        (task,) = connection.execute(select(LabelTask.__table__)).all()
    assert (task.review_id, task.reasons, task.priority) == ("r0", [Reason.DISAGREEMENT], 0.8)
    assert (task.model_version, task.audit_rate) == (None, None)


def test_nobody_is_asked_about_doubted_stars_in_a_language_that_is_not_read(engine: Engine) -> None:
    """But where the language is not known, or where people are asked in it."""
    add_reviews(engine, "one", "two", "three")
    with engine.begin() as connection:
        for review_id, language in (("r0", "de"), ("r1", "en")):
            named = update(ReviewRow).where(ReviewRow.review_id == review_id)
            connection.execute(named.values(language=language))
    found = audit_of(listed("r0"), listed("r1"), listed("r2"))
    assert ask_people(engine, found, NO_AUDITS, languages=["en"]) == 2
    assert ask_people(engine, found, NO_AUDITS, languages=["en", "de"]) == 1


def test_a_doubted_review_that_nobody_has_scored_keeps_its_audit_draw(engine: Engine) -> None:
    """Its one task is opened before scoring comes to it; what was scored has had its draw, by another rate perhaps."""
    review_ids = add_reviews(engine, *(f"review {number}" for number in range(40)))
    config = SelectionSettings(audit_rate=0.5)
    drawn = dict(zip(review_ids, audit_draw(review_ids, rate=0.5, key=config.audit_key).tolist(), strict=True))
    scored = {
        "model_version": "rs-0000000000", "p_negative": 0.1, "p_neutral": 0.1, "p_positive": 0.8,
        "sentiment": Sentiment.POSITIVE, "confidence": 0.8, "abstained": False, "scored_at": NOON,
    }  # fmt: skip
    read = set(review_ids[:20])
    with engine.begin() as connection:
        connection.execute(insert(PredictionRow), [scored | {"review_id": review_id} for review_id in sorted(read)])
    assert ask_people(engine, audit_of(*map(listed, review_ids)), config, languages=["en"]) == 40
    with engine.connect() as connection:
        tasks = {task.review_id: task for task in connection.execute(select(LabelTask.__table__))}
    audits = {review_id for review_id, task in tasks.items() if task.audit_rate is not None}
    assert audits == {review_id for review_id in review_ids if drawn[review_id] and review_id not in read}
    assert 0 < len(audits) < 20
    for review_id, task in tasks.items():
        assert task.reasons == [Reason.DISAGREEMENT, *([Reason.AUDIT] if review_id in audits else [])]
        assert (task.audit_rate, task.inclusion_probability) == (0.5 if review_id in audits else None, 1.0)


FIRST, SECOND = "rs-1111111111", "rs-2222222222"
"""Versions that two trainings made."""
SET, OTHER_SET = "a" * 16, "b" * 16
"""Training sets."""


@pytest.fixture
def three(smoke: Settings) -> Settings:
    """At most three reviews a training; no audits."""
    selection = smoke.selection.model_copy(update={"doubted_tasks": 3, "audit_rate": 0.0})
    return smoke.model_copy(update={"selection": selection})


def doubts(settings: Settings, version: str, *review_ids: str) -> None:
    """A training of this version doubted these stars, the first one most."""
    most = tuple((review_id, round(0.99 - at / 100, 2)) for at, review_id in enumerate(review_ids))
    DoubtedLabels(judged=200, doubted=len(most), most=most).write(settings.models_dir, version)


def asks(engine: Engine, settings: Settings, version: str = FIRST, snapshot_hash: str = SET) -> pipeline.AskedDoubts:
    """The DAG's step."""
    return pipeline.ask_people(engine, settings, version=version, snapshot_hash=snapshot_hash)


def asked(engine: Engine) -> dict[str, tuple[list[Reason], str | None]]:
    """Every task's reasons and model, by review."""
    with engine.connect() as connection:
        return {
            row.review_id: (row.reasons, row.model_version) for row in connection.execute(select(LabelTask.__table__))
        }


def judged_on_set(engine: Engine, version: str) -> None:
    """The gate has judged this version, which learned from `SET`."""
    rows = dict.fromkeys(("train_rows", "validation_rows", "test_rows", "people_rows"), 1)
    verdict = {"rules_hash": "0", "passed": False, "provisional": False, "lines": []}
    with engine.begin() as connection:
        connection.execute(insert(SnapshotRow).values(snapshot_hash=SET, **rows))
        connection.execute(insert(VerdictRow).values(challenger=version, snapshot_hash=SET, **verdict))


def test_after_a_training_people_are_asked_about_what_it_doubts_most(
    engine: Engine, three: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """As many as configured, by doubt; not who has a task, not who is gone; one line says how many of how many."""
    add_reviews(engine, *"abcdef")
    with engine.begin() as connection:
        enqueue(connection, [selected("r1")], model_version="rs-0000000000")
    doubts(three, FIRST, "forgotten", "r0", "r1", "r2", "r3", "r4")
    with caplog.at_level(logging.INFO):
        found = asks(engine, three)
    assert (found.asked, found.asked_before, found.doubted, found.judged) == (3, 0, 6, 200)
    because = ([Reason.DISAGREEMENT], FIRST)
    assert asked(engine) == {
        "r1": ([Reason.UNCERTAIN], "rs-0000000000"), "r0": because, "r2": because, "r3": because,
    }  # fmt: skip
    assert count_doubted(engine) == 3
    assert (
        "3 reviews queued, reason disagreement: of 200 stars that no person has answered rs-1111111111 doubts 6, these"
        " the most" in caplog.text
    )


def test_asking_again_asks_nobody_else(engine: Engine, three: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The task was killed after its transaction, or cleared: the same three are its choice, and they have their tasks."""
    add_reviews(engine, *"abcdef")
    doubts(three, FIRST, "r0", "r1", "r2", "r3", "r4")
    asks(engine, three)
    before = asked(engine)
    with caplog.at_level(logging.INFO):
        again = asks(engine, three)
    assert (again.asked, again.asked_before) == (0, 3)
    assert "0 reviews queued (3 were before)" in caplog.text
    assert asked(engine) == before


def test_a_training_set_has_one_share_however_often_it_is_trained_on(engine: Engine, three: Settings) -> None:
    """Another mode on the same rows is no reason to ask more; another training set is."""
    add_reviews(engine, *"abcdefgh")
    for version in (FIRST, SECOND):
        doubts(three, version, "r0", "r1", "r2", "r3", "r4", "r5", "r6")
    asks(engine, three)
    judged_on_set(engine, FIRST)
    assert asks(engine, three, SECOND).asked == 0
    assert set(asked(engine)) == {"r0", "r1", "r2"}
    assert asks(engine, three, SECOND, OTHER_SET).asked == 3
    assert set(asked(engine)) == {f"r{number}" for number in range(6)}


def test_where_nobody_is_asked_the_log_says_why(engine: Engine, three: Settings) -> None:
    """Switched off, a training that could not judge, one that says nothing, nothing doubted, nobody left."""
    add_reviews(engine, "a")
    off = three.model_copy(update={"selection": three.selection.model_copy(update={"doubted_tasks": 0})})
    doubts(three, FIRST, "r0")
    with pytest.raises(NothingToDo, match=r"selection\.doubted_tasks is 0"):
        asks(engine, off)
    with pytest.raises(NothingToDo, match=f"{SECOND} left no word of them"):
        asks(engine, three, SECOND)
    asks(engine, three)
    doubts(three, SECOND, "r0")
    with pytest.raises(NothingToDo, match="1 are doubted, and people were asked about those before"):
        asks(engine, three, SECOND, OTHER_SET)
    DoubtedLabels(judged=200).write(three.models_dir, SECOND)
    with pytest.raises(NothingToDo, match=r"of 200 that no person has answered 0 are doubted$"):
        asks(engine, three, SECOND, OTHER_SET)
    DoubtedLabels(unjudged="it began at the champion's weights").write(three.models_dir, SECOND)
    with pytest.raises(NothingToDo, match="it began at the champion's weights"):
        asks(engine, three, SECOND, OTHER_SET)


def test_what_a_training_doubts_keeps_its_audit_draw(engine: Engine, three: Settings) -> None:
    """Its task may be opened before scoring comes to it, which then opens none: the random draw goes along."""
    add_reviews(engine, "a", "b")
    every = three.model_copy(update={"selection": three.selection.model_copy(update={"audit_rate": 1.0})})
    doubts(every, FIRST, "r0")
    asks(engine, every)
    assert asked(engine) == {"r0": ([Reason.DISAGREEMENT, Reason.AUDIT], FIRST)}
