"""An installation in which somebody is forgotten: Anna's and Ben's reviews among those of many others."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select, text

from restar_lib.domain import Sentiment, Side
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.label_audit.audit import Audit, DoubtedReview
from restar_lib.labeling import queue
from restar_lib.privacy.forget import ForgetReport, forget
from restar_lib.settings import Settings
from restar_lib.store.tables import ReviewRow
from tests.reviews import answer

NOW = datetime(2026, 9, 1, tzinfo=UTC)
ANNA, BEN = "anna-reviewer-1", "ben-reviewer-22"
SHARED = "Exactly this text was written by two people, once about a lamp and once about a kettle."


def row(user: str, number: int, **values: Any) -> dict[str, Any]:
    """One raw review."""
    return {
        "user_id": user,
        "asin": f"B{number:04d}",
        "rating": (5, 5, 1, 3, 4)[number % 5],
        "text": f"Review number {number} of {user}: the handle is sturdy, and I would buy it once more.",
        "timestamp": f"2026-03-{1 + number % 28:02d}T00:00:00+00:00",
    } | values


def deliver(settings: Settings, name: str, rows: Sequence[dict[str, Any] | str]) -> Settings:
    """Settings whose source is a new file of these rows."""
    path = settings.home.parent / f"{name}.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in rows))
    source = settings.source.model_copy(update={"kind": "files", "name": name, "path": str(path)})
    return settings.model_copy(update={"source": source})


def read(engine: Engine, settings: Settings) -> IngestCounts:
    """Ingest the configured source."""
    return ingest(engine, open_source(settings), settings, run_key="test", now=NOW)


def ids_of(engine: Engine, user: str) -> list[str]:
    """Review ids of a person."""
    with engine.connect() as connection:
        return list(connection.scalars(select(ReviewRow.review_id).where(ReviewRow.user_id == user)))


def filled(engine: Engine, smoke: Settings) -> Settings:
    """Many people's reviews, some rejected rows, a labeled task of Anna's, and predictions of hers."""
    others = [row(f"user-{number:06d}", number) for number in range(120)]
    hers = [row(ANNA, 200 + number) for number in range(12)] + [row(ANNA, 300, text=SHARED)]
    bens = [row(BEN, 400, text=SHARED), row(BEN, 401)]
    bad = [row(ANNA, 500, text="too short"), '{"user_id": "anna-reviewer-1", "text": "cut off', row(BEN, 501, rating=9)]
    settings = deliver(smoke, "first", [*others, *hers, *bens, *bad])
    read(engine, settings)
    answer(engine, settings, ids_of(engine, ANNA)[:2] + ids_of(engine, BEN)[:1], Sentiment.NEGATIVE, now=NOW)
    with engine.begin() as connection:
        queue.merge_finished(connection, now=NOW)
        connection.execute(
            text("insert into prediction select review_id, 'rs-0000000000', 0, 0, 1, 'positive', 1, false from review")
        )
    return settings


def forgotten(engine: Engine, settings: Settings, user: str = ANNA, *, dry_run: bool = False) -> ForgetReport:
    """Forget somebody."""
    return forget(engine, settings, user_id=user, now=NOW, dry_run=dry_run)


def audit_of(*review_ids: str, name: str) -> Audit:
    """An audit that lists these reviews."""
    listed = [
        DoubtedReview(
            review_id=one, side=Side.TRAIN, stars=5, expresses=Sentiment.NEGATIVE, sure=0.9, stars_probability=0.05,
            doubt=0.9, people=None, product_category=None, reviewed_at=NOW, text="it broke & that's that",
        )
        for one in review_ids
    ]  # fmt: skip
    return Audit(
        snapshot_hash=name, simulated=False, audited_at=NOW, encoder="tiny", rows=9, doubted=9, by_stars=(),
        by_category=(), agreement=None, listed=tuple(listed),
    )  # fmt: skip
