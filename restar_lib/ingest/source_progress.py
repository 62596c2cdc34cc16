"""How far a source is read: every statement on tables `source_cursor` and `source_file`.

A source says with each row how far it is (`RawRow.cursor_after`). Where that names a file, the state of this file alone
is stored, in a row of its own: a source of many files writes what has changed and reads what it asks for. `version`
grows with every stored chunk, so a run that read ahead sees that another one has stored meanwhile. Decides nothing
about rows; runs in the transaction of `ingest.load`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from restar_lib.ingest.raw_rows import Cursor, FileState, FileStates, RawRow
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import SourceCursor, SourceFile


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a source is read, without the states of its files."""

    cursor: Cursor | None = None
    """None where it never was read on from a cursor."""
    version: int = 0


def read_progress(connection: Connection, source: str) -> Progress:
    """How far a source is read at this moment."""
    wanted = select(SourceCursor.cursor, SourceCursor.version).where(SourceCursor.source == source)
    row = connection.execute(wanted).one_or_none()
    return Progress() if row is None else Progress(cursor=row.cursor, version=row.version)


def file_states(engine: Engine, source: str) -> FileStates:
    """What looks up the states of some files of a source, by name; a file that was never read has none."""

    def look_up(names: Sequence[str]) -> Mapping[str, FileState]:
        wanted = select(SourceFile.name, SourceFile.state).where(
            SourceFile.source == source, one_of(SourceFile.name, names)
        )
        with engine.connect() as connection:
            return dict(connection.execute(wanted).tuples().all())

    return look_up


def move(connection: Connection, source: str, rows: Sequence[RawRow]) -> None:
    """Move behind these rows, the last of which has a cursor."""
    files: dict[str, FileState] = {}
    for row in rows:
        reached = row.cursor_after
        if reached is not None and "file" in reached:
            files[reached["file"]] = reached["state"]
    cursor = {name: value for name, value in (rows[-1].cursor_after or {}).items() if name not in {"file", "state"}}
    _store_files(connection, source, files)
    first = insert(SourceCursor).values(source=source, cursor=cursor, version=1, rows_read=len(rows))
    moved = {
        "cursor": first.excluded.cursor,
        "version": SourceCursor.version + 1,
        "rows_read": SourceCursor.rows_read + first.excluded.rows_read,
        "updated_at": func.now(),
    }
    connection.execute(first.on_conflict_do_update(index_elements=[SourceCursor.source], set_=moved))


def _store_files(connection: Connection, source: str, files: Mapping[str, FileState]) -> None:
    if files:
        statement = insert(SourceFile)
        newer = {"state": statement.excluded.state}
        rows = [{"source": source, "name": name, "state": state} for name, state in files.items()]
        connection.execute(statement.on_conflict_do_update(index_elements=["source", "name"], set_=newer), rows)


def windows_until(engine: Engine, source: str) -> datetime | None:
    """Up to when the windows of scheduled runs are read; None where none was."""
    with engine.connect() as connection:
        return connection.scalar(select(SourceCursor.windows_until).where(SourceCursor.source == source))


def finish_window(engine: Engine, source: str, *, until: datetime) -> None:
    """The window of a scheduled run is read whole, up to `until`. An older run that is repeated moves nothing back."""
    first = insert(SourceCursor).values(source=source, windows_until=until)
    later = {"windows_until": func.greatest(SourceCursor.windows_until, first.excluded.windows_until)}
    with engine.begin() as connection:
        connection.execute(first.on_conflict_do_update(index_elements=[SourceCursor.source], set_=later))
