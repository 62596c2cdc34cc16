"""Rows of a file without looking at all of them: the first ones, then a tenth of the rest, later less, to its end.

A file that is sorted by rating or by time shows all of its kinds so. What is passed over is not parsed, of a plain file
not even read; where the rows cannot be passed over they are read, and most of them not looked at. It judges nothing.
Called by `ingest.file_rows`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from restar_lib.ingest.raw_rows import RawRow
from restar_lib.ingest.readers.compression import Content
from restar_lib.ingest.readers.cursor import FilePosition
from restar_lib.ingest.readers.lines import MAX_LINE_BYTES

FIRST_ROWS: Final = 2_000
BLOCK_ROWS: Final = 20
PASSED_OVER: Final = 9
"""So many times as much as a block holds; twice as much after each `MORE_AFTER` rows."""
MORE_AFTER: Final = 20_000

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


def spread_rows(read: Callable[[int], Rows], start: int, pass_over: PassOver) -> Rows:
    """The first rows from `start` on, then blocks of those behind."""
    place, rows, looked_at = start, FIRST_ROWS, 0
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
        looked_at += number
        distance = _passed_over(looked_at) * (place - begin) * BLOCK_ROWS // rows
        place, rows = pass_over(place, distance), BLOCK_ROWS


def some_rows(rows: Rows) -> Rows:
    """The same of rows that cannot be passed over."""
    yield from islice(rows, FIRST_ROWS)
    looked_at = FIRST_ROWS
    while block := list(islice(rows, BLOCK_ROWS)):
        yield from block
        looked_at += len(block)
        deque(islice(rows, _passed_over(looked_at) * BLOCK_ROWS), maxlen=0)


def _passed_over(looked_at: int) -> int:
    return PASSED_OVER << (looked_at // MORE_AFTER)
