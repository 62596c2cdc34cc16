"""Stars and the model's opinion about a review: what anchors the person who labels it.

The desk reads them only where `labeling.show_hints` says so; a claim (`labeling.leases`) never holds them. Changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, and_, select

from restar_lib.domain import Sentiment
from restar_lib.store.tables import LabelTask, PredictionRow, ReviewRow


@dataclass(frozen=True, kw_only=True)
class AnchoringHints:
    """What would anchor a person; shown only where `labeling.show_hints` says so."""

    rating: int | None
    sentiment: Sentiment | None
    """What the model that put the task here says."""
    confidence: float | None


def hints(engine: Engine, *, task_id: int) -> AnchoringHints:
    """Stars and the model's opinion about this task's review."""
    opinion = and_(
        PredictionRow.review_id == LabelTask.review_id, PredictionRow.model_version == LabelTask.model_version
    )
    statement = (
        select(ReviewRow.rating, PredictionRow.sentiment, PredictionRow.confidence)
        .select_from(LabelTask)
        .join(ReviewRow, ReviewRow.review_id == LabelTask.review_id)
        .outerjoin(PredictionRow, opinion)
        .where(LabelTask.task_id == task_id)
    )
    with engine.connect() as connection:
        return AnchoringHints(**connection.execute(statement).one()._asdict())
