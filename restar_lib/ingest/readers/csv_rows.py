"""Rows out of CSV and TSV files, from any byte of their content on, in constant memory.

A row of names comes first, behind blank lines, a `sep=` line or a few lines of title; without names that we know there
is no telling what is what, and the file is refused (`readers.csv_header`). CSV is read strictly (quotes within quotes
are doubled, or escaped where the file does that; line ends are allowed within quotes); a row that does not fit, for
example because of a stray quote, is a row with a problem, and reading goes on in the line after its first one, so a
quote that is never closed swallows nothing. A TSV row is first taken as plain text between tabs, as the usual exports
write it, where quotes mean nothing but around a whole field. It guesses no types: all values are texts, empty ones are
left out.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from restar_lib.ingest.raw_rows import FieldMapping, RawRow
from restar_lib.ingest.readers.compression import Content
from restar_lib.ingest.readers.csv_header import MAX_FIELD_CHARS, find_header
from restar_lib.ingest.readers.cursor import FilePosition
from restar_lib.ingest.readers.lines import BYTE_ORDER_MARK, TOO_LONG, RawLine, at_end, raw_lines


class _TooLong(Exception):
    """A line that does not fit into memory."""


class DelimitedRows:
    """The rows of one CSV or TSV file; made at the beginning of its content, which it reads the header from."""

    def __init__(self, content: Content, mapping: FieldMapping, *, address: str) -> None:
        """Read the header. Raises `SourceError` where it does not name what a review needs."""
        csv.field_size_limit(MAX_FIELD_CHARS)
        self._content = content
        self._header = find_header(content, mapping, address=address)
        self._mapping = mapping.for_table(self._header.columns)
        self._delimiter, self.columns = self._header.delimiter, self._header.columns

    @property
    def in_words(self) -> str:
        """The format."""
        separated = {"\t": "tab", ",": "comma", ";": "semicolon"}.get(self._delimiter, repr(self._delimiter))
        return f"{self._name}, separated by {separated}"

    def read(self, start: int) -> Iterator[tuple[RawRow, FilePosition]]:
        """The rows from byte `start` on (0: those behind the header)."""
        self._content.seek(max(start, self._header.end))
        lines = _Lines(self._content)
        reader = csv.reader(lines, delimiter=self._delimiter, escapechar=self._header.escape, strict=True)
        cut_from: int | None = None
        while True:
            values, problem = self._next(lines, reader)
            if not lines.taken:
                return
            several = len(lines.taken) - 1
            if values is None and cut_from is None and (lines.ended or (several and not lines.taken[-1].terminated)):
                cut_from = lines.taken[0].begin
            if values is None and several:
                problem += f" (with the {several} lines after it)"
                lines.give_back_all_but_the_first()
            if any(line.kept.strip() for line in lines.taken):
                yield self._row(lines, values, problem, cut_from=cut_from)

    def _next(self, lines: _Lines, reader: Iterator[list[str]]) -> tuple[list[str] | None, str]:
        """The values of the next row, or None and the problem."""
        lines.taken = []
        if self._delimiter == "\t" and (plain := self._plain(lines)) is not None:
            return plain, ""
        try:
            values = next(reader, [])
        except _TooLong:
            return None, TOO_LONG
        except csv.Error as error:
            return None, f"not {self._name}: {error}"
        if values and len(values) != len(self.columns):
            if not any(values[len(self.columns) :]) and len(values) > len(self.columns):
                return values[: len(self.columns)], ""  # a delimiter at the end of the line
            return None, f"{len(values)} columns where the row of names has {len(self.columns)}"
        return values, ""

    def _plain(self, lines: _Lines) -> list[str] | None:
        """One line between tabs; None, and nothing taken, where it may be a row of several lines."""
        with suppress(StopIteration, _TooLong):
            line = next(lines)
            values = line.rstrip("\r\n").split("\t")
            # A quote may be open in the last field, and anywhere in a line whose end is missing.
            doubtful = values[-1:] if lines.taken[-1].terminated else values
            is_open = any(value.startswith('"') and not _is_quoted(value) for value in doubtful)
            if len(values) == len(self.columns) and not is_open:
                return [value[1:-1].replace('""', '"') if _is_quoted(value) else value for value in values]
        lines.give_back()
        return None

    @property
    def _name(self) -> str:
        return "TSV" if self._delimiter == "\t" else "CSV"

    def _row(
        self, lines: _Lines, values: list[str] | None, problem: str, *, cut_from: int | None
    ) -> tuple[RawRow, FilePosition]:
        taken, last_line = lines.taken, lines.taken[-1]
        raw = b"".join(line.kept for line in taken).strip(b"\r\n")
        fields: dict[str, Any] | None = None
        if values is not None:
            try:
                raw.decode("utf-8")
                filled = {name: value for name, value in zip(self.columns, values, strict=True) if value}
                fields = self._mapping.ours(filled)
            except UnicodeDecodeError as error:
                problem = not_utf_8(error)
        half_from = None if last_line.terminated else taken[0].begin
        position = FilePosition(
            end=last_line.end,
            reread_from=half_from if cut_from is None else cut_from,
            is_cut=cut_from is not None,
            last=lines.at_end(),
            tail=last_line.tail,
        )
        return RawRow(raw=raw, fields=fields, problem=problem), position


class _Lines:
    """Lines as the csv module takes them, remembering which ones it took for a row."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._lines = raw_lines(content)
        self._back: deque[RawLine] = deque()
        self.taken: list[RawLine] = []
        self.ended = False
        """Whether the last row wanted more lines than there are."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.ended = False
        line = self._back.popleft() if self._back else next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        if line.too_long:
            raise _TooLong
        return _text(line)

    def give_back(self) -> None:
        """Hand the lines of this row out again."""
        self._back.extendleft(reversed(self.taken))
        self.taken = []

    def give_back_all_but_the_first(self) -> None:
        """Hand the lines of this row out again, but for its first."""
        first, self.taken = self.taken[0], self.taken[1:]
        self.give_back()
        self.taken = [first]

    def at_end(self) -> bool:
        """Whether there are no more lines."""
        return not self._back and at_end(self._content)


def not_utf_8(error: UnicodeDecodeError) -> str:
    """The first byte that does not fit, and where."""
    return f"not UTF-8: byte {error.object[error.start]:#04x} at position {error.start}"


def _text(line: RawLine) -> str:
    kept = line.kept.removeprefix(BYTE_ORDER_MARK) if line.begin == 0 else line.kept
    return kept.decode("utf-8", "surrogateescape")


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] == '"'
