"""Stored predictions for those who watch and tidy: the newest window of a version, and which ones may go.

The statements on table `prediction` that do not score anything. A prediction that may still be needed is never
deleted: the champion's (it would be scored again), and those of reviews that were ever in the labeling queue (accuracy
in production is estimated from them). Called by `monitoring.watch` and `housekeeping`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    delete,
    exists,
    func,
    select,
    tuple_,
)

from restar_lib.artifacts.reference import Observation
from restar_lib.domain import with_title
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import LabelTask, PredictionRow, ReviewRow

DELETE_CHUNK = 10_000


@dataclass(frozen=True, kw_only=True)
class PredictionWindow:
    """The newest reviews that one version has scored, newest first."""

    observations: tuple[Observation, ...]
    start: datetime | None
    """When the oldest of these reviews was written; None for an empty window."""
    end: datetime | None

    @property
    def rows(self) -> int:
        """Number of reviews."""
        return len(self.observations)

    @property
    def period(self) -> str:
        """From when to when, in days."""
        return f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}" if self.start and self.end else "never"


def newest_window(
    connection: Connection, *, model_version: str, arrived_after: datetime, rows: int, titles: bool = False
) -> PredictionWindow:
    """The predictions of `model_version` for the `rows` newest reviews that were stored after `arrived_after`.

    With `titles` in front of the texts: a model that reads them is compared with a reference that has them too.
    """
    query = (
        select(
            ReviewRow.text,
            ReviewRow.title,
            ReviewRow.product_category,
            ReviewRow.rating,
            ReviewRow.reviewed_at,
            PredictionRow.sentiment,
            PredictionRow.confidence,
        )
        .join(PredictionRow, PredictionRow.review_id == ReviewRow.review_id)
        .where(
            PredictionRow.model_version == model_version,
            ReviewRow.ingested_at > arrived_after,
            # Only originals are scored; said again, so that the newest are found by index, not by sorting all of them.
            ReviewRow.duplicate_of.is_(None),
        )
        .order_by(ReviewRow.reviewed_at.desc(), ReviewRow.review_id)
        .limit(rows)
    )
    found = connection.execute(query).all()
    return PredictionWindow(
        observations=tuple(
            Observation(
                text=with_title(row.text, row.title) if titles else row.text,
                product_category=row.product_category,
                rating=row.rating,
                predicted=row.sentiment,
                confidence=row.confidence,
            )
            for row in found
        ),
        start=found[-1].reviewed_at if found else None,
        end=found[0].reviewed_at if found else None,
    )


def count_old(connection: Connection, *, before: datetime, keep_versions: Collection[str]) -> int:
    """How many predictions `delete_old` would delete."""
    return connection.execute(select(func.count()).where(_is_old(before, keep_versions))).scalar_one()


def delete_old(connection: Connection, *, before: datetime, keep_versions: Collection[str]) -> int:
    """Delete at most `DELETE_CHUNK` predictions that were made before `before`; returns how many.

    Never those of `keep_versions`, nor of a review that was ever in the labeling queue.
    """
    key = tuple_(PredictionRow.review_id, PredictionRow.model_version)
    chunk = select(PredictionRow.review_id, PredictionRow.model_version).where(_is_old(before, keep_versions))
    statement = delete(PredictionRow).where(key.in_(chunk.limit(DELETE_CHUNK)))
    return connection.execute(statement).rowcount


def delete_of(connection: Connection, review_ids: Collection[str]) -> int:
    """Delete every version's predictions of these reviews; returns how many."""
    gone = one_of(PredictionRow.review_id, review_ids)
    return connection.execute(delete(PredictionRow).where(gone)).rowcount


def _is_old(before: datetime, keep_versions: Collection[str]) -> ColumnElement[bool]:
    was_asked = exists().where(LabelTask.review_id == PredictionRow.review_id)
    return (PredictionRow.scored_at < before) & PredictionRow.model_version.not_in(sorted(keep_versions)) & ~was_asked


@dataclass(frozen=True, kw_only=True)
class PredictionCounts:
    """How many predictions a version has made."""

    scored: int
    abstained: int


def scored_by(engine: Engine, model_version: str) -> PredictionCounts:
    """Count the predictions of `model_version`."""
    query = select(func.count(), func.count().filter(PredictionRow.abstained)).where(
        PredictionRow.model_version == model_version
    )
    with engine.connect() as connection:
        scored, abstained = connection.execute(query).one()
    return PredictionCounts(scored=scored, abstained=abstained)
