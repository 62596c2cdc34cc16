"""Reviews whose stars are doubted go to people: once, and never from the test side."""

from datetime import UTC, datetime

from sqlalchemy import Engine, insert, select

from restar_lib.domain import Reason, Sentiment, Side
from restar_lib.selection import audit_draw
from restar_lib.settings import Selection
from restar_lib.stars.asking import ask_people
from restar_lib.stars.audit import Audit, Listed
from restar_lib.store.tables import LabelTask, PredictionRow
from tests.tasks import add_reviews

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NO_AUDITS = Selection(audit_rate=0.0)


def listed(review_id: str, *, side: Side = Side.TRAIN, people: Sentiment | None = None) -> Listed:
    """A doubted review."""
    return Listed(
        review_id=review_id, side=side, stars=5, expresses=Sentiment.NEGATIVE, sure=0.9, stars_probability=0.05,
        doubt=0.8, people=people, product_category=None, reviewed_at=NOON, text="broken",
    )  # fmt: skip


def audit_of(*rows: Listed) -> Audit:
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
    assert [ask_people(engine, found, NO_AUDITS) for _ in range(2)] == [1, 0]
    with engine.connect() as connection:
        (task,) = connection.execute(select(LabelTask.__table__)).all()
    assert (task.review_id, task.reasons, task.priority) == ("r0", [Reason.DISAGREEMENT], 0.8)
    assert (task.model_version, task.audit_rate) == (None, None)


def test_a_doubted_review_that_nobody_has_scored_keeps_its_audit_draw(engine: Engine) -> None:
    """Its one task is opened before scoring comes to it; what was scored has had its draw, by another rate perhaps."""
    review_ids = add_reviews(engine, *(f"review {number}" for number in range(40)))
    config = Selection(audit_rate=0.5)
    drawn = dict(zip(review_ids, audit_draw(review_ids, rate=0.5, key=config.audit_key).tolist(), strict=True))
    scored = {
        "model_version": "rs-0000000000", "p_negative": 0.1, "p_neutral": 0.1, "p_positive": 0.8,
        "sentiment": Sentiment.POSITIVE, "confidence": 0.8, "abstained": False, "scored_at": NOON,
    }  # fmt: skip
    read = set(review_ids[:20])
    with engine.begin() as connection:
        connection.execute(insert(PredictionRow), [scored | {"review_id": review_id} for review_id in sorted(read)])
    assert ask_people(engine, audit_of(*map(listed, review_ids)), config) == 40
    with engine.connect() as connection:
        tasks = {task.review_id: task for task in connection.execute(select(LabelTask.__table__))}
    audits = {review_id for review_id, task in tasks.items() if task.audit_rate is not None}
    assert audits == {review_id for review_id in review_ids if drawn[review_id] and review_id not in read}
    assert 0 < len(audits) < 20
    for review_id, task in tasks.items():
        assert task.reasons == [Reason.DISAGREEMENT, *([Reason.AUDIT] if review_id in audits else [])]
        assert (task.audit_rate, task.inclusion_probability) == (0.5 if review_id in audits else None, 1.0)
