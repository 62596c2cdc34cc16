"""Lines out of the content of a file, from any byte on, in constant memory.

Knows bytes and nothing of JSON, CSV, cursors or reviews. A line that is longer than the memory allows and a file that
ends in the middle of a line are reported, not hidden. Used by the readers of JSON Lines, JSON and CSV, and by the hub.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from restar_lib.ingest.readers.compression import DAMAGED, Content

MAX_LINE_BYTES = 2 << 20
"""Reviews have some hundred bytes, columns beside them may hold pictures; one line must not fill the memory."""
KEPT_OF_LONG_LINES = 2_000
TAIL_BYTES = 256
"""The cursor stores a checksum of so many bytes before its offset, to recognise the file."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
TOO_LONG = f"longer than {MAX_LINE_BYTES:,} bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line that is not blank, without its end."""

    content: bytes
    """Of a line that is too long: its beginning, and a note of its length and hash."""
    too_long: bool
    begin: int
    end: int
    """Bytes of content up to the end of this line, its newline included."""
    terminated: bool
    """False where the file ends without a newline: there may be more of this line later."""
    last: bool
    tail: bytes
    """The last bytes before `end`, as they are in the file."""


def read_lines(content: Content) -> Iterator[Line]:
    """The lines from the current position of `content` to its end, blank ones left out."""
    for line in raw_lines(content):
        stripped = line.kept.removeprefix(BYTE_ORDER_MARK if line.begin == 0 else b"").strip(BLANK)
        if stripped:
            yield Line(
                content=stripped,
                too_long=line.too_long,
                begin=line.begin,
                end=line.end,
                terminated=line.terminated,
                last=at_end(content),
                tail=line.tail,
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RawLine:
    """One line with its end, blank or not."""

    kept: bytes
    begin: int
    end: int
    terminated: bool
    too_long: bool
    tail: bytes


def raw_lines(content: Content) -> Iterator[RawLine]:
    """The lines from the current position of `content` to its end, as they are."""
    begin = content.tell()
    while raw := content.readline(MAX_LINE_BYTES + 1):
        if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            line = _long_line(content, raw, begin=begin)
        else:
            line = RawLine(
                kept=raw,
                begin=begin,
                end=begin + len(raw),
                terminated=raw.endswith(b"\n"),
                too_long=False,
                tail=raw[-TAIL_BYTES:],
            )
        yield line
        begin = line.end


def _long_line(content: Content, beginning: bytes, *, begin: int) -> RawLine:
    """Read a long line to its end without holding it; the note makes different long lines different rows."""
    note, piece = TooLongNote(beginning), beginning
    while not piece.endswith(b"\n") and (piece := content.readline(MAX_LINE_BYTES)):
        note.add(piece)
    return RawLine(
        kept=note.text(),
        begin=begin,
        end=begin + note.length,
        terminated=note.tail.endswith(b"\n"),
        too_long=True,
        tail=note.tail,
    )


class TooLongNote:
    """What the quarantine gets of a row that is too long: its beginning, its length and its hash."""

    def __init__(self, beginning: bytes) -> None:
        self._kept, self.length, self.tail = beginning[:KEPT_OF_LONG_LINES], 0, b""
        self._digest = hashlib.sha256()
        self.add(beginning)

    def add(self, piece: bytes) -> None:
        """Take in what follows."""
        self._digest.update(piece)
        self.length += len(piece)
        self.tail = (self.tail + piece)[-TAIL_BYTES:]

    def text(self) -> bytes:
        """The beginning and the note."""
        return self._kept + f" ... ({self.length:,} bytes, sha256 {self._digest.hexdigest()})".encode()


def at_end(content: Content) -> bool:
    """Whether nothing follows the current position."""
    # Where the file is damaged right behind this position, what was read still counts; the next read raises.
    with suppress(*DAMAGED):
        return not content.peek(1)
    return False
