"""Traces of a person in the files of the state folder: logs, reports, mails, and copies of raw reviews.

Written over in place, byte for byte, so that a running service goes on writing into the log that it has open. In a file
of reviews their line becomes blank (readers skip it, and every later line keeps its place); a compressed file is packed
anew and takes the old one's name; a mail that names them only in an encoded part is deleted.

Leaves alone the database's files, sealed models, and snapshots (`privacy.snapshot_rewriting`). It does not guess: it looks for
what it is given, and an id of a few characters is not looked for in running text. Safe to run again.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

from restar_lib.atomic_files import atomic_write

SHORTEST = 6
"""A shorter id would be found in numbers and words that have nothing to do with the person."""
TEXT_CHARS = 60
"""So much of the beginning of a text tells it from all others."""
NOT_OURS_TO_CHANGE = frozenset({"postgres", "models", "snapshots"})
REVIEW_FILES = frozenset({".jsonl", ".ndjson"})
Spans = list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class SearchTerms:
    """What is looked for."""

    words: re.Pattern[bytes] | None
    """In running text: ids and beginnings of texts, as whole words."""
    wrote: Callable[[bytes], bool]
    """In files of reviews: whether a line is theirs."""


@dataclass(frozen=True, kw_only=True)
class TraceFile:
    """A file that names the person, and how often."""

    path: Path
    hits: int


def needles(*, ids: Collection[str], texts: Collection[str], wrote: Callable[[bytes], bool]) -> SearchTerms:
    """What to look for, from ids and texts."""
    beginnings = (text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS].rpartition(" ")[0] for text in texts)
    wanted = sorted({one for one in (*ids, *beginnings) if len(one) >= SHORTEST}, key=len, reverse=True)
    any_of = b"|".join(re.escape(word.encode()) for word in wanted)
    return SearchTerms(words=re.compile(rb"(?<!\w)(?:" + any_of + rb")(?!\w)") if wanted else None, wrote=wrote)


def find(home: Path, wanted: SearchTerms) -> list[TraceFile]:
    """The files below `home` that hold one of the needles."""
    counted = ((path, _count(path, wanted)) for path in _files(home))
    return [TraceFile(path=path, hits=hits) for path, hits in counted if hits]


def erase(traces: Collection[TraceFile], wanted: SearchTerms) -> None:
    """Take the needles out of these files; one that was deleted since it was found holds none."""
    for trace in traces:
        with suppress(FileNotFoundError):
            _erase(trace.path, wanted)


def _erase(path: Path, wanted: SearchTerms) -> None:
    if _is_gzip(path):
        _repack(path, wanted)
    else:
        _write_over(path, wanted)
        if _stands_encoded(path, wanted):
            path.unlink()


def _files(home: Path) -> Iterator[Path]:
    for entry in sorted(home.iterdir()) if home.exists() else ():
        if entry.name not in NOT_OURS_TO_CHANGE:
            found = sorted(entry.rglob("*")) if entry.is_dir() and not entry.is_symlink() else [entry]
            yield from (path for path in found if path.is_file() and not path.is_symlink())


def _count(path: Path, wanted: SearchTerms) -> int:
    with gzip.open(path) if _is_gzip(path) else path.open("rb") as lines:
        hits = sum(len(_spans(line, path, wanted)) for line in lines)
    return hits or int(_stands_encoded(path, wanted))


def _stands_encoded(path: Path, wanted: SearchTerms) -> bool:
    """Whether a needle stands in a part of a mail that only decoding shows: that cannot be written over in place."""
    return path.suffix == ".eml" and wanted.words is not None and bool(wanted.words.search(_decoded(path)))


def _spans(line: bytes, path: Path, wanted: SearchTerms) -> Spans:
    """What to blank of a line."""
    if REVIEW_FILES & set(path.suffixes):
        return [(0, len(line.rstrip(b"\r\n")))] if wanted.wrote(line) else []
    return [match.span() for match in wanted.words.finditer(line)] if wanted.words else []


def _blank(path: Path, length: int) -> bytes:
    return (b" " if REVIEW_FILES & set(path.suffixes) else b"x") * length


def _write_over(path: Path, wanted: SearchTerms) -> int:
    """Write over the hits where they stand; returns how many there were."""
    hits, place = 0, 0
    with path.open("rb") as lines, path.open("r+b", buffering=0) as file:
        for line in lines:
            for begin, end in _spans(line, path, wanted):
                os.pwrite(file.fileno(), _blank(path, end - begin), place + begin)
                hits += 1
            place += len(line)
        os.fsync(file.fileno())
    return hits


def _repack(path: Path, wanted: SearchTerms) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    with (
        gzip.open(path) as lines,
        atomic_write(path, mode=mode) as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed,
    ):
        for line in lines:
            content = bytearray(line)
            for begin, end in _spans(line, path, wanted):
                content[begin:end] = _blank(path, end - begin)
            packed.write(content)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _decoded(path: Path) -> bytes:
    """The texts of a mail as its reader sees them."""
    parts = message_from_bytes(path.read_bytes(), policy=policy.default).walk()
    texts = [part.get_payload(decode=True) for part in parts if part.get_content_maintype() == "text"]
    return b"\n".join(text for text in texts if isinstance(text, bytes))
