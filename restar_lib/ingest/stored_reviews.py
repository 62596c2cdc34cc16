"""Reads table `review` for other rooms and for ingest, and says what ingest has stored so far.

A stored review is a `domain.Review` everywhere: a statement selects `REVIEW_COLUMNS`, and `as_review` makes one of a
row. Writes nothing (`ingest.load` does) and decides nothing about training or scoring.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, exists, func, select, union_all

from restar_lib.domain import Review
from restar_lib.ingest import quarantine
from restar_lib.ingest.identity import StoredId
from restar_lib.selection import is_asked_in
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import IngestRun, ReviewRow, SourceCursor


@dataclass(frozen=True, kw_only=True)
class ReviewCounts:
    """What the table holds."""

    originals: int
    copies: int
    """Reviews whose text another one had first."""
    quarantined: int

    @property
    def reviews(self) -> int:
        """All stored reviews."""
        return self.originals + self.copies


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run of ingest, as it is in the table."""

    ingest_run_id: int
    source: str
    run_key: str
    rows_read: int
    new: int
    edited: int
    already_known: int
    duplicate_text: int
    quarantined: int
    started_at: datetime
    finished_at: datetime | None
    """None while it runs, and for a run that was cut off; its counts are right all the same."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Quarantined rows by reason; empty for runs of earlier versions."""


REVIEW_COLUMNS = tuple(getattr(ReviewRow, name) for name in Review.__dataclass_fields__)
"""What a statement selects whose rows become reviews; others may follow."""


def as_review(row: Row[*tuple[Any, ...]]) -> Review:
    """The review in a row that begins with `REVIEW_COLUMNS`."""
    return Review(**dict(zip(Review.__dataclass_fields__, row, strict=False)))


def read_reviews(connection: Connection, statement: Select[*tuple[Any, ...]]) -> list[Review]:
    """The reviews that a statement over `REVIEW_COLUMNS` finds, in its order."""
    return [as_review(row) for row in connection.execute(statement)]


def reviews_by_id(connection: Connection, review_ids: Collection[str]) -> dict[str, Review]:
    """The stored ones among `review_ids`."""
    wanted = select(*REVIEW_COLUMNS).where(one_of(ReviewRow.review_id, review_ids))
    return {review.review_id: review for review in read_reviews(connection, wanted)}


def count_reviews(engine: Engine) -> ReviewCounts:
    """How many reviews, copies and quarantined rows there are."""
    originals = select(func.count()).select_from(ReviewRow).where(ReviewRow.duplicate_of.is_(None)).scalar_subquery()
    copies = select(func.count()).select_from(ReviewRow).where(ReviewRow.duplicate_of.is_not(None)).scalar_subquery()
    with engine.connect() as connection:
        row = connection.execute(select(originals, copies, quarantine.number_of_rows())).one()
    return ReviewCounts(originals=row[0], copies=row[1], quarantined=row[2])


def has_stars(engine: Engine, stars: int) -> bool:
    """Whether any stored review has so many stars."""
    with engine.connect() as connection:
        return bool(connection.scalar(select(exists().where(ReviewRow.rating == stars))))


def sources_read(engine: Engine) -> dict[str, int]:
    """Rows read so far, by source."""
    with engine.connect() as connection:
        rows = connection.execute(select(SourceCursor.source, SourceCursor.rows_read).order_by(SourceCursor.source))
        return dict(rows.tuples().all())


def latest_runs(engine: Engine, *, limit: int = 10) -> list[RunSummary]:
    """The latest runs of ingest, newest first."""
    columns = [getattr(IngestRun, name) for name in RunSummary.__dataclass_fields__]
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).order_by(IngestRun.ingest_run_id.desc()).limit(limit))
        return [RunSummary(**row._mapping) for row in rows]  # noqa: SLF001


def stored_ids(connection: Connection, source: str, ids: Sequence[str]) -> list[StoredId]:
    """The reviews that have one of these ids, as their `review_id` or in this source."""
    columns = (
        ReviewRow.review_id,
        ReviewRow.source,
        func.coalesce(ReviewRow.id_in_source, ReviewRow.review_id).label("id_in_source"),
        ReviewRow.text_hash,
        ReviewRow.reviewed_at,
        ReviewRow.replaced_by.is_(None).label("is_current"),
    )
    named = select(*columns).where(one_of(ReviewRow.review_id, ids))
    # Its own small index: few reviews have another id here than in their source.
    renamed = select(*columns).where(
        ReviewRow.source == source, ReviewRow.id_in_source.is_not(None), one_of(ReviewRow.id_in_source, ids)
    )
    return [StoredId(**row._asdict()) for row in connection.execute(union_all(named, renamed))]


def ids_in_languages(connection: Connection, review_ids: Collection[str], languages: Collection[str]) -> set[str]:
    """Which of `review_ids` are stored and in one of `languages` (`selection.is_asked_in`)."""
    stored = select(ReviewRow.review_id, ReviewRow.language).where(one_of(ReviewRow.review_id, review_ids))
    return {row.review_id for row in connection.execute(stored) if is_asked_in(row.language, languages)}


def originals_of(connection: Connection, text_hashes: Sequence[str]) -> dict[str, str]:
    """By text hash the review that had the text first, for those of `text_hashes` that are stored."""
    wanted = select(ReviewRow.text_hash, ReviewRow.review_id).where(
        one_of(ReviewRow.text_hash, text_hashes), ReviewRow.duplicate_of.is_(None)
    )
    return dict(connection.execute(wanted).tuples().all())
