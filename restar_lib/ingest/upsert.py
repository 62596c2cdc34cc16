"""Rows of a source into the tables review, quarantine, source_cursor and ingest_run: the truth of what was read.

A chunk of rows, the cursor behind it and the run's counts are committed in one transaction. So a run may be killed
anywhere, run twice, or run beside another one: no row is lost, none is stored twice, and every row that was read ends
in exactly one outcome. It cleans nothing (`ingest.cleaning`), waits for nothing, and never changes a stored review.
A time window is noted with the run and filters nothing: the cursor alone decides what is read.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from restar_lib.dataset.splits import side_of
from restar_lib.domain import Outcome, QuarantineReason, Review
from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning import Rejection, clean
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.forgotten import row_hash, screen
from restar_lib.ingest.reviews import known_ids, originals_of
from restar_lib.ingest.sources import Cursor, RawRow, Source
from restar_lib.settings import Ingest, Settings
from restar_lib.store.engine import lock
from restar_lib.store.tables import IngestRun, Quarantine, ReviewRow, SourceCursor

log = logging.getLogger(__name__)

LOCK = "ingest"
"""Held while a chunk is stored: whoever writes to `review` holds it, so what is looked up stays true until commit."""
MAX_CHUNK_BYTES = 16 << 20
"""A chunk of very long rows ends early: it is held in memory as a whole."""
PROGRESS_SECONDS = 15.0

Window = tuple[datetime, datetime]


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
    run = _Run(ingest_run_id=run_id, source=source.name)
    counts = _read_and_store(engine, source, settings, run=run, limit=limit)
    _finish_run(engine, counts, now=now)
    log.info("ingest run %d of %s (%s): %s", run_id, source.name, run_key, counts)
    return counts


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Whose rows these are."""

    ingest_run_id: int
    source: str


def _read_and_store(engine: Engine, source: Source, settings: Settings, *, run: _Run, limit: int) -> IngestCounts:
    begun = said = perf_counter()
    counts = IngestCounts(ingest_run_id=run.ingest_run_id)
    reader = _Reader(engine, source)
    while wanted := max(0, min(settings.ingest.chunk_rows, limit - counts.rows_read)):
        chunk = reader.take(wanted)
        result = _store(engine, chunk, settings, run=run)
        if result is None:
            log.info("another run has read on in %s: going on from where it is", source.name)
            reader.start()
            continue
        counts = replace(counts.plus(result.outcomes, result.reasons), seconds=perf_counter() - begun)
        if chunk.failure is not None:
            raise chunk.failure
        if chunk.ended:
            break
        if perf_counter() - said > PROGRESS_SECONDS:
            said = perf_counter()
            log.info("ingest run %d of %s so far: %s", run.ingest_run_id, source.name, counts)
    return counts


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Rows that follow each other behind `cursor_before`."""

    cursor_before: Cursor | None
    rows: Sequence[RawRow]
    ended: bool
    """There is nothing behind these rows now."""
    failure: SourceError | None = None
    """Why there is nothing, where something is wrong; the rows before it are good."""


class _Reader:
    """The rows of a source in chunks, from the stored cursor on."""

    def __init__(self, engine: Engine, source: Source) -> None:
        self._engine, self._source = engine, source
        self.start()

    def start(self) -> None:
        """Read from the cursor that is stored now."""
        with self._engine.connect() as connection:
            self._cursor = _cursor(connection, self._source.name)
        self._rows: Iterator[RawRow] = self._source.rows(self._cursor)

    def take(self, wanted: int) -> _Chunk:
        """Up to `wanted` rows; those before a damaged place are not lost with it."""
        before, rows, size = self._cursor, [], 0
        try:
            for row in self._rows:
                rows.append(row)
                self._cursor = row.cursor_after
                size += len(row.raw)
                if len(rows) == wanted or size >= MAX_CHUNK_BYTES:
                    return _Chunk(cursor_before=before, rows=rows, ended=False)
        except SourceError as error:
            return _Chunk(cursor_before=before, rows=rows, ended=True, failure=error)
        return _Chunk(cursor_before=before, rows=rows, ended=True)


@dataclass(frozen=True, kw_only=True)
class _Sorted:
    """The rows of one chunk by how they end, ready to insert."""

    reviews: Sequence[dict[str, Any]] = ()
    rejected: Sequence[dict[str, Any]] = ()
    already_known: int = 0

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How many rows end how."""
        copies = sum(row["duplicate_of"] is not None for row in self.reviews)
        return Counter(
            {
                Outcome.NEW: len(self.reviews) - copies,
                Outcome.DUPLICATE_TEXT: copies,
                Outcome.ALREADY_KNOWN: self.already_known,
                Outcome.QUARANTINED: len(self.rejected),
            }
        )

    @property
    def reasons(self) -> Counter[str]:
        """Rejected rows by reason."""
        return Counter(row["reason"].value for row in self.rejected)


def _store(engine: Engine, chunk: _Chunk, settings: Settings, *, run: _Run) -> _Sorted | None:
    """Store a chunk and move the cursor behind it; None, and nothing stored, where the cursor has moved meanwhile."""
    if not chunk.rows:
        return _Sorted()
    cleaned = [_cleaned(row, settings.ingest, source=run.source) for row in chunk.rows]
    with engine.begin() as connection:
        lock(connection, LOCK)
        if _cursor(connection, run.source) != chunk.cursor_before:
            return None
        # Under the lock: whoever is being forgotten at this moment is forgotten before or after this chunk.
        cleaned = screen(connection, settings.home, run.source, chunk.rows, cleaned)
        result = _sort(connection, chunk.rows, cleaned, settings=settings, run=run)
        _insert(connection, result)
        _move_cursor(connection, run.source, chunk.rows[-1].cursor_after, rows=len(chunk.rows))
        _count(connection, result.outcomes, run=run)
    return result


def _cleaned(row: RawRow, config: Ingest, *, source: str) -> Review | Rejection:
    if row.fields is None:
        return Rejection(reason=QuarantineReason.MALFORMED, detail=row.problem)
    return clean(row.fields, config, source=source)


def _sort(
    connection: Connection,
    rows: Sequence[RawRow],
    cleaned: Sequence[Review | Rejection],
    *,
    settings: Settings,
    run: _Run,
) -> _Sorted:
    """Each row to its outcome: a review is known by its id, a copy by its text; the first of several wins."""
    reviews = [result for result in cleaned if isinstance(result, Review)]
    known = known_ids(connection, [review.review_id for review in reviews])
    originals = originals_of(connection, [review.text_hash for review in reviews])
    fresh: list[dict[str, Any]] = []
    for review in reviews:
        if review.review_id not in known:
            known.add(review.review_id)
            original = originals.setdefault(review.text_hash, review.review_id)
            fresh.append(_review_row(review, original=original, settings=settings, run=run))
    both = zip(rows, cleaned, strict=True)
    rejected = [_rejected_row(row, why, run=run) for row, why in both if isinstance(why, Rejection)]
    return _Sorted(reviews=fresh, rejected=rejected, already_known=len(reviews) - len(fresh))


def _review_row(review: Review, *, original: str, settings: Settings, run: _Run) -> dict[str, Any]:
    return vars(review) | {
        "side": side_of(review.text_hash, settings.dataset),
        "duplicate_of": None if original == review.review_id else original,
        "ingest_run_id": run.ingest_run_id,
    }


def _rejected_row(row: RawRow, rejection: Rejection, *, run: _Run) -> dict[str, Any]:
    return {
        "row_hash": row_hash(run.source, row.raw),
        "source": run.source,
        "reason": rejection.reason,
        "detail": rejection.detail,
        # Postgres takes neither broken UTF-8 nor NUL in a text; both stay readable.
        "raw": row.raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00"),
        "ingest_run_id": run.ingest_run_id,
    }


def _insert(connection: Connection, result: _Sorted) -> None:
    if result.reviews:
        connection.execute(insert(ReviewRow), result.reviews)
    # Of what was forgotten nothing is kept; the run's counts and reasons say that it came.
    rejected = [row for row in result.rejected if row["reason"] is not QuarantineReason.FORGOTTEN]
    if rejected:
        known_row = insert_or(Quarantine).on_conflict_do_nothing(index_elements=[Quarantine.row_hash])
        connection.execute(known_row, rejected)


def _cursor(connection: Connection, source: str) -> Cursor | None:
    return connection.scalar(select(SourceCursor.cursor).where(SourceCursor.source == source))


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
    values = {"source": source, "run_key": run_key, "window_start": start, "window_end": end, "started_at": now}
    with engine.begin() as connection:
        return connection.execute(insert(IngestRun).values(values).returning(IngestRun.ingest_run_id)).scalar_one()


def _count(connection: Connection, outcomes: Counter[Outcome], *, run: _Run) -> None:
    """Add to the run's row, whose columns are named like the outcomes."""
    values = {outcome.value: getattr(IngestRun, outcome.value) + outcomes[outcome] for outcome in Outcome}
    values["rows_read"] = IngestRun.rows_read + outcomes.total()
    connection.execute(update(IngestRun).where(IngestRun.ingest_run_id == run.ingest_run_id).values(values))


def _finish_run(engine: Engine, counts: IngestCounts, *, now: datetime) -> None:
    running = update(IngestRun).where(IngestRun.ingest_run_id == counts.ingest_run_id, IngestRun.finished_at.is_(None))
    with engine.begin() as connection:
        connection.execute(running.values(finished_at=now + timedelta(seconds=counts.seconds)))
