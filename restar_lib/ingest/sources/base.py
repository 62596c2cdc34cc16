"""What a source of reviews is: rows, one after the other, each with the cursor to go on from.

A source streams in constant memory and starts right after any cursor that it has returned. It turns the spelling of
its fields into ours (`ingest.raw_rows`); it judges nothing (`ingest.cleaning`) and stores nothing (`ingest.load`).
A row that cannot be read is a row too, with its problem: it ends in quarantine, and the next one is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import Cursor, FileStates, RawRow, no_file_is_read

Window = tuple[datetime, datetime]
"""When the wanted reviews were written; the end does not belong to it."""


class Source(Protocol):
    """Somewhere reviews come from."""

    @property
    def name(self) -> str:
        """Key of the cursor; two sources never share one."""

    @property
    def kind(self) -> str:
        """The word for it in YAML, `source.kind`: `simulated`, `files`, `hub` or `snapshot`."""

    def rows(self, cursor: Cursor | None, files: FileStates = no_file_is_read, /) -> Iterator[RawRow]:
        """All rows after `cursor`, or from the beginning; `files` knows how far each file is read.

        Raises `SourceError` where it cannot be read, `DamagedFiles` where all but some files were.
        """


def check_kind(source: Source, cursor: Cursor | None) -> None:
    """Raise `SourceError` where `cursor` was made by a source of another kind."""
    if cursor is not None and cursor.get("kind") != source.kind:
        raise SourceError(
            f"source {source.name!r} was read as {cursor.get('kind')!r} so far and is {source.kind!r} now: "
            "give the new one another source.name, or wipe the state with `make reset`"
        )
