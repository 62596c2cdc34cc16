"""Which reviews no model has read yet, found without looking at those that were read.

New are originals without a prediction, from ingest runs that began after the first training set was frozen (what came
before is history: it trained the first model and would flood the queue) and within the time for which predictions are
stored (what housekeeping has deleted must not look new again). A run whose originals were all read is closed and never
looked at again, so a nightly scoring costs the same however many reviews there are. It scores nothing.

Owns column `ingest_run.scored_at`; called by `scoring.batch`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from restar_lib.domain import Review
from restar_lib.ingest.stored_reviews import REVIEW_COLUMNS, as_review
from restar_lib.labeling.queue import count_uncertain
from restar_lib.settings import Settings
from restar_lib.store.conditions import one_of
from restar_lib.store.first_freeze import first_frozen_at
from restar_lib.store.tables import IngestRun, PredictionRow, ReviewRow

GIVEN_UP_AFTER: Final = timedelta(days=2)
"""A run that has not ended after this long was killed, and stores no more rows."""

Runs = Sequence[int]
"""Ingest runs that may hold unread reviews."""


class ReadPosition(NamedTuple):
    """The position of a review in the order of reading: run by run, in each by id."""

    ingest_run_id: int
    review_id: str


START: Final = ReadPosition(0, "")


@dataclass(frozen=True, kw_only=True)
class UnreadReviews:
    """Some reviews that no model has read, in the order of reading."""

    reviews: Sequence[Review]
    end: ReadPosition
    """The position of the last one, in the order of the database, which need not be Python's."""


def runs(engine: Engine, settings: Settings, *, now: datetime) -> Runs:
    """The runs to look at, oldest first."""
    with engine.connect() as connection:
        wanted = select(IngestRun.ingest_run_id).where(
            IngestRun.started_at > _since(connection, settings, now=now), IngestRun.scored_at.is_(None)
        )
        return connection.scalars(wanted.order_by(IngestRun.ingest_run_id)).all()


def count(engine: Engine, among: Runs) -> int:
    """How many reviews of these runs are unread."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(ReviewRow).where(*_unread(among))).scalar_one()


def is_any_unread(engine: Engine, settings: Settings, *, now: datetime) -> bool:
    """Whether some review is unread; costs little where none is, however many there are."""
    among = runs(engine, settings, now=now)
    if not among:
        return False
    with engine.connect() as connection:
        return connection.execute(select(exists().where(*_unread(among)))).scalar_one()


@dataclass(frozen=True, kw_only=True)
class ScoringState:
    """How far the scoring of some ingest runs has come, in all scoring runs together."""

    reviews: int
    """All reviews of these ingest runs, read or not."""
    read: int
    queued_uncertain: int


def scoring_state(engine: Engine, among: Runs) -> ScoringState:
    """What earlier or parallel scoring runs have done of these ingest runs, as far as they still count.

    A run that was killed while it was ingested counts only as long as something of it is unread: it never ends.
    """
    left = exists().where(ReviewRow.ingest_run_id == IngestRun.ingest_run_id, *_unread(among))
    ours = select(IngestRun.ingest_run_id).where(
        one_of(IngestRun.ingest_run_id, among), or_(IngestRun.finished_at.is_not(None), left)
    )
    # One state of the tables for all three figures: a chunk that is stored meanwhile is in all of them or in none.
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        runs = connection.scalars(ours).all()
        # Subtracted, not counted: counting the predictions of many reviews would read all of that table.
        counted = select(func.count()).where(one_of(ReviewRow.ingest_run_id, runs), ReviewRow.duplicate_of.is_(None))
        unread = select(func.count()).select_from(ReviewRow).where(*_unread(runs))
        reviews = connection.execute(counted).scalar_one()
        return ScoringState(
            reviews=reviews,
            read=reviews - connection.execute(unread).scalar_one(),
            queued_uncertain=count_uncertain(connection, ingest_runs=runs),
        )


def following(engine: Engine, among: Runs, *, after: ReadPosition, limit: int) -> UnreadReviews:
    """The next unread reviews behind `after`, `limit` at most; none where all are read."""
    position = tuple_(ReviewRow.ingest_run_id, ReviewRow.review_id)
    statement = (
        select(*REVIEW_COLUMNS, ReviewRow.ingest_run_id)
        .where(*_unread(among), position > after)
        .order_by(ReviewRow.ingest_run_id, ReviewRow.review_id)
        .limit(limit)
    )
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    return UnreadReviews(
        reviews=[as_review(row) for row in rows],
        end=ReadPosition(rows[-1].ingest_run_id, rows[-1].review_id) if rows else after,
    )


def unread_of(connection: Connection, review_ids: Collection[str]) -> set[str]:
    """Which of these reviews no model has read yet, old ones included."""
    wanted = one_of(ReviewRow.review_id, review_ids)
    return set(connection.scalars(select(ReviewRow.review_id).where(wanted, *_is_unread())))


def reopen_runs(connection: Connection, review_ids: Collection[str]) -> int:
    """Look again at the runs that brought these reviews: a copy that became an original was never read."""
    brought = select(ReviewRow.ingest_run_id).where(one_of(ReviewRow.review_id, review_ids))
    statement = update(IngestRun).where(IngestRun.ingest_run_id.in_(brought)).values(scored_at=None)
    return connection.execute(statement).rowcount


def close_runs(engine: Engine, among: Runs, *, now: datetime) -> int:
    """Close those of `among` that have ended and hold nothing unread; returns how many."""
    ended = or_(IngestRun.finished_at.is_not(None), IngestRun.started_at < now - GIVEN_UP_AFTER)
    left = exists().where(ReviewRow.ingest_run_id == IngestRun.ingest_run_id, *_unread(among))
    statement = update(IngestRun).where(one_of(IngestRun.ingest_run_id, among), IngestRun.scored_at.is_(None))
    with engine.begin() as connection:
        return connection.execute(statement.where(ended, ~left).values(scored_at=now)).rowcount


def _since(connection: Connection, settings: Settings, *, now: datetime) -> datetime:
    """Reviews of ingest runs that began later are new."""
    kept_since = now - timedelta(days=settings.housekeeping.prediction_days)
    frozen_at = first_frozen_at(connection)
    return kept_since if frozen_at is None else max(frozen_at, kept_since)


def _unread(among: Runs) -> tuple[ColumnElement[bool], ...]:
    # Names the runs even where another condition implies them: only so the index is used, not the whole table.
    return (one_of(ReviewRow.ingest_run_id, among), *_is_unread())


def _is_unread() -> tuple[ColumnElement[bool], ...]:
    read = exists().where(PredictionRow.review_id == ReviewRow.review_id)
    return ReviewRow.duplicate_of.is_(None), ~read
