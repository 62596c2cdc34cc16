"""Traces of a person in the files of the state folder: logs, reports, mails, and copies of raw reviews.

Overwritten in place, byte for byte, so that a running service goes on writing into the log that it has open. In a file
of reviews their line becomes blank (readers skip it, and every later line keeps its position); a compressed file is
written again and replaced; a mail that names them only in an encoded part is deleted.

It does not change the database's files, sealed models, and snapshots (`privacy.snapshot_rewriting` does). It searches
only for the given terms, and not for an id of a few characters in running text. Safe to run again.
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
"""Characters; a shorter id would be found in numbers and words that have nothing to do with the person."""
TEXT_CHARS = 60
"""The beginning of a text, so long, identifies it."""
NOT_SEARCHED = frozenset({"postgres", "models", "snapshots"})
REVIEW_FILES = frozenset({".jsonl", ".ndjson"})
Spans = list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class SearchTerms:
    """What is looked for."""

    phrases: re.Pattern[bytes] | None
    """In running text: ids and beginnings of texts, as whole words."""
    wrote: Callable[[bytes], bool]
    """In files of reviews: whether a line is theirs."""


@dataclass(frozen=True, kw_only=True)
class TraceFile:
    """A file that names the person, and how often."""

    path: Path
    hits: int


def search_terms(*, ids: Collection[str], texts: Collection[str], wrote: Callable[[bytes], bool]) -> SearchTerms:
    """What to look for, from ids and texts."""
    beginnings = (text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS].rpartition(" ")[0] for text in texts)
    wanted = sorted({one for one in (*ids, *beginnings) if len(one) >= SHORTEST}, key=len, reverse=True)
    any_of = b"|".join(re.escape(word.encode()) for word in wanted)
    return SearchTerms(phrases=re.compile(rb"(?<!\w)(?:" + any_of + rb")(?!\w)") if wanted else None, wrote=wrote)


def find(home: Path, wanted: SearchTerms) -> list[TraceFile]:
    """The files below `home` that hold one of the search terms."""
    counted = ((path, _count(path, wanted)) for path in _files(home))
    return [TraceFile(path=path, hits=hits) for path, hits in counted if hits]


def erase(traces: Collection[TraceFile], wanted: SearchTerms) -> None:
    """Erase the search terms in these files; one that was deleted meanwhile is left out."""
    for trace in traces:
        with suppress(FileNotFoundError):
            _erase(trace.path, wanted)


def _erase(path: Path, wanted: SearchTerms) -> None:
    if _is_gzip(path):
        _repack(path, wanted)
    else:
        _overwrite(path, wanted)
        if _is_in_encoded_part(path, wanted):
            path.unlink()


def _files(home: Path) -> Iterator[Path]:
    for entry in sorted(home.iterdir()) if home.exists() else ():
        if entry.name not in NOT_SEARCHED:
            found = sorted(entry.rglob("*")) if entry.is_dir() and not entry.is_symlink() else [entry]
            yield from (path for path in found if path.is_file() and not path.is_symlink())


def _count(path: Path, wanted: SearchTerms) -> int:
    with gzip.open(path) if _is_gzip(path) else path.open("rb") as lines:
        hits = sum(len(_spans(line, path, wanted)) for line in lines)
    return hits or int(_is_in_encoded_part(path, wanted))


def _is_in_encoded_part(path: Path, wanted: SearchTerms) -> bool:
    """Whether an encoded part of a mail holds a search term: that cannot be overwritten in place."""
    return path.suffix == ".eml" and wanted.phrases is not None and bool(wanted.phrases.search(_decoded(path)))


def _spans(line: bytes, path: Path, wanted: SearchTerms) -> Spans:
    """The spans of a line to overwrite."""
    if REVIEW_FILES & set(path.suffixes):
        return [(0, len(line.rstrip(b"\r\n")))] if wanted.wrote(line) else []
    return [match.span() for match in wanted.phrases.finditer(line)] if wanted.phrases else []


def _blank(path: Path, length: int) -> bytes:
    return (b" " if REVIEW_FILES & set(path.suffixes) else b"x") * length


def _overwrite(path: Path, wanted: SearchTerms) -> int:
    """Overwrite the hits in place; returns how many there were."""
    hits, offset = 0, 0
    with path.open("rb") as lines, path.open("r+b", buffering=0) as file:
        for line in lines:
            for begin, end in _spans(line, path, wanted):
                os.pwrite(file.fileno(), _blank(path, end - begin), offset + begin)
                hits += 1
            offset += len(line)
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
    """The decoded texts of a mail."""
    parts = message_from_bytes(path.read_bytes(), policy=policy.default).walk()
    texts = [part.get_payload(decode=True) for part in parts if part.get_content_maintype() == "text"]
    return b"\n".join(text for text in texts if isinstance(text, bytes))
