"""The format of a file, and its rows behind what is read already: the one entrance to all readers.

The name decides where it says something (`.csv`, `.tsv`, `.jsonl`, `.ndjson`), the first bytes where it does not, and
always for Parquet and Excel. A file that is not text at all is refused as a whole, so that binary junk does not fill
the quarantine. It finds no files (`readers.storage`), unpacks none (`readers.compression`) and decides nothing about
their values (`ingest.inspection`). Called by `ingest.file_rows`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import FieldMapping, FileState, RawRow, parse_line
from restar_lib.ingest.readers import parquet
from restar_lib.ingest.readers.compression import DAMAGED, ZIP_MAGIC, Content, OpenedFile, beginning
from restar_lib.ingest.readers.containers import find_container, has_rows_inside, literal_row, read_container
from restar_lib.ingest.readers.csv_rows import DelimitedRows
from restar_lib.ingest.readers.cursor import HEAD_BYTES, FilePosition, digest, offset_to_go_on
from restar_lib.ingest.readers.encodings import UTF_8, as_utf_8, find_encoding, marked_encoding
from restar_lib.ingest.readers.json_values import read_values
from restar_lib.ingest.readers.lines import BLANK, BYTE_ORDER_MARK, TOO_LONG, Line, read_lines
from restar_lib.ingest.readers.sampling import PassOver, Rows, by_lines
from restar_lib.ingest.readers.spreadsheet import SpreadsheetRows
from restar_lib.ingest.readers.storage import StoredFile

MAX_JUNK_SHARE: Final = 0.3
"""Of the characters in the beginning of a file: random bytes have 0.6, Latin-1 texts with many accents below 0.1."""
CONTROLS: Final = bytes(byte for byte in range(32) if byte not in b"\t\r\n\f")
MAX_CONTROL_SHARE: Final = 0.04
"""Of the bytes in the beginning of a file: random bytes have 0.11."""
LINE_END_BYTES: Final = 64 << 10
"""Where so many bytes have carriage returns and no newline, those end the lines."""
OTHER_FILES = {
    b"\xfd7zXZ": "an xz file",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls); save it as .xlsx or CSV",
    b"SQLite format": "an SQLite database",
    b"\x89PNG": "a picture",
    b"<!DOCTYPE": "a page in HTML",
    b"<html": "a page in HTML",
    b"<?xml": "XML",
}


class Format(Enum):
    """How the rows of a file are written."""

    LINES = "JSON Lines"
    VALUES = "JSON"
    LITERALS = "lines of Python objects"
    PARQUET = "Parquet"
    SPREADSHEET = "Excel"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file whose rows can be read."""

    in_words: str
    columns: Sequence[str] | None
    """The names of the columns; None where each row brings its own."""
    head: bytes
    """What the cursor recognises the file by."""
    start: int
    """Where the rows begin that are not read yet."""
    encoding: str
    read: Callable[[int], Rows]
    """The rows from a place on; may be called again."""
    pass_over: PassOver | None
    """How rows are passed over; None where all must be read to come to the later ones."""


def open_table(
    file: StoredFile, opened: OpenedFile, known: FileState | None, *, encoding: str, mapping: FieldMapping
) -> Table | None:
    """The rows of a file; None where it is empty. `encoding` is empty where it is to be found.

    Raises `SourceError` where it is nothing that we read.
    """
    head = beginning(opened.content, HEAD_BYTES)
    if not head:
        return None
    if head.startswith(parquet.MAGIC) or opened.name.endswith(".parquet"):
        return _parquet(file, opened, known, head=head, mapping=mapping)
    if head.startswith(ZIP_MAGIC) and not opened.is_packed:
        return _spreadsheet(file, opened, known, mapping=mapping)
    _refuse_others(file, head)
    encoding = encoding or marked_encoding(head)
    if not encoding:
        _refuse_controls(file, head)
        encoding = find_encoding(opened.content, address=file.address)
    content = as_utf_8(opened.content, encoding)
    sample = beginning(content, LINE_END_BYTES)
    if b"\r" in sample.rstrip() and b"\n" not in sample:
        content = as_utf_8(opened.content, encoding, cr_ends_lines=True)
        sample = beginning(content, LINE_END_BYTES)
    _refuse_junk(file, sample[:HEAD_BYTES])
    return _text_table(file, content, known, opened.name, encoding=encoding, sample=sample, mapping=mapping)


def _text_table(
    file: StoredFile,
    content: Content,
    known: FileState | None,
    name: str,
    *,
    encoding: str,
    sample: bytes,
    mapping: FieldMapping,
) -> Table:
    head = sample[:HEAD_BYTES]
    words = "" if encoding == UTF_8 else f", {encoding}"

    def table(
        what: str, read: Callable[[int], Rows], *, columns: Sequence[str] | None = None, begin_lines: bool = True
    ) -> Table:
        start = offset_to_go_on(file, content, known, head)
        return Table(
            in_words=what + words,
            columns=columns,
            head=head,
            start=start,
            encoding=encoding,
            read=read,
            pass_over=by_lines(content) if begin_lines else None,
        )

    if _is_delimited(name, sample):
        delimited = DelimitedRows(content, mapping, address=file.address)
        return table(delimited.in_words, delimited.read, columns=delimited.columns or None)
    first, by_line = _first_value(content, sample)
    line = sample.removeprefix(BYTE_ORDER_MARK).lstrip(BLANK).split(b"\n", 1)[0].strip(BLANK)
    if first is None and (literal := literal_row(line)) is not None and mapping.ours(literal):
        return table(Format.LITERALS.value, lambda start: _literal_rows(content, start, mapping))
    is_row = isinstance(first, dict) and isinstance(mapping.ours(first).get("text"), str)
    if (not is_row or has_rows_inside(first, mapping)) and (
        container := find_container(content, mapping, address=file.address)
    ) is not None:
        return Table(
            in_words=f"JSON, {container}{words}",
            columns=None,
            head=_mark(file),
            start=_rows_read(known, _mark(file)),
            encoding=encoding,
            read=lambda start: read_container(content, container, mapping, start, address=file.address),
            pass_over=None,
        )
    form = Format.LINES if by_line else Format.VALUES
    rows = partial(_json_rows, content, mapping=mapping, by_line=by_line)
    return table(form.value, rows, begin_lines=by_line)


def _is_delimited(name: str, sample: bytes) -> bool:
    """By its name; where that says nothing, by its first sign."""
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return False
    begins = sample.removeprefix(BYTE_ORDER_MARK).lstrip(BLANK)[:1]
    return name.endswith((".csv", ".tsv", ".tab")) or begins not in {b"{", b"[", b""}


def _first_value(content: Content, sample: bytes) -> tuple[Any, bool]:
    """The first object, None where there is none, and whether each line is one: JSON Lines."""
    text = sample.removeprefix(BYTE_ORDER_MARK).lstrip(BLANK)
    with suppress(ValueError, RecursionError):
        value = json.loads(text.split(b"\n", 1)[0])
        if isinstance(value, dict):
            return value, True
    content.seek(0)
    with suppress(*DAMAGED, ValueError, RecursionError):
        first = next(read_values(content), None)
        value = json.loads(first.content) if first is not None and not first.too_long else None
        if isinstance(value, dict | list):
            return value, False
    return None, not text.startswith(b"[")


def _json_rows(content: Content, start: int, *, mapping: FieldMapping, by_line: bool) -> Rows:
    content.seek(start)
    return (_json_row(line, mapping) for line in (read_lines(content) if by_line else read_values(content)))


def _json_row(line: Line, mapping: FieldMapping) -> tuple[RawRow, FilePosition]:
    fields, problem = (None, TOO_LONG) if line.too_long else parse_line(line.content, mapping)
    return RawRow(raw=line.content, fields=fields, problem=problem), _behind(line)


def _literal_rows(content: Content, start: int, mapping: FieldMapping) -> Rows:
    content.seek(start)
    for line in read_lines(content):
        value = None if line.too_long else literal_row(line.content)
        problem = "" if value is not None else TOO_LONG if line.too_long else "no object of Python"
        fields = None if value is None else mapping.ours(value)
        yield RawRow(raw=line.content, fields=fields, problem=problem, is_resolved=True), _behind(line)


def _behind(line: Line) -> FilePosition:
    reread_from = None if line.terminated else line.begin
    return FilePosition(end=line.end, reread_from=reread_from, last=line.last, tail=line.tail)


def _parquet(
    file: StoredFile, opened: OpenedFile, known: FileState | None, *, head: bytes, mapping: FieldMapping
) -> Table:
    if not head.startswith(parquet.MAGIC):
        raise SourceError(f"{file.address}: this is not Parquet; give it the name of what it is, or move it away")
    if opened.is_packed:
        raise SourceError(f"{file.address}: Parquet within another file cannot be read in parts; unpack the file")
    footer = parquet.footer(file, opened.content)
    rows = parquet.ParquetRows(file, opened.content, mapping)
    return Table(
        in_words=Format.PARQUET.value,
        columns=rows.columns,
        head=footer,
        start=_rows_read(known, footer),
        encoding=UTF_8,
        read=rows.read,
        pass_over=None,
    )


def _spreadsheet(file: StoredFile, opened: OpenedFile, known: FileState | None, *, mapping: FieldMapping) -> Table:
    rows = SpreadsheetRows(opened.content, mapping, address=file.address)
    return Table(
        in_words=f"{Format.SPREADSHEET.value}, {rows.in_words}",
        columns=rows.columns,
        head=_mark(file),
        start=_rows_read(known, _mark(file)),
        encoding=UTF_8,
        read=rows.read,
        pass_over=None,
    )


def _mark(file: StoredFile) -> bytes:
    """What a file that is only ever written anew is recognised by."""
    return repr(file.signature).encode()


def _rows_read(known: FileState | None, head: bytes) -> int:
    """How many rows of such a file are read."""
    return int(known["offset"]) if known is not None and known["head"] == digest(head) else 0


def _refuse_others(file: StoredFile, head: bytes) -> None:
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip(BLANK)
    if other := next((what for magic, what in OTHER_FILES.items() if text[:20].startswith(magic)), ""):
        raise _no_text(file, f"this is {other}")


def _refuse_controls(file: StoredFile, head: bytes) -> None:
    """Whatever the encoding: text has no control characters but those of blanks and line ends."""
    controls = len(head) - len(head.translate(None, CONTROLS))
    if controls > MAX_CONTROL_SHARE * len(head):
        raise _no_text(file, "this is no text")


def _refuse_junk(file: StoredFile, head: bytes) -> None:
    text = head.decode("utf-8", "replace")
    junk = text.count("\ufffd") + len(head) - len(head.translate(None, CONTROLS))
    if junk > MAX_JUNK_SHARE * len(text):
        raise _no_text(file, "this is no text")


def _no_text(file: StoredFile, what: str) -> SourceError:
    return SourceError(
        f"{file.address}: {what}; put it there as text (CSV, JSON), Excel (.xlsx) or Parquet, or move it away. "
        "Nothing of this file was read"
    )
