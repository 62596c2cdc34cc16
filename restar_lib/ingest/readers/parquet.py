"""Rows out of Parquet files, from any row on, one row group in memory at most.

Only the columns that we know are read. A Parquet file
cannot grow, so its footer identifies it. Of a row that is not taken, the quarantine gets the columns that were read, as
JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import FieldMapping, RawRow, as_line
from restar_lib.ingest.readers.compression import Content
from restar_lib.ingest.readers.cursor import FilePosition
from restar_lib.ingest.readers.storage import StoredFile

if TYPE_CHECKING:
    from pyarrow import Table
    from pyarrow.parquet import ParquetFile

MAGIC = b"PAR1"
FOOTER_BYTES = 64 << 10
BATCH_ROWS = 1000


def footer(file: StoredFile, content: Content) -> bytes:
    """The end of the file, which describes all of it."""
    content.seek(max(0, file.size - FOOTER_BYTES))
    return content.read(FOOTER_BYTES)


class ParquetRows:
    """The rows of one Parquet file."""

    def __init__(self, file: StoredFile, content: Content, mapping: FieldMapping) -> None:
        """Read the footer. Raises `SourceError` where it is damaged."""
        from pyarrow.parquet import ParquetFile

        self._file, self._mapping = file, mapping
        with _named(file):
            self._parquet = ParquetFile(content, pre_buffer=False)
            self.columns: list[str] = self._parquet.schema_arrow.names
            self._mapping = mapping.for_table(self.columns)
            self._total = self._parquet.metadata.num_rows

    def read(self, start: int) -> Iterator[tuple[RawRow, FilePosition]]:
        """The rows from number `start` on."""
        known = {place[0] for _, places in self._mapping.places(self.columns) for place in places}
        wanted = [name for name in self.columns if name in known]
        for number, values in enumerate(_values(self._file, self._parquet, wanted, start), start=start + 1):
            position = FilePosition(end=number, reread_from=None, last=number == self._total, tail=b"")
            yield RawRow(raw=as_line(values), fields=self._mapping.ours(values)), position


def _values(file: StoredFile, parquet: ParquetFile, wanted: list[str], start: int) -> Iterator[dict[str, Any]]:
    """The rows from `start` on; row groups that are read already are not touched."""
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if start >= rows:
            start -= rows
            continue
        with _named(file, where=f"row group {group + 1} of {parquet.num_row_groups}"):
            for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted, use_threads=False):
                skipped, start = min(start, batch.num_rows), max(0, start - batch.num_rows)
                yield from _plain_rows(batch.slice(skipped))


def _plain_rows(batch: Table) -> Iterator[dict[str, Any]]:
    """Rows of texts, numbers and lists: times as ISO texts, decimals as numbers."""
    import pyarrow as pa

    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        fine = pa.types.is_timestamp(column.type) and column.type.unit == "ns"  # finer than Python's own times
        columns[name] = (column.cast(pa.timestamp("us", column.type.tz), safe=False) if fine else column).to_pylist()
    for number in range(batch.num_rows):
        yield {name: _plain(values[number]) for name, values in columns.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


@contextmanager
def _named(file: StoredFile, *, where: str = "its footer") -> Iterator[None]:
    """Arrow's errors say what is wrong, not where."""
    from pyarrow.lib import ArrowException

    try:
        yield
    # The last three: times that Python cannot hold, and unknown time zones.
    except (ArrowException, OSError, OverflowError, ValueError, KeyError) as error:
        raise SourceError(
            f"{file.address}: damaged or cut off in {where} ({error}); the rows before that are read and kept. "
            "Put the whole file in its place, or move it away, and run again"
        ) from error
