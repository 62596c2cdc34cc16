"""How far one file is read: what the cursor stores of it, and where reading goes on.

A file is recognised by its beginning and by the bytes right before the offset that was reached. So a file that grew is
read on; one that was replaced, shortened, or changed in one of the two is read from its start, where reviews that are
known already are recognised by their ids. A change of equal length in the middle of what was read goes unnoticed:
noticing it would mean reading everything again each time. It opens nothing and knows no formats.
Called by `readers.formats`.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from restar_lib.ingest.raw_rows import FileState
from restar_lib.ingest.readers.compression import Content
from restar_lib.ingest.readers.lines import BLANK
from restar_lib.ingest.readers.storage import StoredFile

log = logging.getLogger(__name__)

HEAD_BYTES = 4096
"""This much of the beginning is compared to recognise a file under the same name."""


class FilePosition(NamedTuple):
    """The position behind one row of a file, whatever its format. A tuple: one is made for every row."""

    end: int
    """Bytes of content (Parquet: rows) up to the end of this row."""
    reread_from: int | None
    """Where the file ends in the middle of this row: read from here when there is more of it."""
    last: bool
    """Whether nothing follows in the file now."""
    tail: bytes
    """The last bytes before `end`; b"" in formats that cannot grow, where `end` counts no bytes."""
    is_cut: bool = False
    """Whether anything that follows, a newline too, belongs to the row to be read again."""


class FileHead:
    """The first bytes of a file, as the cursor stores them: nearly always the same for all its rows."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._whole = self._stored(head)

    def up_to(self, position: FilePosition) -> FileState:
        """The part of the beginning that was read: an array's bracket may still move behind it."""
        if position.tail and position.end < len(self._head):
            return self._stored(self._head[: position.end])
        return self._whole

    def _stored(self, head: bytes) -> FileState:
        return {"head": digest(head), "head_bytes": len(head)}


def state_at(
    position: FilePosition, *, file: StoredFile, head: FileHead, shape: Mapping[str, Any] | None = None
) -> FileState:
    """What the cursor stores when `file`, which begins with `head` and is read by `shape`, is read to `position`."""
    state = {
        **head.up_to(position),
        "offset": position.end,
        "tail": zlib.crc32(position.tail),
        "tail_bytes": len(position.tail),
        "unterminated_from": position.reread_from,
        "cut": position.is_cut,
        "complete": file.signature if position.last else None,
    }
    state["looked_at"] = file.signature
    if shape:
        state["shape"] = shape
    return state


def is_read(file: StoredFile, known: FileState | None) -> bool:
    """Whether `file` was read to its end and is as it was then."""
    return known is not None and known["complete"] == file.signature


def offset_to_go_on(file: StoredFile, content: Content, known: FileState | None, head: bytes) -> int:
    """Where to go on: 0 in a new or changed file, else behind what is read, or at a row that was half there."""
    if known is None:
        return 0
    if digest(head[: known["head_bytes"]]) != known["head"] or not _ends_as_known(content, known):
        log.warning("%s is not the file that was read before under this name: reading it from the start", file.address)
        return 0
    half_row: int | None = known["unterminated_from"]
    follows = content.peek(1)[:1]
    goes_on = follows if known.get("cut") else follows.strip(BLANK)
    return half_row if half_row is not None and goes_on else int(known["offset"])


def digest(head: bytes) -> str:
    """A file's beginning as the cursor stores it."""
    return hashlib.sha256(head).hexdigest()[:16]


def _ends_as_known(content: Content, known: FileState) -> bool:
    """Whether the bytes before the offset that was reached are the ones that were read. Leaves `content` there."""
    length = known.get("tail_bytes", 1)  # cursors of an older version know only that there was a byte
    content.seek(known["offset"] - length)
    tail = content.read(length)
    return len(tail) == length and ("tail" not in known or zlib.crc32(tail) == known["tail"])
