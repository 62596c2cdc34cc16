"""Stores the rows of a source: tables review and ingest_run, with the quarantine and the source's progress.

A chunk of rows, the cursor behind it and the run's counts are committed in one transaction. So a run may be killed
anywhere, run twice, or run beside another one: no row is lost, none is stored twice, and every row that was read ends
in exactly one outcome. It cleans nothing (`ingest.cleaning`), waits for nothing, and changes nothing of a stored
review but that a newer text replaces it.
A time window is stored with the run and filters nothing here: a source that reads one returns its rows alone, with no
cursor to move. Called through `ingest.windows`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import ARRAY, Connection, Engine, Text, func, insert, literal, select, update

from restar_lib.domain import Outcome, QuarantineReason
from restar_lib.errors import DamagedFiles
from restar_lib.ingest.chunks import Chunk, read_chunks
from restar_lib.ingest.cleaning.clean import Rejection
from restar_lib.ingest.cleaning.copy_lines import COLUMNS, CleanedRow, CleaningOptions, CopyLine, copy_value
from restar_lib.ingest.cleaning_pool import CleaningPool
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.identity import ReviewIdentity, SourceIds, outcome_of, repeated_in_words
from restar_lib.ingest.quarantine import store_rejected
from restar_lib.ingest.raw_rows import RawRow
from restar_lib.ingest.source_progress import move, read_progress
from restar_lib.ingest.sources.base import Source, Window
from restar_lib.ingest.stored_reviews import originals_of, stored_ids
from restar_lib.ingest.tombstones import screen
from restar_lib.settings import Settings
from restar_lib.store.database import lock
from restar_lib.store.first_freeze import first_frozen_at
from restar_lib.store.tables import IngestRun, ReviewRow

log = logging.getLogger(__name__)

LOCK = "ingest"
"""Held while a chunk is stored, as by everybody who writes to `review`: what is looked up stays true until commit."""
PROGRESS_SECONDS = 15.0
LATER_COLUMNS = ("review_id", "id_in_source", "replaced_by", "duplicate_of", "ingest_run_id")
"""Columns that a line of `ingest.cleaning.copy_lines` does not have yet."""
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

    Raises `SourceError` where the source cannot be read on; what was read before that is stored and counted. Where only
    some files cannot be read the counts name them, as their `problem`.
    """
    limit = settings.ingest.max_rows if max_rows is None else max_rows
    with engine.begin() as connection:
        run = begin_run(connection, settings, source=source.name, run_key=run_key, window=window, now=now)
    counts = _read_and_store(engine, source, settings, run=run, limit=limit)
    finish_run(engine, run, now=now + timedelta(seconds=counts.seconds))
    log.info("ingest run %d of %s (%s): %s", run.ingest_run_id, source.name, run_key, counts)
    if counts.repeated_ids:
        log.warning("%s", repeated_in_words(counts.repeated_ids, counts.rows_read, stable=run.stable_ids))
    return counts


@dataclass(frozen=True, kw_only=True)
class RunOfSource:
    """The run of ingest that stores the rows, and its source."""

    ingest_run_id: int
    source: str
    stable_ids: bool


def _read_and_store(
    engine: Engine, source: Source, settings: Settings, *, run: RunOfSource, limit: int
) -> IngestCounts:
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
                counts = counts.plus(result.outcomes, result.reasons, repeated_ids=result.repeated_ids)
                counts = replace(counts, seconds=perf_counter() - began)
                if isinstance(chunk.failure, DamagedFiles):
                    counts = replace(counts, problem=str(chunk.failure))
                elif chunk.failure is not None:
                    raise chunk.failure
                if perf_counter() - logged_at > PROGRESS_SECONDS:
                    logged_at = perf_counter()
                    log.info("ingest run %d of %s so far: %s", run.ingest_run_id, source.name, counts)
            else:
                return counts


def _stored(
    chunks: Iterator[tuple[Chunk, list[CleanedRow]]], store: Callable[[Chunk, list[CleanedRow]], StoredRows | None]
) -> Iterator[tuple[Chunk, StoredRows | None]]:
    """Store chunk after chunk, each while the next one is read and cleaned; never two at once."""
    with ThreadPoolExecutor(1, thread_name_prefix="store") as thread:
        storing: tuple[Chunk, Future[StoredRows | None]] | None = None
        for chunk, cleaned in chunks:
            if storing is not None:
                yield storing[0], storing[1].result()
            storing = chunk, thread.submit(store, chunk, cleaned)
        if storing is not None:
            yield storing[0], storing[1].result()


@dataclass(frozen=True, kw_only=True)
class StoredRows:
    """The rows of one chunk by their outcome."""

    lines: Sequence[bytes] = ()
    """For COPY; a copy of a text may point at an original of its own chunk."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """By review that was edited, its newer text."""
    rejected: Sequence[tuple[RawRow, Rejection]] = ()
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    """How many rows have each outcome."""
    repeated_ids: int = 0

    @property
    def reasons(self) -> Counter[str]:
        """Rejected rows by reason."""
        return Counter(rejection.reason.value for _, rejection in self.rejected)


def _store(
    engine: Engine, chunk: Chunk, cleaned: list[CleanedRow], *, run: RunOfSource, home: Path
) -> StoredRows | None:
    """Store a chunk and move the cursor behind it; None, and nothing stored, where another run has moved the cursor."""
    if not chunk.rows:
        return StoredRows()
    with engine.begin() as connection:
        lock(connection, LOCK)
        moves = chunk.rows[-1].cursor_after is not None  # else a window is read
        if moves and read_progress(connection, run.source).version != chunk.version_before:
            return None
        # Under the lock: a person who is being erased at this moment is erased before or after this chunk.
        results = screen(connection, home, chunk.rows, cleaned, source=run.source)
        result = store_rows(connection, chunk.rows, results, run=run)
        if moves:
            move(connection, run.source, chunk.rows)
    return result


def store_rows(
    connection: Connection, rows: Sequence[RawRow], results: Sequence[CleanedRow], *, run: RunOfSource
) -> StoredRows:
    """Store these rows as the reviews or rejections that they are, and count them for their run.

    The transaction holds `LOCK`, and `results` went through `ingest.tombstones.screen` in it.
    """
    result = _sort_rows(connection, rows, results, run=run)
    _insert(connection, result, run=run)
    _count(connection, result, run=run)
    return result


def _sort_rows(
    connection: Connection, rows: Sequence[RawRow], results: Sequence[CleanedRow], *, run: RunOfSource
) -> StoredRows:
    """Give each row its outcome: which review it is its id says, whether its text is a copy the stored texts do."""
    reviews = [result for result in results if isinstance(result, CopyLine)]
    ids = [review.id_in_source for review in reviews]
    known = SourceIds(run.source, stored_ids(connection, run.source, ids), stable=run.stable_ids)
    known.begin(reviews)
    first_with = originals_of(connection, [review.text_hash for review in reviews])
    outcomes: list[Outcome] = []
    lines: list[bytes] = []
    replaced: dict[str, str] = {}
    repeated_ids = 0
    for review in reviews:
        identity = known.add(review)
        if identity is None:
            outcomes.append(Outcome.ALREADY_KNOWN)
            continue
        original = first_with.setdefault(review.text_hash, identity.review_id)
        is_copy = original != identity.review_id
        lines.append(_completed(review.line, identity, original if is_copy else None, run=run))
        outcomes.append(outcome_of(identity, is_copy=is_copy))
        repeated_ids += identity.is_repeated
        if identity.replaces is not None:
            replaced[identity.replaces] = identity.review_id
    both = zip(rows, results, strict=True)
    rejected = [(row, why) for row, why in both if isinstance(why, Rejection)]
    outcomes += [Outcome.QUARANTINED] * len(rejected)
    return StoredRows(
        lines=lines, replaced=replaced, rejected=rejected, outcomes=Counter(outcomes), repeated_ids=repeated_ids
    )


def _completed(line: bytes, identity: ReviewIdentity, duplicate_of: str | None, *, run: RunOfSource) -> bytes:
    """The line with `LATER_COLUMNS` appended."""
    if identity.id_in_source is None and duplicate_of is None and identity.replaced_by is None:  # nearly every row
        return b"%s\t%s\t\\N\t\\N\t\\N\t%d\n" % (line, copy_value(identity.review_id).encode(), run.ingest_run_id)
    later = map(copy_value, (identity.review_id, identity.id_in_source, identity.replaced_by, duplicate_of))
    return b"%s\t%s\t%d\n" % (line, "\t".join(later).encode(), run.ingest_run_id)


def _insert(connection: Connection, result: StoredRows, *, run: RunOfSource) -> None:
    if result.lines:
        # The foreign keys of copies and of older texts are checked when the statement ends: their order is free.
        with _driver_cursor(connection).copy(_COPY) as copy:
            copy.write(b"".join(result.lines))
    if result.replaced:
        arrays = (literal(list(ids), ARRAY(Text)) for ids in (result.replaced.keys(), result.replaced.values()))
        pair = func.unnest(*arrays).table_valued("older", "newer").render_derived()
        edited = update(ReviewRow).where(ReviewRow.review_id == pair.c.older)
        connection.execute(edited.values(replaced_by=pair.c.newer))
    # Nothing is stored of an erased person's rows; the run's counts and reasons say that they came.
    stored = [one for one in result.rejected if one[1].reason is not QuarantineReason.FORGOTTEN]
    store_rejected(connection, stored, source=run.source, ingest_run_id=run.ingest_run_id)


def _driver_cursor(connection: Connection) -> psycopg.Cursor[Any]:
    """The driver's cursor, in the same transaction: SQLAlchemy cannot COPY."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return driver.cursor()


def begin_run(
    connection: Connection,
    settings: Settings,
    *,
    source: str,
    run_key: str,
    now: datetime,
    window: Window | None = None,
) -> RunOfSource:
    """Begin a run that stores rows of `source`."""
    start, end = window or (None, None)
    values = {"source": source, "run_key": run_key, "window_start": start, "window_end": end}
    values["started_at"] = _not_before_history(connection, now)
    run_id = connection.execute(insert(IngestRun).values(values).returning(IngestRun.ingest_run_id)).scalar_one()
    return RunOfSource(ingest_run_id=run_id, source=source, stable_ids=settings.source.stable_ids)


def _not_before_history(connection: Connection, now: datetime) -> datetime:
    """`now`, but always after the first training set was frozen, even where a clock was set back meanwhile.

    Otherwise scoring would take these reviews for history and never read them.
    """
    frozen_at = first_frozen_at(connection)
    return now if frozen_at is None else max(now, frozen_at + timedelta(microseconds=1))


def _count(connection: Connection, result: StoredRows, *, run: RunOfSource) -> None:
    """Add to the run's row, whose columns are named like the outcomes."""
    this = IngestRun.ingest_run_id == run.ingest_run_id
    values: dict[str, Any] = {one.value: getattr(IngestRun, one.value) + result.outcomes[one] for one in Outcome}
    values["rows_read"] = IngestRun.rows_read + result.outcomes.total()
    if result.reasons:
        before = connection.execute(select(IngestRun.reasons).where(this).with_for_update()).scalar_one()
        values["reasons"] = dict(Counter(before) + result.reasons)
    connection.execute(update(IngestRun).where(this).values(values))


def finish_run(engine: Engine, run: RunOfSource, *, now: datetime) -> None:
    """The run stores no more rows; of two calls the first counts."""
    running = update(IngestRun).where(IngestRun.ingest_run_id == run.ingest_run_id, IngestRun.finished_at.is_(None))
    with engine.begin() as connection:
        connection.execute(running.values(finished_at=now))
