"""Reviews and open tasks for tests of the queue and the desk, put into the database as plain rows."""

from datetime import UTC, datetime

from sqlalchemy import Engine, func, insert, select

from restar_lib.domain import LabelSource, Reason, Sentiment, Side, TaskStatus
from restar_lib.labeling import queue
from restar_lib.selection import Selected
from restar_lib.store.tables import IngestRun, Label, LabelTask, ReviewRow

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def add_reviews(engine: Engine, *texts: str, rating: int = 5, source: str = "test", prefix: str = "r") -> list[str]:
    """Store these texts as reviews `r0`, `r1`, ...; returns their ids."""
    review_ids = [f"{prefix}{number}" for number in range(len(texts))]
    with engine.begin() as connection:
        run = connection.execute(
            insert(IngestRun).values(source=source, run_key="test").returning(IngestRun.ingest_run_id)
        )
        shared = {
            "source": source,
            "rating": rating,
            "product_category": "Kitchen",
            "reviewed_at": NOON,
            "side": Side.TRAIN,
            "ingest_run_id": run.scalar_one(),
        }
        rows = [
            shared
            | {"review_id": review_id, "text": text, "words": len(text.split()), "text_hash": f"hash of {review_id}"}
            for review_id, text in zip(review_ids, texts, strict=True)
        ]
        connection.execute(insert(ReviewRow), rows)
    return review_ids


def selected(review_id: str, *, priority: float = 0.5, audit_rate: float | None = None) -> Selected:
    """One review as selection hands it over: uncertain, or drawn as an audit where a rate is given."""
    return Selected(
        review_id=review_id,
        reasons=(Reason.UNCERTAIN,) if audit_rate is None else (Reason.AUDIT,),
        priority=priority,
        inclusion_probability=audit_rate or 1.0,
        audit_rate=audit_rate,
    )


def add_tasks(
    engine: Engine, count: int, *, text: str = "The lid fell off after a week and nobody answers."
) -> list[str]:
    """So many open tasks; the first has the highest priority. Returns the review ids in that order."""
    review_ids = add_reviews(engine, *(f"{text} ({number})" for number in range(count)))
    with engine.begin() as connection:
        chosen = [selected(review_id, priority=1 - n / (count + 1)) for n, review_id in enumerate(review_ids)]
        queue.enqueue(connection, chosen, model_version="rs-0000000000")
    return review_ids


def labels(engine: Engine) -> list[tuple[str, str, Sentiment, LabelSource]]:
    """Every label as (review, labeler, sentiment, source), in the order of labeling."""
    columns = (LabelTask.review_id, Label.labeler, Label.sentiment, Label.source)
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).join(LabelTask).order_by(Label.label_id))
        return [(row[0], row[1], row[2], row[3]) for row in rows]


def statuses(engine: Engine) -> dict[str, TaskStatus]:
    """The status of each task by review."""
    with engine.connect() as connection:
        rows = connection.execute(select(LabelTask.review_id, LabelTask.status).order_by(LabelTask.review_id))
        return {row[0]: row[1] for row in rows}


def count_rows(engine: Engine, table: type[LabelTask] | type[Label]) -> int:
    """How many rows the table has."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()
