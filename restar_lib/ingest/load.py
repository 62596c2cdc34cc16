"""Stores the rows of a source: tables review, quarantine, source_cursor and ingest_run.

A chunk of rows, the cursor behind it and the run's counts are committed in one transaction. So a run may be killed
anywhere, run twice, or run beside another one: no row is lost, none is stored twice, and every row that was read ends
in exactly one outcome. It cleans nothing (`ingest.cleaning`), waits for nothing, and never changes a stored review.
A time window is stored with the run and filters nothing here: a source that reads one returns its rows alone, with no
cursor to move. Called through `ingest.windows`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, func, insert, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from restar_lib.domain import Outcome, QuarantineReason
from restar_lib.ingest.chunks import Chunk, read_chunks, stored_cursor
from restar_lib.ingest.cleaning import Rejection
from restar_lib.ingest.cleaning_pool import CleaningPool
from restar_lib.ingest.copy_lines import COLUMNS, CleanedRow, CleaningOptions, CopyLine, copy_value
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.quarantine import store_rejected
from restar_lib.ingest.raw_rows import Cursor, RawRow
from restar_lib.ingest.sources.base import Source, Window
from restar_lib.ingest.stored_reviews import known_ids, originals_of
from restar_lib.ingest.tombstones import screen
from restar_lib.settings import Settings
from restar_lib.store.database import lock
from restar_lib.store.first_freeze import first_frozen_at
from restar_lib.store.tables import IngestRun, ReviewRow, SourceCursor

log = logging.getLogger(__name__)

LOCK = "ingest"
"""Held while a chunk is stored, as by everybody who writes to `review`: what is looked up stays true until commit."""
PROGRESS_SECONDS = 15.0
LATER_COLUMNS = ("duplicate_of", "ingest_run_id")
"""Columns that a line of `ingest.copy_lines` does not have yet."""
_COPY = sql.SQL("copy {} ({}) from stdin").format(
    sql.Identifier(ReviewRow.__tablename__), sql.SQL(", ").join(map(sql.Identifier, (*COLUMNS, *LATER_COLUMNS)))
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
    run = _IngestRun(ingest_run_id=run_id, source=source.name)
    counts = _read_and_store(engine, source, settings, run=run, limit=limit)
    _finish_run(engine, counts, now=now)
    log.info("ingest run %d of %s (%s): %s", run_id, source.name, run_key, counts)
    return counts


@dataclass(frozen=True, kw_only=True)
class _IngestRun:
    """The run of ingest that stores the rows, and its source."""

    ingest_run_id: int
    source: str


def _read_and_store(engine: Engine, source: Source, settings: Settings, *, run: _IngestRun, limit: int) -> IngestCounts:
    began = logged_at = perf_counter()
    counts = IngestCounts(ingest_run_id=run.ingest_run_id)
    options = CleaningOptions(source=run.source, ingest=settings.ingest, dataset=settings.dataset)
    store = partial(_store, engine, run=run, home=settings.home)
    with CleaningPool(options, processes=settings.ingest.processes) as pool:
        while True:
            chunks = read_chunks(engine, source, chunk_rows=settings.ingest.chunk_rows, limit=limit - counts.rows_read)
            for chunk, result in _stored(pool.cleaned(chunks), store):
                if result is None:
                    log.info("another run has read on in %s: going on from where it is", source.name)
                    break
                counts = replace(counts.plus(result.outcomes, result.reasons), seconds=perf_counter() - began)
                if chunk.failure is not None:
                    raise chunk.failure
                if perf_counter() - logged_at > PROGRESS_SECONDS:
                    logged_at = perf_counter()
                    log.info("ingest run %d of %s so far: %s", run.ingest_run_id, source.name, counts)
            else:
                return counts


def _stored(
    chunks: Iterator[tuple[Chunk, list[CleanedRow]]], store: Callable[[Chunk, list[CleanedRow]], _SortedChunk | None]
) -> Iterator[tuple[Chunk, _SortedChunk | None]]:
    """Store chunk after chunk, each while the next one is read and cleaned; never two at once."""
    with ThreadPoolExecutor(1, thread_name_prefix="store") as thread:
        storing: tuple[Chunk, Future[_SortedChunk | None]] | None = None
        for chunk, cleaned in chunks:
            if storing is not None:
                yield storing[0], storing[1].result()
            storing = chunk, thread.submit(store, chunk, cleaned)
        if storing is not None:
            yield storing[0], storing[1].result()


@dataclass(frozen=True, kw_only=True)
class _SortedChunk:
    """The rows of one chunk by their outcome, ready to insert."""

    originals: Sequence[bytes] = ()
    copies: Sequence[bytes] = ()
    """Both as lines for COPY; a copy may point at an original of its own chunk."""
    rejected: Sequence[tuple[RawRow, Rejection]] = ()
    already_known: int = 0

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How many rows have each outcome."""
        return Counter(
            {
                Outcome.NEW: len(self.originals),
                Outcome.DUPLICATE_TEXT: len(self.copies),
                Outcome.ALREADY_KNOWN: self.already_known,
                Outcome.QUARANTINED: len(self.rejected),
            }
        )

    @property
    def reasons(self) -> Counter[str]:
        """Rejected rows by reason."""
        return Counter(rejection.reason.value for _, rejection in self.rejected)


def _store(
    engine: Engine, chunk: Chunk, cleaned: list[CleanedRow], *, run: _IngestRun, home: Path
) -> _SortedChunk | None:
    """Store a chunk and move the cursor behind it; None, and nothing stored, where another run has moved the cursor."""
    if not chunk.rows:
        return _SortedChunk()
    with engine.begin() as connection:
        lock(connection, LOCK)
        after = chunk.rows[-1].cursor_after  # None: a window is read, and no cursor moves
        if after is not None and stored_cursor(connection, run.source) != chunk.cursor_before:
            return None
        # Under the lock: a person who is being erased at this moment is erased before or after this chunk.
        results = screen(connection, home, chunk.rows, cleaned)
        result = _sort_rows(connection, chunk.rows, results, run=run)
        _insert(connection, result, run=run)
        if after is not None:
            _move_cursor(connection, run.source, after, rows=len(chunk.rows))
        _count(connection, result.outcomes, run=run)
    return result


def _sort_rows(
    connection: Connection, rows: Sequence[RawRow], results: Sequence[CleanedRow], *, run: _IngestRun
) -> _SortedChunk:
    """Give each row its outcome: a review is known by its id, a copy by its text; the first of several wins."""
    reviews = [result for result in results if isinstance(result, CopyLine)]
    known = known_ids(connection, [review.review_id for review in reviews])
    first_with = originals_of(connection, [review.text_hash for review in reviews])
    originals: list[bytes] = []
    copies: list[bytes] = []
    for review in reviews:
        if review.review_id not in known:
            known.add(review.review_id)
            original = first_with.setdefault(review.text_hash, review.review_id)
            if original == review.review_id:
                originals.append(_completed(review.line, None, run=run))
            else:
                copies.append(_completed(review.line, original, run=run))
    both = zip(rows, results, strict=True)
    return _SortedChunk(
        originals=originals,
        copies=copies,
        rejected=[(row, why) for row, why in both if isinstance(why, Rejection)],
        already_known=len(reviews) - len(originals) - len(copies),
    )


def _completed(line: bytes, duplicate_of: str | None, *, run: _IngestRun) -> bytes:
    """The line with `LATER_COLUMNS` appended."""
    return b"%s\t%s\t%d\n" % (line, copy_value(duplicate_of).encode(), run.ingest_run_id)


def _insert(connection: Connection, result: _SortedChunk, *, run: _IngestRun) -> None:
    if result.originals or result.copies:
        # The foreign key of a copy is checked when the statement ends, so the order within it does not matter.
        with _driver_cursor(connection).copy(_COPY) as copy:
            copy.write(b"".join((*result.originals, *result.copies)))
    # Nothing is stored of an erased person's rows; the run's counts and reasons say that they came.
    stored = [one for one in result.rejected if one[1].reason is not QuarantineReason.FORGOTTEN]
    store_rejected(connection, stored, source=run.source, ingest_run_id=run.ingest_run_id)


def _driver_cursor(connection: Connection) -> psycopg.Cursor[Any]:
    """The driver's cursor, in the same transaction: SQLAlchemy cannot COPY."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return driver.cursor()


def _move_cursor(connection: Connection, source: str, cursor: Cursor, *, rows: int) -> None:
    first = insert_or(SourceCursor).values(source=source, cursor=cursor, rows_read=rows)
    moved = {
        "cursor": first.excluded.cursor,
        "rows_read": SourceCursor.rows_read + first.excluded.rows_read,
        "updated_at": func.now(),
    }
    connection.execute(first.on_conflict_do_update(index_elements=[SourceCursor.source], set_=moved))


def _begin_run(engine: Engine, source: str, *, run_key: str, window: Window | None, now: datetime) -> int:
    start, end = window or (None, None)
    values = {"source": source, "run_key": run_key, "window_start": start, "window_end": end}
    with engine.begin() as connection:
        values["started_at"] = _not_before_history(connection, now)
        return connection.execute(insert(IngestRun).values(values).returning(IngestRun.ingest_run_id)).scalar_one()


def _not_before_history(connection: Connection, now: datetime) -> datetime:
    """`now`, but always after the first training set was frozen, even where a clock was set back meanwhile.

    Otherwise scoring would take these reviews for history and never read them.
    """
    frozen_at = first_frozen_at(connection)
    return now if frozen_at is None else max(now, frozen_at + timedelta(microseconds=1))


def _count(connection: Connection, outcomes: Counter[Outcome], *, run: _IngestRun) -> None:
    """Add to the run's row, whose columns are named like the outcomes."""
    values = {outcome.value: getattr(IngestRun, outcome.value) + outcomes[outcome] for outcome in Outcome}
    values["rows_read"] = IngestRun.rows_read + outcomes.total()
    connection.execute(update(IngestRun).where(IngestRun.ingest_run_id == run.ingest_run_id).values(values))


def _finish_run(engine: Engine, counts: IngestCounts, *, now: datetime) -> None:
    running = update(IngestRun).where(IngestRun.ingest_run_id == counts.ingest_run_id, IngestRun.finished_at.is_(None))
    with engine.begin() as connection:
        connection.execute(running.values(finished_at=now + timedelta(seconds=counts.seconds)))
