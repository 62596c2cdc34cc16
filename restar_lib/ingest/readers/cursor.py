"""How far one file is read: what the cursor keeps of it, and where reading goes on.

A file is known again by its beginning and by the bytes right before the place that was reached. So a file that grew is
read on; one that was replaced, shortened, or changed in either place is read from its start, where reviews that are
known already are recognised by their ids. A change of equal length in the middle of what was read goes unnoticed:
noticing it would mean reading everything again each time. It opens nothing and knows no forms.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from restar_lib.ingest.readers.compression import Content
from restar_lib.ingest.readers.lines import BLANK
from restar_lib.ingest.readers.storage import StoredFile

log = logging.getLogger(__name__)

HEAD_BYTES = 4096
"""How much of the beginning tells one file from another under the same name."""

State = dict[str, Any]
"""What the cursor keeps of one file: offset, head, head_bytes, tail, tail_bytes, unterminated_from, cut, complete."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRow:
    """One row of a file, whatever its form."""

    raw: bytes
    fields: Mapping[str, Any] | None
    problem: str
    end: int
    """Bytes of content (Parquet: rows) up to the end of this row."""
    reread_from: int | None
    """Where the file ends in the middle of this row: the place from which to read when there is more of it."""
    last: bool
    tail: bytes
    """The last bytes before `end`; b"" in forms that cannot grow, where `end` counts no bytes."""
    is_cut: bool = False
    """Whether anything that follows, a newline too, belongs to the row to be read again."""


class FirstBytes:
    """The first bytes of a file, as the cursor keeps them: nearly always the same for all its rows."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._whole = self._kept(head)

    def up_to(self, row: FoundRow) -> State:
        """Of the beginning what was read: behind that an array's bracket may still move."""
        return self._kept(self._head[: row.end]) if row.tail and row.end < len(self._head) else self._whole

    def _kept(self, head: bytes) -> State:
        return {"head": digest(head), "head_bytes": len(head)}


def bookmark(row: FoundRow, *, file: StoredFile, beginning: FirstBytes) -> State:
    """What to remember behind `row` of a file with this beginning."""
    return {
        **beginning.up_to(row),
        "offset": row.end,
        "tail": zlib.crc32(row.tail),
        "tail_bytes": len(row.tail),
        "unterminated_from": row.reread_from,
        "cut": row.is_cut,
        "complete": file.signature if row.last else None,
    }


def is_read(file: StoredFile, known: State | None) -> bool:
    """Whether `file` was read to its end and is as it was then."""
    return known is not None and known["complete"] == file.signature


def place_to_go_on(file: StoredFile, content: Content, known: State | None, head: bytes) -> int:
    """0 in a new or changed file, else behind what is read, or at a row that was half there."""
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
    """A file's beginning as the cursor keeps it."""
    return hashlib.sha256(head).hexdigest()[:16]


def _ends_as_known(content: Content, known: State) -> bool:
    """Whether the bytes before the place that was reached are the ones that were read. Leaves `content` there."""
    length = known.get("tail_bytes", 1)  # cursors of an older version know only that there was a byte
    content.seek(known["offset"] - length)
    tail = content.read(length)
    return len(tail) == length and ("tail" not in known or zlib.crc32(tail) == known["tail"])
