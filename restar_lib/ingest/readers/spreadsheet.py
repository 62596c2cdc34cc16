"""Rows out of an Excel file (.xlsx): all sheets that are shown and have a row of names, row by row.

openpyxl streams the rows; the one thing that it holds is the table of different texts, so a file with more than
`MAX_TEXTS_BYTES` of them is refused and memory stays bounded. Formulas give the values that were stored with them. A
sheet does not grow, it is written anew: the file is recognised by size and time, and the place in it is a number of
rows. Of a row that is not taken, the quarantine gets its values as JSON.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from typing import Any, Final

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import FieldMapping, RawRow, as_line, refuse_columns
from restar_lib.ingest.readers.compression import Content
from restar_lib.ingest.readers.cursor import FilePosition

MAX_TEXTS_BYTES: Final = 200 << 20
"""Unpacked size of the table of texts; Python needs two to three times as much."""
TEXTS: Final = "xl/sharedstrings.xml"
HEADER_WITHIN: Final = 20


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """One sheet with reviews, and its row of names."""

    sheet: Any
    header: int
    columns: list[str]


class SpreadsheetRows:
    """The rows of one Excel file."""

    def __init__(self, content: Content, mapping: FieldMapping, *, address: str) -> None:
        """Find the sheet and its row of names. Raises `SourceError` where no sheet has one."""
        import openpyxl

        self._mapping, self._address = mapping, address
        with self._named():
            _refuse_large(content, address)
            content.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of styles and pictures that it does not know
                book = openpyxl.load_workbook(content, read_only=True, data_only=True)
            self._sheets = self._find([sheet for sheet in book.worksheets if sheet.sheet_state == "visible"])
            self.columns = self._sheets[0].columns
        self._mapping = mapping.for_table(self.columns)

    def _find(self, sheets: Sequence[Any]) -> list[_Sheet]:
        """The sheets with a row of names; all of them have the same names."""
        found: list[_Sheet] = []
        first: list[str] = []
        for sheet in sheets:
            sheet.reset_dimensions()  # a wrong size in the file would cut rows off
            for number, values in enumerate(islice(sheet.iter_rows(values_only=True), HEADER_WITHIN), start=1):
                names = ["" if value is None else str(value).strip() for value in values]
                named = {name for name, _ in self._mapping.places(names)}
                if "text" in named and named & {"rating", "reviewed_at"}:
                    found.append(_Sheet(sheet=sheet, header=number, columns=names))
                    break
                first = first or [name for name in names if name]
        if not found:
            where = f"its {len(sheets)} sheets"
            refuse_columns(first, self._mapping, address=self._address, where=where)
            raise SourceError(f"{self._address}: no row of names was found. Nothing of this file was read")
        if other := next((one for one in found if one.columns != found[0].columns), None):
            raise SourceError(
                f"{self._address}: the sheets {found[0].sheet.title!r} and {other.sheet.title!r} both hold reviews, in "
                "different columns; save each as a file of its own. Nothing of this file was read"
            )
        return found

    @property
    def in_words(self) -> str:
        """Which sheets they are."""
        names = ", ".join(repr(one.sheet.title) for one in self._sheets)
        return f"sheet {names}" if len(self._sheets) == 1 else f"sheets {names}"

    def read(self, start: int) -> Iterator[tuple[RawRow, FilePosition]]:
        """The rows from number `start` on, sheet after sheet, blank ones left out."""
        before: dict[str, Any] | None = None
        number = 0
        with self._named():
            for values in self._filled():
                if before is not None and number > start:
                    yield self._row(before, number, last=False)
                number, before = number + 1, self._values(values)
            if before is not None and number > start:
                yield self._row(before, number, last=True)

    def _filled(self) -> Iterator[tuple[Any, ...]]:
        for one in self._sheets:
            rows = one.sheet.iter_rows(min_row=one.header + 1, values_only=True)
            yield from (values for values in rows if any(value is not None for value in values))

    def _values(self, values: Sequence[Any]) -> dict[str, Any]:
        named = zip(self.columns, values, strict=False)
        return {name: _plain(value) for name, value in named if name and value is not None}

    def _row(self, values: dict[str, Any], number: int, *, last: bool) -> tuple[RawRow, FilePosition]:
        row = RawRow(raw=as_line(values), fields=self._mapping.ours(values))
        return row, FilePosition(end=number, reread_from=None, last=last, tail=b"")

    @contextmanager
    def _named(self) -> Iterator[None]:
        from xml.etree.ElementTree import ParseError

        try:
            yield
        except (zipfile.BadZipFile, ParseError, KeyError, ValueError, TypeError, EOFError) as error:
            raise SourceError(
                f"{self._address}: damaged, or no Excel file as openpyxl knows it ({error}); save it again, as .xlsx "
                "or as CSV in UTF-8"
            ) from error


def _refuse_large(content: Content, address: str) -> None:
    with zipfile.ZipFile(content) as archive:
        size = sum(one.file_size for one in archive.infolist() if one.filename.lower() == TEXTS)
    if size > MAX_TEXTS_BYTES:
        raise SourceError(
            f"{address}: {size >> 20} MiB of texts, and an Excel file is read up to {MAX_TEXTS_BYTES >> 20} MiB; save "
            "it as CSV in UTF-8, which has no limit. Nothing of this file was read"
        )


def _plain(value: Any) -> Any:
    """A cell as JSON knows it: a time as ISO text."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value
