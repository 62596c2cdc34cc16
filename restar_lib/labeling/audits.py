"""Audit labels as a random sample of the stream: people's answers beside a model's predictions.

Most tasks are there because the model was unsure, so they do not represent the stream. Audits were drawn whether or not
the model was sure, each with the rate that is stored with it; weighting by the inverse of that rate corrects for rates
that changed. Only reviews that arrived after the model's training set was frozen count: it has learned from none
of them. Reads tables `label_task`, `review` and `prediction`; changes nothing and estimates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from restar_lib.store.tables import LabelTask, PredictionRow, ReviewRow


@dataclass(frozen=True, kw_only=True)
class AuditSample:
    """Audited reviews, column by column [n]."""

    truth: NDArray[np.int64]
    """The consensus of people, as a class position."""
    predicted: NDArray[np.int64]
    weights: NDArray[np.float64]
    """Inverse of the rate with which each was drawn (Horvitz & Thompson 1952)."""

    @property
    def labels(self) -> int:
        """How many there are."""
        return len(self.truth)


def fresh_audits(connection: Connection, *, model_version: str, arrived_after: datetime, limit: int) -> AuditSample:
    """The newest answered audits of reviews that `model_version` scored and that arrived after `arrived_after`."""
    query = (
        select(LabelTask.consensus, PredictionRow.sentiment, (1 / LabelTask.audit_rate).label("weight"))
        .join(ReviewRow, ReviewRow.review_id == LabelTask.review_id)
        .join(PredictionRow, PredictionRow.review_id == LabelTask.review_id)
        .where(
            PredictionRow.model_version == model_version,
            ReviewRow.ingested_at > arrived_after,
            LabelTask.consensus.is_not(None),
            LabelTask.audit_rate > 0,
        )
        .order_by(LabelTask.done_at.desc(), LabelTask.task_id.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return AuditSample(
        truth=np.array([row.consensus.position for row in rows], dtype=np.int64),
        predicted=np.array([row.sentiment.position for row in rows], dtype=np.int64),
        weights=np.array([row.weight for row in rows], dtype=np.float64),
    )
