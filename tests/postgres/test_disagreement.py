"""Reviews whose stars are doubted go to people: once, and never from the test side."""

from datetime import UTC, datetime

from sqlalchemy import Engine, select

from restar_lib.domain import Reason, Sentiment, Side
from restar_lib.stars.asking import ask_people
from restar_lib.stars.audit import Audit, Listed
from restar_lib.store.tables import LabelTask
from tests.tasks import add_reviews

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def listed(review_id: str, *, side: Side = Side.TRAIN, people: Sentiment | None = None) -> Listed:
    """A doubted review."""
    return Listed(
        review_id=review_id, side=side, stars=5, expresses=Sentiment.NEGATIVE, sure=0.9, stars_probability=0.05,
        doubt=0.8, people=people, product_category=None, reviewed_at=NOON, text="broken",
    )  # fmt: skip


def test_doubted_stars_become_tasks_of_the_training_side(engine: Engine) -> None:
    """Not test rows, not what people had answered, not what our tables do not know, and nobody is asked twice."""
    add_reviews(engine, "one", "two", "three")
    rows = (
        listed("r0"), listed("r1", side=Side.TEST), listed("r2", people=Sentiment.POSITIVE), listed("elsewhere"),
    )  # fmt: skip
    found = Audit(
        snapshot_hash="0", simulated=False, audited_at=NOON, encoder="tiny", rows=9, doubted=4, by_stars=(),
        by_category=(), agreement=None, listed=rows,
    )  # fmt: skip
    assert [ask_people(engine, found) for _ in range(2)] == [1, 0]
    with engine.connect() as connection:
        (task,) = connection.execute(select(LabelTask.__table__)).all()
    assert (task.review_id, task.reasons, task.priority) == ("r0", [Reason.DISAGREEMENT], 0.8)
    assert (task.model_version, task.audit_rate) == (None, None)
