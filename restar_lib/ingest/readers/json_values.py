"""JSON values out of a file that is one array, one object, or objects one after the other, in constant memory.

Finds where each value begins and ends by its brackets and quotes, without parsing it, so a broken value is one row with
a problem and the next one is read. A string that is broken by a newline ends its value there. What may stand between
values (commas, blanks, the array's closing bracket) is skipped: an array that grows is read on behind its last value.
It does not look into wrapper objects such as `{"reviews": [...]}`: that is one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from restar_lib.ingest.readers.compression import DAMAGED, Content
from restar_lib.ingest.readers.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES, TAIL_BYTES, Line, TooLongNote

PIECE_BYTES = 64 << 10
_BEFORE_FIRST = re.compile(rb"[\s]*\[?")
_BETWEEN = re.compile(rb"[\s,\]]*")
_OUTSIDE = re.compile(rb'["{}\[\],\n]')
_WITHIN = re.compile(rb'"[^"\\\n]*"|["{}\[\]]')
"""Within brackets no comma ends anything; a string without a backslash is passed over at once."""
_QUOTED = re.compile(rb'\\.|["\n]')


def read_values(content: Content) -> Iterator[Line]:
    """The values from the current position of `content` to its end, each as if it were a line."""
    scanner = _Scanner(content)
    there = scanner.is_there()
    while there:
        begin, (value, note, terminated) = scanner.position, scanner.take()
        end = scanner.position
        with suppress(*DAMAGED):  # what was read still counts; reading on says what is wrong
            there = scanner.is_there()
        yield Line(
            content=note.text() if note else value.rstrip(),
            too_long=note is not None,
            begin=begin,
            end=end,
            terminated=terminated,
            last=not there,
            tail=note.tail if note else value[-TAIL_BYTES:],
        )


class _Scanner:
    """A window on the content: `position` is where it is; a value is taken whole."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._base, self._buffer, self._at = content.tell(), b"", 0
        if self._base == 0:
            self._more()
            self._at = len(BYTE_ORDER_MARK) if self._buffer.startswith(BYTE_ORDER_MARK) else 0
            self._skip(_BEFORE_FIRST)

    @property
    def position(self) -> int:
        """Bytes of content before the next value."""
        return self._base + self._at

    def is_there(self) -> bool:
        """Go to the next value; False where there is none."""
        while self._skip(_BETWEEN) == len(self._buffer):
            if not self._more():
                return False
        return True

    def take(self) -> tuple[bytes, TooLongNote | None, bool]:
        """The value that begins here (a note of it where it is too long), and whether its end is there."""
        nesting, scanned, note = _Nesting(), self._at, None
        while True:
            found = nesting.pattern.search(self._buffer, scanned)
            if found is not None:
                scanned = found.end()
                if (end := nesting.end_at(found)) is not None:
                    return self._cut(end, note, terminated=True)
                continue
            # A backslash at the very end belongs to the byte that follows.
            scanned = len(self._buffer) - (nesting.quoted and self._buffer.endswith(b"\\"))
            if note is not None or scanned - self._at > MAX_LINE_BYTES:
                note = self._give_up(note, scanned)
            scanned -= self._at
            if not self._more():
                return self._cut(len(self._buffer), note, terminated=False)

    def _cut(self, end: int, note: TooLongNote | None, *, terminated: bool) -> tuple[bytes, TooLongNote | None, bool]:
        value, self._at = self._buffer[self._at : end], end
        if note is not None:
            note.add(value)
        elif len(value) > MAX_LINE_BYTES:
            note = TooLongNote(value)
        return value, note, terminated

    def _give_up(self, note: TooLongNote | None, scanned: int) -> TooLongNote:
        """Take what is scanned of a value that is too long out of the memory."""
        piece, self._at = self._buffer[self._at : scanned], scanned
        if note is None:
            return TooLongNote(piece)
        note.add(piece)
        return note

    def _skip(self, pattern: re.Pattern[bytes]) -> int:
        if found := pattern.match(self._buffer, self._at):
            self._at = found.end()
        return self._at

    def _more(self) -> bool:
        """Forget what is behind, take in the next piece; False at the end. The value begins at 0 then."""
        piece = self._content.read(PIECE_BYTES)
        self._base, self._buffer, self._at = self._base + self._at, self._buffer[self._at :] + piece, 0
        return bool(piece)


class _Nesting:
    """How deep inside brackets and quotes the scanner is."""

    def __init__(self) -> None:
        self._depth, self.quoted = 0, False

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """What to look for next."""
        if self.quoted:
            return _QUOTED
        return _WITHIN if self._depth else _OUTSIDE

    def end_at(self, found: re.Match[bytes]) -> int | None:
        """Where the value ends, if this sign ends it: behind its last bracket, or before what separates it."""
        sign = found.group()
        if self.quoted:
            self.quoted = sign not in {b'"', b"\n"}
            return found.end() if sign == b"\n" else None
        if self._depth == 0 and sign in b",\n]":
            return found.start()
        self.quoted = sign == b'"'
        self._depth += (sign in b"{[") - (sign in b"}]")
        return found.end() if sign in b"}]" and self._depth <= 0 else None
