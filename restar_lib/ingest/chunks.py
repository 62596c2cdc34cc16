"""The rows of a source in chunks, from the stored cursor on.

A chunk knows how often the source was moved on before it, so that `ingest.load` can see whether another run has read
on meanwhile. Reads ahead of what is stored; changes nothing and cleans nothing (`ingest.cleaning.copy_lines`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning.clean import FieldsOrProblem
from restar_lib.ingest.raw_rows import RawRow
from restar_lib.ingest.source_progress import file_states, read_progress
from restar_lib.ingest.sources.base import Source

MAX_CHUNK_BYTES = 16 << 20
"""A chunk of very long rows ends early: it is held in memory as a whole."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Rows that follow each other."""

    version_before: int
    """Of the source's progress, where nobody else has read on."""
    rows: Sequence[RawRow]
    ended: bool
    """There is nothing behind these rows now."""
    failure: SourceError | None = None
    """Why there is nothing, where something is wrong; the rows before it are good."""

    @property
    def for_cleaning(self) -> list[FieldsOrProblem]:
        """What cleaning needs of the rows."""
        return [row.for_cleaning for row in self.rows]


def read_chunks(engine: Engine, source: Source, *, chunk_rows: int, limit: int) -> Iterator[Chunk]:
    """Chunks from the cursor that is stored now to the end, or until `limit` rows; only the last one may be empty."""
    with engine.connect() as connection:
        stored = read_progress(connection, source.name)
    rows, version = source.rows(stored.cursor, file_states(engine, source.name)), stored.version
    while limit > 0:
        chunk = _take(rows, version, wanted=min(chunk_rows, limit))
        yield chunk
        if chunk.ended:
            return
        version, limit = version + 1, limit - len(chunk.rows)


def _take(source_rows: Iterator[RawRow], version: int, *, wanted: int) -> Chunk:
    """Up to `wanted` rows; where the source is damaged, the rows before the damage are kept."""
    rows: list[RawRow] = []
    size = 0
    try:
        for row in source_rows:
            rows.append(row)
            size += len(row.raw)
            if len(rows) == wanted or size >= MAX_CHUNK_BYTES:
                return Chunk(version_before=version, rows=rows, ended=False)
    except SourceError as error:
        return Chunk(version_before=version, rows=rows, ended=True, failure=error)
    return Chunk(version_before=version, rows=rows, ended=True)
