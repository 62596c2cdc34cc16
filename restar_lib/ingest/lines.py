"""Lines out of plain or gzip files, from any byte of their content on, in constant memory.

Knows bytes and nothing of JSON, cursors or reviews (`ingest.files`). A line that is longer than the memory allows
and a file that ends in the middle of a line are reported, not hidden; a damaged file is a `SourceError` that names it.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from restar_lib.errors import SourceError

MAX_LINE_BYTES = 1 << 20
"""Reviews have some hundred bytes; one line must not fill the memory."""
KEPT_OF_LONG_LINES = 2_000
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)

Content = BufferedReader | gzip.GzipFile


@dataclass(frozen=True, kw_only=True)
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


@contextmanager
def open_content(file: Path) -> Iterator[Content]:
    """The content of `file`, uncompressed where it is gzip, whatever its name says."""
    try:
        with file.open("rb") as raw:
            if raw.peek(2)[:2] != GZIP_MAGIC:
                yield raw
            else:
                with gzip.GzipFile(fileobj=raw) as content:
                    yield content
    except DAMAGED as error:
        raise SourceError(
            f"{file}: the compressed file is damaged ({error}); what came before that is read and kept. "
            "Put the whole file in its place, or move it away, and run again"
        ) from error
    except OSError as error:
        raise SourceError(
            f"{file}: {error.strerror or error}; make it readable, or move it away, and run again"
        ) from error


def read_lines(content: Content) -> Iterator[Line]:
    """The lines from the current position of `content` to its end."""
    begin = content.tell()
    while raw := content.readline(MAX_LINE_BYTES + 1):
        too_long = len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n")
        rest = _Rest.of(content, raw) if too_long else _Rest(kept=raw, length=len(raw), terminated=raw.endswith(b"\n"))
        end = begin + rest.length
        stripped = rest.kept.removeprefix(BYTE_ORDER_MARK if begin == 0 else b"").strip(BLANK)
        if stripped:
            yield Line(
                content=stripped,
                too_long=too_long,
                begin=begin,
                end=end,
                terminated=rest.terminated,
                last=_at_end(content),
            )
        begin = end


@dataclass(frozen=True, kw_only=True)
class _Rest:
    """What is kept of a line, and how long it really was."""

    kept: bytes
    length: int
    terminated: bool

    @classmethod
    def of(cls, content: Content, beginning: bytes) -> _Rest:
        """Read a long line to its end without keeping it; the note makes different long lines different rows."""
        digest, length, piece = hashlib.sha256(beginning), len(beginning), beginning
        while not piece.endswith(b"\n") and (piece := content.readline(MAX_LINE_BYTES)):
            digest.update(piece)
            length += len(piece)
        note = f" ... ({length:,} bytes, sha256 {digest.hexdigest()})"
        return cls(kept=beginning[:KEPT_OF_LONG_LINES] + note.encode(), length=length, terminated=piece.endswith(b"\n"))


def _at_end(content: Content) -> bool:
    # Where the file is damaged right behind this line, the line still counts; reading on will say what is wrong.
    with suppress(*DAMAGED):
        return not content.peek(1)
    return False
