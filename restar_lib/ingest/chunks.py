"""The rows of a source in chunks, from the stored cursor on.

A chunk knows the cursor that it begins behind, so that `ingest.load` can see whether another run has read on
meanwhile. Reads ahead of what is stored; changes nothing and cleans nothing (`ingest.copy_lines`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from restar_lib.errors import SourceError
from restar_lib.ingest.copy_lines import FieldsOrProblem
from restar_lib.ingest.raw_rows import Cursor, RawRow
from restar_lib.ingest.sources.base import Source
from restar_lib.store.tables import SourceCursor

MAX_CHUNK_BYTES = 16 << 20
"""A chunk of very long rows ends early: it is held in memory as a whole."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Rows that follow each other behind `cursor_before`."""

    cursor_before: Cursor | None
    rows: Sequence[RawRow]
    ended: bool
    """There is nothing behind these rows now."""
    failure: SourceError | None = None
    """Why there is nothing, where something is wrong; the rows before it are good."""

    @property
    def for_cleaning(self) -> list[FieldsOrProblem]:
        """What cleaning needs of the rows: no cursor, which can be large, and no raw bytes."""
        return [row.problem if row.fields is None else row.fields for row in self.rows]


def stored_cursor(connection: Connection, source: str) -> Cursor | None:
    """How far a source is read; None where it never was."""
    return connection.scalar(select(SourceCursor.cursor).where(SourceCursor.source == source))


def read_chunks(engine: Engine, source: Source, *, chunk_rows: int, limit: int) -> Iterator[Chunk]:
    """Chunks from the cursor that is stored now to the end, or until `limit` rows; only the last one may be empty."""
    with engine.connect() as connection:
        cursor = stored_cursor(connection, source.name)
    rows = source.rows(cursor)
    while limit > 0:
        chunk = _take(rows, cursor, wanted=min(chunk_rows, limit))
        yield chunk
        if chunk.ended:
            return
        cursor, limit = chunk.rows[-1].cursor_after, limit - len(chunk.rows)


def _take(source_rows: Iterator[RawRow], before: Cursor | None, *, wanted: int) -> Chunk:
    """Up to `wanted` rows; where the source is damaged, the rows before the damage are kept."""
    rows: list[RawRow] = []
    size = 0
    try:
        for row in source_rows:
            rows.append(row)
            size += len(row.raw)
            if len(rows) == wanted or size >= MAX_CHUNK_BYTES:
                return Chunk(cursor_before=before, rows=rows, ended=False)
    except SourceError as error:
        return Chunk(cursor_before=before, rows=rows, ended=True, failure=error)
    return Chunk(cursor_before=before, rows=rows, ended=True)
