"""Traces of a person in the files of the state folder: logs, reports, mails, and copies of raw reviews.

Overwritten in place, byte for byte, so that a running service goes on writing into the log that it has open. In a file
of reviews their line becomes blank (readers skip it, and every later line keeps its position); a compressed file is
written again and replaced; a mail that names them only in an encoded part is deleted.

What cannot be read counts as naming them: of a compressed file that is damaged only what comes before the damage stays,
a mail that cannot be parsed is deleted, and so is a temporary file that a kill has left. What this process may not open
is returned as `refused`.

It does not change the database's files, sealed models, and snapshots (`privacy.snapshot_rewriting` does). It searches
only for the given terms, and not for an id of a few characters in running text. Safe to run again.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Final

from restar_lib.atomic_files import atomic_write, name_of_temporary

SHORTEST = 6
"""Characters; a shorter id would be found in numbers and words that have nothing to do with the person."""
TEXT_CHARS = 60
"""The beginning of a text, so long, identifies it."""
NOT_SEARCHED = frozenset({"postgres", "models", "snapshots"})
REVIEW_FILES = frozenset({".jsonl", ".ndjson"})
HELD_BY_KILLED: Final = REVIEW_FILES | {".gz", ".eml"}
"""A temporary file that was to become one of these is deleted unread."""
DAMAGED: Final = (EOFError, zlib.error, gzip.BadGzipFile)
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
    """A file that names the person, and how often; one that is damaged counts as one that does."""

    path: Path
    hits: int


@dataclass(frozen=True, kw_only=True)
class FoundTraces:
    """What a search found."""

    files: tuple[TraceFile, ...]
    refused: tuple[Path, ...]
    """Files and folders that this process may not read."""


def search_terms(*, ids: Collection[str], texts: Collection[str], wrote: Callable[[bytes], bool]) -> SearchTerms:
    """What to look for, from ids and texts."""
    beginnings = (text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS].rpartition(" ")[0] for text in texts)
    wanted = sorted({one for one in (*ids, *beginnings) if len(one) >= SHORTEST}, key=len, reverse=True)
    any_of = b"|".join(re.escape(word.encode()) for word in wanted)
    return SearchTerms(phrases=re.compile(rb"(?<!\w)(?:" + any_of + rb")(?!\w)") if wanted else None, wrote=wrote)


def find(home: Path, wanted: SearchTerms) -> FoundTraces:
    """The files below `home` that hold one of the search terms, or may."""
    refused: list[Path] = []
    found = []
    for path in _files(home, refused):
        try:
            hits = _count(path, wanted)
        except FileNotFoundError:
            continue
        except OSError:
            refused.append(path)
            continue
        if hits:
            found.append(TraceFile(path=path, hits=hits))
    return FoundTraces(files=tuple(found), refused=tuple(refused))


def erase(traces: Collection[TraceFile], wanted: SearchTerms) -> list[Path]:
    """Erase the search terms in these files; returns those in which that was not possible."""
    left = []
    for trace in traces:
        try:
            _erase(trace.path, wanted)
        except FileNotFoundError:
            continue
        except OSError:
            left.append(trace.path)
    return left


def _erase(path: Path, wanted: SearchTerms) -> None:
    if _is_left_by_kill(path):
        path.unlink()
    elif _is_gzip(path):
        _repack(path, wanted)
    else:
        _overwrite(path, wanted)
        if _is_in_encoded_part(path, wanted):
            path.unlink()


def _files(home: Path, refused: list[Path]) -> Iterator[Path]:
    """Plain files; folders that cannot be listed are added to `refused`."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            refused.append(Path(error.filename))

    for folder, folders, names in os.walk(home, onerror=refuse):
        folders[:] = sorted(name for name in folders if Path(folder) != home or name not in NOT_SEARCHED)
        for path in (Path(folder, name) for name in sorted(names)):
            if _is_plain(path, refused):
                yield path


def _is_plain(path: Path, refused: list[Path]) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False
    except OSError:
        refused.append(path)
        return False


def _is_left_by_kill(path: Path) -> bool:
    name = name_of_temporary(path)
    return name is not None and bool(HELD_BY_KILLED & set(Path(name).suffixes))


def _count(path: Path, wanted: SearchTerms) -> int:
    """How often a file names them; 1 where it may: it is damaged, or a kill has left it."""
    if _is_left_by_kill(path):
        return 1
    try:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as lines:
            hits = sum(len(_spans(line, path, wanted)) for line in lines)
    except DAMAGED:
        return 1
    return hits or int(_is_in_encoded_part(path, wanted))


def _is_in_encoded_part(path: Path, wanted: SearchTerms) -> bool:
    """Whether an encoded part of a mail holds a search term: that cannot be overwritten in place."""
    if path.suffix != ".eml" or wanted.phrases is None:
        return False
    content = path.read_bytes()
    try:
        return bool(wanted.phrases.search(_decoded(content)))
    except Exception:  # noqa: BLE001 - the parser has no base class for what a broken mail makes it raise
        return True


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
        for line in _before_damage(lines):
            content = bytearray(line)
            for begin, end in _spans(line, path, wanted):
                content[begin:end] = _blank(path, end - begin)
            packed.write(content)


def _before_damage(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The whole lines before the place from which a file cannot be read."""
    try:
        yield from lines
    except DAMAGED:
        return


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _decoded(mail: bytes) -> bytes:
    """The decoded texts of a mail."""
    parts = message_from_bytes(mail, policy=policy.default).walk()
    texts = [part.get_payload(decode=True) for part in parts if part.get_content_maintype() == "text"]
    return b"\n".join(text for text in texts if isinstance(text, bytes))
