"""Varied reviews for tests of snapshots and scoring, put into the database as plain rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert

from restar_lib.domain import LabelSource, Reason, Sentiment, Side
from restar_lib.ingest.cleaning.clean import text_hash
from restar_lib.labeling import leases, queue
from restar_lib.selection import Selected
from restar_lib.settings import Settings
from restar_lib.splits import side_of
from restar_lib.store.tables import IngestRun, ReviewRow
from restar_lib.text import normalised_text

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
PHRASES = {
    1: "arrived broken and the refund took a month, a terrible waste",
    3: "an average thing, okay for the price, nothing more to say",
    5: "excellent and sturdy, I love it and would recommend it",
}


def add_reviews(
    engine: Engine,
    settings: Settings,
    count: int,
    *,
    prefix: str = "r",
    ratings: tuple[int | None, ...] = (5, 5, 5, 1, 3),
    ingested_at: datetime = NOON,
) -> dict[str, Side]:
    """Store so many reviews, written an hour apart, by one ingest run; returns their sides by id."""
    with engine.begin() as connection:
        run = insert(IngestRun).values(source="test", run_key="test", started_at=ingested_at)
        run_id = connection.execute(run.returning(IngestRun.ingest_run_id)).scalar_one()
        rows = [
            _row(f"{prefix}{number:04d}", number, ratings[number % len(ratings)], settings, run_id)
            for number in range(count)
        ]
        connection.execute(insert(ReviewRow), rows)
    return {row["review_id"]: row["side"] for row in rows}


def answer(engine: Engine, settings: Settings, review_ids: list[str], sentiment: Sentiment, *, now: datetime) -> None:
    """Queue these reviews and let one person give all of them the same answer."""
    asked = [
        Selected(review_id=one, reasons=(Reason.UNCERTAIN,), priority=0.5, inclusion_probability=1.0, audit_rate=None)
        for one in review_ids
    ]
    with engine.begin() as connection:
        queue.enqueue(connection, asked, model_version="rs-0000000000")
    while claim := leases.claim(engine, labeler="ann", now=now, lease_seconds=60):
        leases.submit(
            engine,
            task_id=claim.task_id,
            token=claim.token,
            labeler="ann",
            sentiment=sentiment,
            source=LabelSource.PERSON,
            now=now,
            settings=settings,
        )


def _row(review_id: str, number: int, rating: int | None, settings: Settings, run_id: int) -> dict[str, Any]:
    text = f"The item {review_id} {PHRASES.get(rating or 3, PHRASES[3])}"
    hashed = text_hash(normalised_text(text))
    return {
        "review_id": review_id,
        "source": "test",
        "text": text,
        "rating": rating,
        "product_category": ("Kitchen", "Garden")[number % 2],
        "reviewed_at": NOON + timedelta(hours=number),
        "words": len(text.split()),
        "text_hash": hashed,
        "side": side_of(hashed, settings.dataset),
        "ingest_run_id": run_id,
    }
