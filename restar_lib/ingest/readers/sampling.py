"""Rows of a file without reading all of it: the first ones, then a tenth of the rest, spread evenly.

A file that is sorted by rating or by time shows all of its kinds so. What is passed over is not parsed, of a plain file
not even read. It judges nothing. Called by `ingest.file_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from restar_lib.ingest.raw_rows import RawRow
from restar_lib.ingest.readers.compression import Content
from restar_lib.ingest.readers.cursor import FilePosition
from restar_lib.ingest.readers.lines import MAX_LINE_BYTES

FIRST_ROWS: Final = 2_000
BLOCK_ROWS: Final = 200
PASSED_OVER: Final = 9
"""So many times as much as a block holds."""

Rows = Iterator[tuple[RawRow, FilePosition]]
PassOver = Callable[[int, int], int]
"""From a place, so much further, to the beginning of the next row; what it counts is the reader's."""


def by_lines(content: Content) -> PassOver:
    """For formats whose rows begin with a line; in the midst of a row of several lines it is wrong by that row."""

    def pass_over(place: int, distance: int) -> int:
        content.seek(place + distance)
        content.readline(MAX_LINE_BYTES)
        return content.tell()

    return pass_over


def by_number(place: int, distance: int) -> int:
    """For formats whose place is a number of rows."""
    return place + distance


def spread_rows(read: Callable[[int], Rows], start: int, pass_over: PassOver) -> Rows:
    """The first rows from `start` on, then blocks of those behind."""
    place, rows = start, FIRST_ROWS
    while True:
        begin, number = place, 0
        for row, position in islice(read(begin), rows):
            number += 1
            place = position.end
            # Where a block begins within a row of several lines, what is left of that row is not wrong by itself.
            if begin == start or row.fields is not None:
                yield row, position
        if number < rows:
            return
        place, rows = pass_over(place, PASSED_OVER * (place - begin) * BLOCK_ROWS // rows), BLOCK_ROWS
