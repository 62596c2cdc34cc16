"""Audit labels as a random sample of the stream: people's answers beside a model's predictions.

Most tasks are there because the model was unsure, so they do not represent the stream. Audits were drawn whether or not
the model was sure, each with the rate that is stored with it; weighting by the inverse of that rate corrects for rates
that changed. What was drawn and not answered is counted too: people skip the hard ones, so the answered ones alone
flatter the model.

Only reviews that arrived after the model's training set was frozen count: it has learned from none of them. Older ones
that the training set left over are no fair picture: it takes every review of a rare class and a sample of the others.
Where the model has not read an audit yet (it was drawn before the release), `scoring.unread_audits` lets it.

Reads tables `label_task`, `label_skip`, `review` and `prediction`; changes nothing and estimates nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Row, Select, exists, func, select

from restar_lib.domain import SENTIMENTS
from restar_lib.store.tables import LabelSkip, LabelTask, PredictionRow, ReviewRow


def _nothing() -> NDArray[np.float64]:
    return np.zeros(len(SENTIMENTS))


@dataclass(frozen=True, kw_only=True)
class AuditSample:
    """Audited reviews: the answered ones column by column [n], the others summed up."""

    truth: NDArray[np.int64]
    """The consensus of people, as a class position."""
    predicted: NDArray[np.int64]
    weights: NDArray[np.float64]
    """Inverse of the rate with which each was drawn (Horvitz & Thompson 1952)."""
    skipped: int = 0
    """Drawn and not answered, though somebody has looked: they skipped it."""
    unread: int = 0
    """Drawn and not answered, and nobody has skipped it."""
    unanswered_weights: NDArray[np.float64] = field(default_factory=_nothing)
    """Weights of the unanswered ones, summed by the class that the model says [3]."""

    @property
    def labels(self) -> int:
        """How many are answered."""
        return len(self.truth)

    @property
    def drawn(self) -> int:
        """How many there are, answered or not."""
        return self.labels + self.skipped + self.unread


def fresh_audits(connection: Connection, *, model_version: str, arrived_after: datetime, limit: int) -> AuditSample:
    """The newest `limit` answered audits of reviews that `model_version` scored and that arrived after `arrived_after`.

    Beside them, all unanswered ones that were drawn since the first of these.
    """
    fresh: tuple[ColumnElement[bool], ...] = (
        PredictionRow.model_version == model_version,
        ReviewRow.ingested_at > arrived_after,
    )
    rows = connection.execute(_answered(*fresh).limit(limit)).all()
    if len(rows) == limit:
        fresh = (*fresh, LabelTask.created_at >= min(row.created_at for row in rows))
    return _sample(rows, connection.execute(_unanswered(*fresh)).all())


def _answered(*fresh: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    columns = (LabelTask.consensus, PredictionRow.sentiment, _WEIGHT.label("weight"), LabelTask.created_at)
    query = _drawn(*columns).where(*fresh, LabelTask.consensus.is_not(None))
    return query.order_by(LabelTask.done_at.desc(), LabelTask.task_id.desc())


def _unanswered(*fresh: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """By predicted class and whether anybody has skipped it: how many, and their weights."""
    skipped = exists().where(LabelSkip.task_id == LabelTask.task_id).label("skipped")
    found = _drawn(PredictionRow.sentiment, skipped, _WEIGHT.label("weight"))
    each = found.where(*fresh, LabelTask.consensus.is_(None)).subquery()
    columns = (each.c.sentiment, each.c.skipped)
    summed = select(*columns, func.count().label("tasks"), func.sum(each.c.weight).label("weight"))
    return summed.group_by(*columns)


_WEIGHT = 1 / LabelTask.audit_rate


def _drawn(*columns: Any) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns)
        .select_from(LabelTask)
        .join(ReviewRow, ReviewRow.review_id == LabelTask.review_id)
        .join(PredictionRow, PredictionRow.review_id == LabelTask.review_id)
        .where(LabelTask.audit_rate > 0)
    )


def _sample(answered: Sequence[Row[Any]], unanswered: Sequence[Row[Any]]) -> AuditSample:
    weights = _nothing()
    for row in unanswered:
        weights[row.sentiment.position] += row.weight
    return AuditSample(
        truth=np.array([row.consensus.position for row in answered], dtype=np.int64),
        predicted=np.array([row.sentiment.position for row in answered], dtype=np.int64),
        weights=np.array([row.weight for row in answered], dtype=np.float64),
        skipped=sum(row.tasks for row in unanswered if row.skipped),
        unread=sum(row.tasks for row in unanswered if not row.skipped),
        unanswered_weights=weights,
    )
