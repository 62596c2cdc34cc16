"""Rows of a source into the tables review, quarantine, source_cursor and ingest_run: the truth of what was read.

A chunk of rows, the cursor behind it and the run's counts are committed in one transaction. So a run may be killed
anywhere, run twice, or run beside another one: no row is lost, none is stored twice, and every row that was read ends
in exactly one outcome. It cleans nothing (`ingest.cleaning`), waits for nothing, and never changes a stored review.
A time window is noted with the run and filters nothing: the cursor alone decides what is read.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from restar_lib.dataset.splits import side_of
from restar_lib.domain import Outcome, QuarantineReason, Review
from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning import Rejection, clean
from restar_lib.ingest.reviews import known_ids, originals_of
from restar_lib.ingest.sources import Cursor, RawRow, Source
from restar_lib.settings import Ingest, Settings
from restar_lib.store.engine import lock
from restar_lib.store.tables import IngestRun, Quarantine, ReviewRow, SourceCursor

log = logging.getLogger(__name__)

LOCK = "ingest"
"""Held while a chunk is stored: whoever writes to `review` holds it, so ids and texts are looked up only once."""
PROGRESS_SECONDS = 15.0

Window = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True)
class IngestCounts:
    """How every row that one run read ended. Refuses counts that do not add up."""

    ingest_run_id: int
    rows_read: int = 0
    new: int = 0
    already_known: int = 0
    duplicate_text: int = 0
    quarantined: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    """Quarantined rows by reason."""

    def __post_init__(self) -> None:
        """Hold the sums."""
        outcomes = self.new + self.already_known + self.duplicate_text + self.quarantined
        if self.rows_read != outcomes or self.quarantined != sum(self.reasons.values()):
            raise ValueError(f"the counts of ingest run {self.ingest_run_id} do not add up: {self}")

    def plus(self, chunk: _Sorted) -> IngestCounts:
        """These counts and those of one more chunk."""
        return replace(
            self,
            rows_read=self.rows_read + chunk.counts.total(),
            new=self.new + chunk.counts[Outcome.NEW],
            already_known=self.already_known + chunk.counts[Outcome.ALREADY_KNOWN],
            duplicate_text=self.duplicate_text + chunk.counts[Outcome.DUPLICATE_TEXT],
            quarantined=self.quarantined + chunk.counts[Outcome.QUARANTINED],
            reasons=dict(Counter(self.reasons) + Counter(row["reason"].value for row in chunk.rejected)),
        )

    def __str__(self) -> str:
        """One line for the person on call."""
        rate = self.rows_read / self.seconds if self.seconds else 0.0
        reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(self.reasons.items()))
        return (
            f"{self.rows_read:,} rows in {self.seconds:.1f} s ({rate:,.0f}/s): {self.new:,} new, "
            f"{self.already_known:,} already known, {self.duplicate_text:,} duplicate texts, "
            f"{self.quarantined:,} quarantined" + (f" ({reasons})" if reasons else "")
        )


def ingest(
    engine: Engine,
    source: Source,
    settings: Settings,
    *,
    run_key: str,
    now: datetime,
    window: Window | None = None,
    max_rows: int | None = None,
) -> IngestCounts:
    """Read `source` from its cursor on, at most `max_rows` rows (default `ingest.max_rows`), and store every row.

    Raises `SourceError` where the source cannot be read on; what was read before that is stored and counted.
    """
    limit = settings.ingest.max_rows if max_rows is None else max_rows
    run_id = _begin_run(engine, source.name, run_key=run_key, window=window, now=now)
    counts = _read_and_store(engine, source, settings, run_id=run_id, limit=limit)
    _finish_run(engine, counts, now=now)
    log.info("ingest run %d of %s (%s): %s", run_id, source.name, run_key, counts)
    return counts


def _read_and_store(engine: Engine, source: Source, settings: Settings, *, run_id: int, limit: int) -> IngestCounts:
    begun = said = perf_counter()
    counts = IngestCounts(ingest_run_id=run_id)
    cursor = _stored_cursor(engine, source.name)
    rows = source.rows(cursor)
    while (wanted := min(settings.ingest.chunk_rows, limit - counts.rows_read)) > 0:
        chunk = _take(rows, wanted)
        if chunk.rows:
            stored = _store(engine, source.name, settings, chunk=chunk.rows, expected=cursor, run_id=run_id)
            if stored is None:
                log.info("another run has read on in %s: going on from its cursor", source.name)
                cursor = _stored_cursor(engine, source.name)
                rows = source.rows(cursor)
                continue
            counts, cursor = counts.plus(stored), chunk.rows[-1].cursor_after
        if chunk.failure is not None:
            raise chunk.failure
        if len(chunk.rows) < wanted:
            break
        if perf_counter() - said > PROGRESS_SECONDS:
            said = perf_counter()
            log.info("ingest run %d of %s so far: %s", run_id, source.name, replace(counts, seconds=said - begun))
    return replace(counts, seconds=perf_counter() - begun)


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Rows in their order, and what ended them early."""

    rows: list[RawRow]
    failure: SourceError | None


def _take(rows: Iterator[RawRow], wanted: int) -> _Chunk:
    """Up to `wanted` rows; those before a damaged place are not lost with it."""
    taken: list[RawRow] = []
    try:
        taken.extend(islice(rows, wanted))
    except SourceError as error:
        return _Chunk(rows=taken, failure=error)
    return _Chunk(rows=taken, failure=None)


@dataclass(frozen=True, kw_only=True)
class _Sorted:
    """The rows of one chunk by how they end, ready to insert."""

    reviews: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    counts: Counter[Outcome]


def _store(
    engine: Engine, name: str, settings: Settings, *, chunk: Sequence[RawRow], expected: Cursor | None, run_id: int
) -> _Sorted | None:
    """Store one chunk and move the cursor behind it; None, and nothing stored, where the cursor has moved meanwhile."""
    cleaned = [(row, _cleaned(row, settings.ingest, source=name)) for row in chunk]
    with engine.begin() as connection:
        lock(connection, LOCK)
        if _locked_cursor(connection, name) != expected:
            return None
        result = _sort(connection, cleaned, settings, name=name)
        _insert(connection, result, run_id=run_id)
        _move_cursor(connection, name, chunk[-1].cursor_after, rows=len(chunk))
        _count(connection, result.counts, run_id=run_id)
    return result


def _cleaned(row: RawRow, config: Ingest, *, source: str) -> Review | Rejection:
    if row.fields is None:
        return Rejection(reason=QuarantineReason.MALFORMED, detail=row.problem)
    return clean(row.fields, config, source=source)


def _sort(
    connection: Connection, cleaned: Sequence[tuple[RawRow, Review | Rejection]], settings: Settings, *, name: str
) -> _Sorted:
    """Each row to its outcome. A review is known by its id, a copy by its text; the first of several in a chunk wins."""
    rejected = [_rejected_row(raw, result, name=name) for raw, result in cleaned if isinstance(result, Rejection)]
    reviews = [result for _, result in cleaned if isinstance(result, Review)]
    known = known_ids(connection, [review.review_id for review in reviews])
    originals = originals_of(connection, [review.text_hash for review in reviews])
    rows: list[dict[str, Any]] = []
    for review in reviews:
        if review.review_id not in known:
            known.add(review.review_id)
            original = originals.setdefault(review.text_hash, review.review_id)
            rows.append(_review_row(review, settings, duplicate_of=None if original == review.review_id else original))
    copies = sum(row["duplicate_of"] is not None for row in rows)
    counts = Counter({
        Outcome.NEW: len(rows) - copies,
        Outcome.DUPLICATE_TEXT: copies,
        Outcome.ALREADY_KNOWN: len(reviews) - len(rows),
        Outcome.QUARANTINED: len(rejected),
    })
    return _Sorted(reviews=rows, rejected=rejected, counts=counts)


def _review_row(review: Review, settings: Settings, *, duplicate_of: str | None) -> dict[str, Any]:
    return vars(review) | {"side": side_of(review.text_hash, settings.dataset), "duplicate_of": duplicate_of}


def _rejected_row(raw: RawRow, rejection: Rejection, *, name: str) -> dict[str, Any]:
    return {
        "row_hash": hashlib.sha256(name.encode() + b"\0" + raw.raw).hexdigest(),
        "source": name,
        "reason": rejection.reason,
        "detail": rejection.detail,
        # Postgres takes neither broken UTF-8 nor NUL in a text; both stay readable.
        "raw": raw.raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00"),
    }


def _insert(connection: Connection, result: _Sorted, *, run_id: int) -> None:
    run = {"ingest_run_id": run_id}
    if result.reviews:
        connection.execute(insert(ReviewRow), [row | run for row in result.reviews])
    if result.rejected:
        statement = insert_or_update(Quarantine).on_conflict_do_nothing(index_elements=[Quarantine.row_hash])
        connection.execute(statement, [row | run for row in result.rejected])


def _stored_cursor(engine: Engine, name: str) -> Cursor | None:
    with engine.connect() as connection:
        return connection.scalar(select(SourceCursor.cursor).where(SourceCursor.source == name))


def _locked_cursor(connection: Connection, name: str) -> Cursor | None:
    return connection.scalar(select(SourceCursor.cursor).where(SourceCursor.source == name).with_for_update())


def _move_cursor(connection: Connection, name: str, cursor: Cursor, *, rows: int) -> None:
    statement = insert_or_update(SourceCursor).values(source=name, cursor=cursor, rows_read=rows)
    moved = {
        "cursor": statement.excluded.cursor,
        "rows_read": SourceCursor.rows_read + statement.excluded.rows_read,
        "updated_at": func.now(),
    }
    connection.execute(statement.on_conflict_do_update(index_elements=[SourceCursor.source], set_=moved))


def _begin_run(engine: Engine, name: str, *, run_key: str, window: Window | None, now: datetime) -> int:
    start, end = window or (None, None)
    values = {"source": name, "run_key": run_key, "window_start": start, "window_end": end, "started_at": now}
    with engine.begin() as connection:
        return connection.execute(insert(IngestRun).values(values).returning(IngestRun.ingest_run_id)).scalar_one()


def _count(connection: Connection, counts: Counter[Outcome], *, run_id: int) -> None:
    """Add to the run's row: outcomes are named like its columns."""
    values = {outcome.value: getattr(IngestRun, outcome.value) + counts[outcome] for outcome in Outcome}
    values["rows_read"] = IngestRun.rows_read + counts.total()
    connection.execute(update(IngestRun).where(IngestRun.ingest_run_id == run_id).values(values))


def _finish_run(engine: Engine, counts: IngestCounts, *, now: datetime) -> None:
    finished = update(IngestRun).where(IngestRun.ingest_run_id == counts.ingest_run_id, IngestRun.finished_at.is_(None))
    with engine.begin() as connection:
        connection.execute(finished.values(finished_at=now + timedelta(seconds=counts.seconds)))
