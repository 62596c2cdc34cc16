r"""The row of names of a CSV or TSV file, and how its values are separated and quoted.

The row of names is the first one that names a text and a rating or a time, within the first lines: before it may stand
blank lines, `sep=;` as Excel writes it, or a title. The delimiter is the one that makes such a row; where none of the
four usual ones does, clevercsv is asked. Whether a quote within quotes is written `""` or `\"` is what splits more of
the first rows as the names are split. It reads no further than that (`readers.csv_rows` does).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import FieldMapping, refuse_columns
from restar_lib.ingest.readers.compression import DAMAGED, Content
from restar_lib.ingest.readers.lines import BYTE_ORDER_MARK, RawLine, raw_lines

DELIMITERS: Final = ",;\t|"
MAX_FIELD_CHARS: Final = 1 << 20
"""A quote that is never closed swallows no more."""
SAMPLE_LINES: Final = 400
HEADER_WITHIN: Final = 20
"""Lines that are not blank, up to and with the row of names."""
SNIFFED_CHARS: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class Header:
    """The row of names."""

    columns: Sequence[str]
    """Empty for a file that has no row at all."""
    delimiter: str
    escape: str | None
    """What stands before a quote within quotes; None where it is doubled."""
    end: int
    """Bytes of content up to the first row behind it."""


def find_header(content: Content, mapping: FieldMapping, *, address: str) -> Header:
    """The row of names. Raises `SourceError` where no row names what a review needs, and shows the best one."""
    lines = _first_lines(content)
    if not lines:
        return Header(columns=(), delimiter=DELIMITERS[0], escape=None, end=0)
    first = _text(lines[0]).strip()
    told = first[4] if first.lower().startswith("sep=") and len(first) == 5 else "\t" if first == "sep=" else ""
    candidates, delimiters = lines[1:] if told else lines, told or DELIMITERS
    found = _named(candidates, delimiters, mapping)
    if found is None and not told and (sniffed := _sniffed(candidates)):
        found = _named(candidates, sniffed, mapping)
    if found is None:
        texts = [_text(line) for line in candidates[:1]]
        best = max((_row(texts, sign) for sign in delimiters), key=len, default=[])
        refuse_columns(best, mapping, address=address, where="the first row")
        raise SourceError(f"{address}: no row of names was found among the first lines. Nothing of this file was read")
    number, taken, delimiter, columns = found
    behind = candidates[number + taken :]
    return Header(
        columns=columns,
        delimiter=delimiter,
        escape=_escape(behind, delimiter, len(columns)),
        end=candidates[number + taken - 1].end,
    )


def _first_lines(content: Content) -> list[RawLine]:
    """Those that are not blank; where the file is damaged, those before the damage."""
    content.seek(0)
    lines: list[RawLine] = []
    with suppress(*DAMAGED):
        lines.extend(line for line in islice(raw_lines(content), SAMPLE_LINES) if _text(line).strip())
    return lines


def _named(lines: Sequence[RawLine], delimiters: str, mapping: FieldMapping) -> tuple[int, int, str, list[str]] | None:
    """The line with the names, how many lines they take, their delimiter, and they; None where no line has them."""
    texts = [_text(line) for line in lines[: HEADER_WITHIN + 5]]
    for number in range(min(len(texts), HEADER_WITHIN)):
        rows = [(sign, *_counted_row(texts[number:], sign)) for sign in delimiters]
        good = [
            (len(columns), sign, taken, columns) for sign, taken, columns in rows if _names_review(columns, mapping)
        ]
        if good:
            _, sign, taken, columns = max(good, key=lambda one: one[0])
            return number, taken, sign, [name.strip() for name in columns]
    return None


def _names_review(columns: Sequence[str], mapping: FieldMapping) -> bool:
    named = {name for name, _ in mapping.places(column.strip() for column in columns)}
    return "text" in named and bool(named & {"rating", "reviewed_at"})


def _counted_row(texts: Sequence[str], delimiter: str) -> tuple[int, list[str]]:
    """The first row of these lines, and of how many it takes."""
    reader = csv.reader(texts, delimiter=delimiter)
    try:
        row = next(reader, [])
    except csv.Error:
        return 1, []
    return reader.line_num, row


def _row(texts: Sequence[str], delimiter: str) -> list[str]:
    return _counted_row(texts, delimiter)[1]


def _sniffed(lines: Iterable[RawLine]) -> str:
    """The delimiter that clevercsv finds; empty where it finds none."""
    import clevercsv

    sample = "".join(map(_text, lines))[:SNIFFED_CHARS]
    try:
        dialect = clevercsv.Sniffer().sniff(sample)
    except (clevercsv.Error, ValueError):
        return ""
    return dialect.delimiter if dialect is not None and dialect.delimiter and len(dialect.delimiter) == 1 else ""


def _escape(lines: Sequence[RawLine], delimiter: str, columns: int) -> str | None:
    """A backslash, where more rows have the right number of columns with it than without."""
    texts = [_text(line) for line in lines]
    if not any('\\"' in text for text in texts):
        return None
    with_it, without = (_fitting(texts, delimiter, escape, columns) for escape in ("\\", None))
    return "\\" if with_it > without else None


def _fitting(texts: Sequence[str], delimiter: str, escape: str | None, columns: int) -> int:
    """How many rows have so many columns, up to the first one that cannot be read."""
    reader = csv.reader(texts, delimiter=delimiter, escapechar=escape, strict=True)
    fitting = 0
    try:
        for row in reader:
            fitting += len(row) == columns
    except csv.Error:
        pass
    return fitting


def _text(line: RawLine) -> str:
    kept = line.kept.removeprefix(BYTE_ORDER_MARK) if line.begin == 0 else line.kept
    return "" if line.too_long else kept.decode("utf-8", "surrogateescape")
