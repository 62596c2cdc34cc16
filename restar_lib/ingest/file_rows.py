"""The rows of one file behind what is read already, each resolved and with what the cursor stores behind it.

Opens the file, looks through its rows (`inspection.survey`), decides how it is read (`inspection.decisions`), then
reads them. Of a file that is refused nothing is returned, so nothing of it counts as read. Called by the sources
`files` and `snapshot`, by `demo.replay` and by `restar inspect`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

from restar_lib.errors import SourceError
from restar_lib.ingest.inspection.decisions import decide
from restar_lib.ingest.inspection.report import CLEANED_ROWS, Inspection, add_cleaned, columns_of, ratings_of
from restar_lib.ingest.inspection.shape import STARS, FileOptions, FileShape, resolver
from restar_lib.ingest.inspection.survey import EVERY_ROW, Survey, survey
from restar_lib.ingest.inspection.undecided import Undecided
from restar_lib.ingest.raw_rows import FieldMapping, FileState, RawRow
from restar_lib.ingest.readers.compression import DAMAGED, open_content
from restar_lib.ingest.readers.cursor import FileHead, is_read, state_at
from restar_lib.ingest.readers.encodings import UTF_8
from restar_lib.ingest.readers.formats import Table, open_table
from restar_lib.ingest.readers.sampling import Rows, some_rows, spread_rows
from restar_lib.ingest.readers.storage import StoredFile
from restar_lib.settings import IngestSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OpenedTable:
    """A file whose rows were looked through."""

    table: Table
    survey: Survey
    known: FileShape | None
    """What was decided when it was read before; None for a new file, and for one that was replaced."""


def read_file(
    file: StoredFile,
    known: FileState | None,
    options: FileOptions,
    *,
    now: datetime | None = None,
    on_new: Callable[[str, Inspection], None] | None = None,
) -> Iterator[tuple[FileState, RawRow]]:
    """The rows of `file` that are not read yet, each with what the cursor stores behind it.

    `on_new` hears what was understood of a file that was not read before.

    Raises `SourceError` where nothing of it is read, or where it is damaged behind the rows before.
    """
    if is_read(file, known):
        return
    with opened_table(file, known, options) as opened:
        if opened is None:
            return
        table = opened.table
        shape = decided(opened, options, address=file.address)
        if on_new is not None and opened.known is None:
            on_new(file.address, described(opened, options, shape=shape, address=file.address))
        resolve = resolver(shape, options, written_at=file.modified_at, now=now or datetime.now(UTC))
        head, stored = FileHead(table.head), shape.as_state()
        for row, position in table.read(table.start):
            yield state_at(position, file=file, head=head, shape=stored), resolve(row)


@contextmanager
def opened_table(file: StoredFile, known: FileState | None, options: FileOptions) -> Iterator[OpenedTable | None]:
    """The file, its rows looked through from where reading goes on; None where it is empty."""
    with open_content(file) as content:
        before = FileShape.from_state(known.get("shape", {})) if known is not None else None
        # A file that is read in portions was looked at as a whole when it was new.
        is_looked_at = known is not None and known.get("looked_at") == file.signature
        # One that has grown, and was ASCII so far, may go on in another encoding.
        is_known = before is not None and (is_looked_at or before.encoding != UTF_8)
        encoding = options.encoding or (before.encoding if before is not None and is_known else "")
        table = open_table(file, content, known, encoding=encoding, mapping=options.mapping)
        if table is not None and known is not None and table.start == 0:  # another file under its name
            content.content.seek(0)
            before = None
            table = open_table(file, content, None, encoding=options.encoding, mapping=options.mapping)
        if table is None:
            log.warning("%s is empty", file.address)
            yield None
            return
        seen = Survey() if before is not None and is_looked_at else survey(_sample(table), at_most=EVERY_ROW)
        yield OpenedTable(table=table, survey=seen, known=before)


def _sample(table: Table) -> Iterator[RawRow]:
    """The first rows, and those behind that are spread over the file."""
    if table.pass_over is None:
        return _before_damage(some_rows(table.read(table.start)))
    return _before_damage(spread_rows(table.read, table.start, table.pass_over))


def _before_damage(rows: Rows) -> Iterator[RawRow]:
    """The rows, as far as the file is whole: the second reading stores these and says what is wrong.

    Not a last row that is only half there, behind others: it is read again when it is whole.
    """
    is_first = True
    with suppress(SourceError, OSError, *DAMAGED):
        for row, position in rows:
            if row.fields is not None or position.reread_from is None or is_first:
                yield row
            is_first = False


def decided(opened: OpenedTable, options: FileOptions, *, address: str) -> FileShape:
    """How the file is read. Raises `SourceError` where it is not, `Undecided` where it can be read in two ways."""
    table = opened.table
    try:
        shape = decide(opened.survey, options, opened.known, columns=table.columns, address=address)
    except Undecided:
        # A row that was passed over may tell.
        every = survey(_before_damage(table.read(table.start)), at_most=EVERY_ROW)
        shape = decide(every, options, opened.known, columns=table.columns, address=address)
    return replace(shape, encoding=table.encoding)


def described(opened: OpenedTable, options: FileOptions, *, shape: FileShape | None, address: str) -> Inspection:
    """What was understood of the file, without examples."""
    table, found = opened.table, opened.survey
    names = found.names() if table.columns is None else list(table.columns)
    columns, others = columns_of(found, options, names)
    scale = shape.rating_scale if shape else options.rating_scale or STARS
    return Inspection(
        address=address,
        in_words=table.in_words,
        rows=found.rows,
        columns=columns,
        others=others,
        ratings=ratings_of(found, scale),
        shape=shape,
        reviewed_at=options.reviewed_at,
    )


def inspect_file(file: StoredFile, options: FileOptions, config: IngestSettings) -> Inspection:
    """What an ingest would make of this file, which is not read yet; nothing is stored."""
    try:
        with opened_table(file, None, options) as opened:
            if opened is None:
                return Inspection(address=file.address, in_words="an empty file")
            try:
                shape = decided(opened, options, address=file.address)
            except SourceError as error:
                report = described(opened, options, shape=None, address=file.address)
                report.failure = error
                return report
            report = described(opened, options, shape=shape, address=file.address)
            resolve = resolver(shape, options, written_at=file.modified_at, now=datetime.now(UTC))
            rows = islice(_before_damage(opened.table.read(opened.table.start)), CLEANED_ROWS)
            add_cleaned(report, [resolve(row) for row in rows], config)
            return report
    except SourceError as error:
        return Inspection(address=file.address, failure=error)


def usual_options(mapping: FieldMapping) -> FileOptions:
    """For files of our own making: stars from 1 to 5, UTF-8, and no row is refused with others."""
    return FileOptions(mapping=mapping, encoding=UTF_8, rating_scale=STARS)
