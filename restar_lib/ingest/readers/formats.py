"""The format of a file, and its rows behind what is read already: the one entrance to all readers.

The name decides where it says something (`.csv`, `.tsv`, `.jsonl`, `.ndjson`), the first bytes where it does not, and
always for Parquet. A file that is not text at all is refused as a whole, so that binary junk does not fill the
quarantine. It finds no files (`ingest.readers.storage`) and unpacks none (`ingest.readers.compression`). Called by the
sources `files` and `snapshot`, and by `demo.replay`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from enum import Enum

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import FieldMapping, FileState, RawRow, parse_line
from restar_lib.ingest.readers import parquet
from restar_lib.ingest.readers.compression import Content, is_plain, open_content
from restar_lib.ingest.readers.csv_rows import DelimitedRows
from restar_lib.ingest.readers.cursor import (
    HEAD_BYTES,
    FileHead,
    FilePosition,
    digest,
    is_read,
    offset_to_go_on,
    state_at,
)
from restar_lib.ingest.readers.json_values import read_values
from restar_lib.ingest.readers.lines import BLANK, BYTE_ORDER_MARK, TOO_LONG, Line, read_lines
from restar_lib.ingest.readers.storage import PACKED, StoredFile

log = logging.getLogger(__name__)

MAX_JUNK_SHARE = 0.3
"""Of the characters in the beginning of a file: random bytes have 0.6, Latin-1 texts with many accents below 0.1."""
OTHER_FILES = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"%PDF": "a PDF",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


class Format(Enum):
    """How the rows of a file are written."""

    LINES = "JSON Lines"
    VALUES = "JSON"
    DELIMITED = "CSV or TSV"
    PARQUET = "Parquet"


def read_file(file: StoredFile, known: FileState | None, mapping: FieldMapping) -> Iterator[tuple[FileState, RawRow]]:
    """The rows of `file` that are not read yet, each with what the cursor stores behind it."""
    if is_read(file, known):
        return
    with open_content(file) as content:
        head = content.read(HEAD_BYTES)
        if not head:
            log.info("%s is empty", file.address)
            return
        file_format = format_of(file, content, head)
        if file_format is Format.PARQUET:
            head = parquet.footer(file, content)
        beginning = FileHead(head)
        for row, position in _rows(file, content, file_format, known, head, mapping):
            yield state_at(position, file=file, head=beginning), row


def format_of(file: StoredFile, content: Content, head: bytes) -> Format:
    """The format of a file that begins with `head`. Raises `SourceError` where it is none that we read."""
    name = file.name.lower()
    bare = next((name.removesuffix(packed) for packed in PACKED if name.endswith(packed)), name)
    if head.startswith(parquet.MAGIC) or bare.endswith(".parquet"):
        _require_parquet(file, content, head)
        return Format.PARQUET
    _refuse_junk(file, head)
    if bare.endswith((".csv", ".tsv")):
        return Format.DELIMITED
    if bare.endswith((".jsonl", ".ndjson")):
        return Format.LINES
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip(BLANK)
    first_line, more, _ = text.partition(b"\n")
    is_open = bool(more) and text.startswith(b"{") and not first_line.rstrip(BLANK).endswith(b"}")
    return Format.VALUES if text.startswith(b"[") or is_open else Format.LINES


def _rows(
    file: StoredFile, content: Content, file_format: Format, known: FileState | None, head: bytes, mapping: FieldMapping
) -> Iterator[tuple[RawRow, FilePosition]]:
    if file_format is Format.PARQUET:
        same = known is not None and digest(head) == known["head"]
        return parquet.read_rows(file, content, mapping, known["offset"] if known and same else 0)
    delimited = DelimitedRows(content, mapping, address=file.address) if file_format is Format.DELIMITED else None
    start = offset_to_go_on(file, content, known, head)
    if delimited:
        return delimited.read(start)
    content.seek(start)
    lines = read_lines(content) if file_format is Format.LINES else read_values(content)
    return (_json_row(line, mapping) for line in lines)


def _json_row(line: Line, mapping: FieldMapping) -> tuple[RawRow, FilePosition]:
    fields, problem = (None, TOO_LONG) if line.too_long else parse_line(line.content, mapping)
    reread_from = None if line.terminated else line.begin
    position = FilePosition(end=line.end, reread_from=reread_from, last=line.last, tail=line.tail)
    return RawRow(raw=line.content, fields=fields, problem=problem), position


def _require_parquet(file: StoredFile, content: Content, head: bytes) -> None:
    if not head.startswith(parquet.MAGIC):
        raise SourceError(f"{file.address}: this is not Parquet; give it the name of what it is, or move it away")
    if not is_plain(content):
        raise SourceError(f"{file.address}: Parquet within gzip or zstd cannot be read in parts; unpack the file")


def _refuse_junk(file: StoredFile, head: bytes) -> None:
    other = next((what for magic, what in OTHER_FILES.items() if head.startswith(magic)), "")
    text = head.decode("utf-8", "replace")
    junk = sum(sign == "\ufffd" or (sign < " " and sign not in "\t\r\n\f") for sign in text)
    if other or junk > MAX_JUNK_SHARE * len(text):
        raise SourceError(
            f"{file.address}: this is {other or 'no text'}; put it there as UTF-8 text or Parquet, or move it away. "
            "Nothing of this file was read"
        )
