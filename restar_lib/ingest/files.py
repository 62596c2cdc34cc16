"""Reviews from JSON Lines files, plain or gzip: one file, a glob, or a folder with everything below it.

Files are read in the order of their names, line by line. The cursor remembers for each file how many bytes of its
content are read, so a killed run goes on in the middle of a file, a file that grew is read on, and a file that
appears later is read whatever its name. A file whose beginning changed is another file and is read from the start;
reviews that are known already are recognised by their ids. It reads no CSV, no Parquet and no object storage.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

from restar_lib.errors import SourceError
from restar_lib.ingest.lines import BLANK, MAX_LINE_BYTES, Content, Line, open_content, read_lines
from restar_lib.ingest.sources import Cursor, FieldMapping, RawRow, check_kind, parse_line

log = logging.getLogger(__name__)

ENDINGS = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
"""What is taken from a folder; a file or a glob may be called anything."""
WANTED = "give a file, a glob or a folder of JSON Lines, plain or .gz"
HEAD_BYTES = 4096
"""How much of the beginning tells one file from another under the same name."""

State = dict[str, Any]
"""How far one file is read: offset, head, head_bytes, unterminated_from, complete."""


@dataclass(frozen=True, kw_only=True)
class FilesSource:
    """The files at `path`, as a source."""

    name: str
    path: str
    mapping: FieldMapping
    kind: str = "files"

    def rows(self, cursor: Cursor | None) -> Iterator[RawRow]:
        """All rows after `cursor`, file by file. Raises `SourceError` where a file is missing or damaged."""
        check_kind(self, cursor)
        states: dict[str, State] = cursor["files"] | {cursor["file"]: cursor["state"]} if cursor else {}
        for name, file in find_files(self.path).items():
            reached = states.get(name)
            # Shared by the cursors of this file's rows, so it is never changed in place.
            others = {other: state for other, state in states.items() if other != name}
            for state, line in _read(file, reached):
                reached = state
                yield self._row(line, {"kind": self.kind, "files": others, "file": name, "state": state})
            states = states if reached is None else others | {name: reached}

    def _row(self, line: Line, cursor_after: Cursor) -> RawRow:
        if line.too_long:
            problem = f"longer than {MAX_LINE_BYTES:,} bytes"
            return RawRow(raw=line.content, fields=None, problem=problem, cursor_after=cursor_after)
        fields, problem = parse_line(line.content, self.mapping)
        return RawRow(raw=line.content, fields=fields, problem=problem, cursor_after=cursor_after)


def find_files(path: str) -> dict[str, Path]:
    """The files at `path` in reading order, by the names that the cursor gives them (below the folder or glob)."""
    if not path:
        raise SourceError(f"source.path is empty: {WANTED}")
    place = Path(path).expanduser()
    if place.is_file():
        return {place.name: place}
    if place.is_dir():
        return _by_name((file for file in place.rglob("*") if file.name.endswith(ENDINGS)), below=place)
    if not has_magic(path):
        raise SourceError(f"{path}: there is no such file or folder; {WANTED}")
    fixed = _fixed_part(place)
    found = _by_name(fixed.glob(str(place.relative_to(fixed))), below=fixed)
    if not found:
        raise SourceError(f"{path}: no file matches; {WANTED}")
    return found


def _by_name(files: Iterable[Path], *, below: Path) -> dict[str, Path]:
    """Visible files by their path below a folder, sorted; hidden ones are half-written or somebody else's."""
    named = {file.relative_to(below).as_posix(): file for file in files if file.is_file()}
    return {name: named[name] for name in sorted(named) if not any(part[0] == "." for part in name.split("/"))}


def _fixed_part(pattern: Path) -> Path:
    """The folders of a glob that hold no wildcard."""
    parts = pattern.parts[: next(place for place, part in enumerate(pattern.parts) if has_magic(part))]
    return Path(*parts)


def _read(file: Path, known: State | None) -> Iterator[tuple[State, Line]]:
    """The lines of `file` that are not read yet, each with how far the file is read behind it."""
    signature = _signature(file)
    if known is not None and known["complete"] == signature:
        return
    with open_content(file) as content:
        head = content.read(HEAD_BYTES)
        content.seek(_start(file, content, known, head))
        fixed = {"head": _digest(head), "head_bytes": len(head)}
        for line in read_lines(content):
            unterminated_from = None if line.terminated else line.begin
            complete = signature if line.last else None
            yield {"offset": line.end, "unterminated_from": unterminated_from, "complete": complete, **fixed}, line


def _start(file: Path, content: Content, known: State | None, head: bytes) -> int:
    """Where to read on: 0 in a new or replaced file, else behind what is read, or at a line that was half there."""
    if known is None:
        return 0
    if _digest(head[: known["head_bytes"]]) != known["head"] or not _has_byte(content, known["offset"] - 1):
        log.warning("%s is not the file that was read before under this name: reading it from the start", file)
        return 0
    half_line: int | None = known["unterminated_from"]
    goes_on = content.peek(1)[:1].strip(BLANK)
    return half_line if half_line is not None and goes_on else int(known["offset"])


def _has_byte(content: Content, position: int) -> bool:
    content.seek(position)
    return len(content.read(1)) == 1


def _digest(head: bytes) -> str:
    return hashlib.sha256(head).hexdigest()[:16]


def _signature(file: Path) -> list[int]:
    """What changes when a file is written to; a complete file is not opened again while it stays the same."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
