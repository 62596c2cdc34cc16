"""Real review files, replayed by time: the oldest share is history, the rest arrives in slices, one a turn.

`make run REVIEWS=...` plans once and delivers one file a turn into `<folder>/inbox`, which is all that the `files`
source reads. Two passes over the input, in constant memory but for eight bytes a row: the first collects times, the
second copies the rows: JSON Lines byte for byte, so ingest sees what the real file holds, its broken lines included;
rows of other formats as lines of JSON. `plan.json` is written last: its existence means that the rest is complete. It
cleans nothing and looks for no duplicates; slices have the same number of rows, not of days.
"""

from __future__ import annotations

import gzip
import json
import logging
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from restar_lib.atomic_files import READABLE, flush, flush_folder, write_text
from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning.timestamps import parse_timestamp
from restar_lib.ingest.file_rows import read_file
from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.raw_rows import RawRow
from restar_lib.ingest.readers.storage import StoredFile, find_files

log = logging.getLogger(__name__)

PLAN_FILE = "plan.json"
HELD = "held"
INBOX = "inbox"
HISTORY = "history.jsonl.gz"
TIMELESS = -(2**63)
"""The time of a line that has none: before everything, so the line goes to history (and from there to quarantine)."""


@dataclass(frozen=True, kw_only=True)
class ReplayPlan:
    """What arrives when; rows are lines as they were found, good or not. Times are ISO 8601."""

    path: str
    """The file, glob or folder that was planned."""
    files: tuple[tuple[str, int], ...]
    """Its files and their sizes, to notice that other input is given for the same state."""
    history_rows: int
    slice_rows: tuple[int, ...]
    oldest_at: str
    slices_from: str
    """The oldest row that is not history."""
    newest_at: str

    @property
    def names(self) -> tuple[str, ...]:
        """The held files in the order in which they arrive, history first."""
        return tuple(_names(slices=len(self.slice_rows)))


def plan(
    path: str,
    *,
    folder: Path,
    options: FileOptions,
    history_share: float,
    slices: int,
    storage: Mapping[str, Any] | None = None,
) -> ReplayPlan:
    """Split the rows at `path` by time into files in `folder/held`; `options` and `storage` are those of `source`.

    A folder that is planned already stays as it is, whatever the share and the number of slices are now. Raises
    `SourceError` where there is nothing to plan, or where the folder holds the plan of other input.
    """
    found = find_files(path, storage=storage)
    sizes = tuple((name, file.size) for name, file in found.items())
    if is_planned(folder):
        return _existing(folder, path=path, files=sizes)
    times = _sorted_times(found.values(), options)
    cuts = _cuts(times, history_share=history_share, slices=slices, path=path)
    rows = _copy(found.values(), options, cuts=cuts, folder=folder)
    if sum(rows) != len(times):
        raise SourceError(f"{path}: the files changed while they were planned; run again when they are complete")
    made = ReplayPlan(
        path=path,
        files=sizes,
        history_rows=rows[0],
        slice_rows=tuple(rows[1:]),
        oldest_at=_iso(times[bisect_right(times, TIMELESS)]),
        slices_from=_iso(times[cuts.ranks[0]]),
        newest_at=_iso(times[-1]),
    )
    _write_plan(folder, made)
    log.info("replay of %s: %d rows of history, then %d slices of about %d", path, rows[0], len(rows) - 1, rows[-1])
    return made


def is_planned(folder: Path) -> bool:
    """Whether the rows were split already: then no other input is taken."""
    return (folder / PLAN_FILE).exists()


def next_held(folder: Path, replay: ReplayPlan) -> str | None:
    """The file to deliver next; None when everything has arrived."""
    return next((name for name in replay.names if (folder / HELD / name).exists()), None)


def deliver(folder: Path, name: str) -> bool:
    """Move one held file into the inbox, whole or not at all; False where it has arrived before."""
    held, delivered = folder / HELD / name, folder / INBOX / name
    try:
        held.replace(delivered)
    except FileNotFoundError:
        if delivered.exists():
            return False
        raise SourceError(f"{held}: there is no such slice; the plan is in {folder / PLAN_FILE}") from None
    flush_folder(delivered.parent)
    return True


class _Cuts:
    """Where the rows, ordered by time, are cut. `part` is called once for each row, in reading order."""

    def __init__(self, times: Sequence[int], ranks: Sequence[int]) -> None:
        """`ranks[0]` is the place, in the order of `times`, where the first slice begins, and so on."""
        self.ranks = tuple(ranks)
        self._times = tuple(times[rank] for rank in ranks)
        # Rows of one time may be on both sides of a cut; their reading order decides.
        self._next_rank = {time: bisect_left(times, time) for time in self._times}

    def part(self, time: int) -> int:
        """The part of the next row, which has this time: 0 is history, 1 the first slice."""
        if time not in self._next_rank:
            return bisect_right(self._times, time)
        self._next_rank[time] += 1
        return bisect_right(self.ranks, self._next_rank[time] - 1)


def _cuts(times: Sequence[int], *, history_share: float, slices: int, path: str) -> _Cuts:
    """History is that share of the rows with a time; the rest is cut evenly, and no slice is empty."""
    timeless = bisect_right(times, TIMELESS)
    timed = len(times) - timeless
    if timed < 2:
        raise SourceError(
            f"{path}: {timed} of {len(times)} lines have a readable time; "
            "does source.fields name its fields as they are spelled there?"
        )
    history = timeless + min(max(round(timed * history_share), 1), timed - 1)
    rest = len(times) - history
    parts = min(slices, rest)
    return _Cuts(times, [history + rest * part // parts for part in range(parts)])


def _sorted_times(files: Iterable[StoredFile], options: FileOptions) -> array[int]:
    times = array("q", (time for time, _ in _timed_lines(files, options)))
    np.frombuffer(times, dtype=np.int64).sort()  # in place: the array is all that grows with the input
    return times


def _timed_lines(files: Iterable[StoredFile], options: FileOptions) -> Iterator[tuple[int, bytes]]:
    """Every row as a line, with its time in milliseconds."""
    for file in files:
        for _, row in read_file(file, None, options):
            moment = parse_timestamp((row.fields or {}).get("reviewed_at"))
            yield TIMELESS if moment is None else round(moment.timestamp() * 1000), _line(row, options)


def _line(row: RawRow, options: FileOptions) -> bytes:
    """The row as one line, which is read in one way whatever the settings say of the files that it came from.

    A JSON line that says everything itself stays as it is, and so does a malformed row except for its line ends.
    """
    is_json = row.raw[:1] + row.raw[-1:] == b"{}" and b"\n" not in row.raw
    is_changed = row.is_resolved or options.encoding
    if row.fields is None or (is_json and not is_changed):
        return row.raw.replace(b"\n", b" ")
    spellings = options.mapping.spellings
    named = {spellings[name][0]: value for name, value in row.fields.items() if name in spellings}
    if row.is_resolved and isinstance(row.fields.get("rating"), int):
        named[spellings["rating"][0]] = f"{row.fields['rating']}/5"  # stars, where the settings name another scale
    return json.dumps(named).encode()


def _copy(files: Iterable[StoredFile], options: FileOptions, *, cuts: _Cuts, folder: Path) -> list[int]:
    """Write history and slices; the number of rows of each."""
    names = _names(slices=len(cuts.ranks))
    held = _emptied(folder)
    rows = [0] * len(names)
    with ExitStack() as stack:
        targets = [stack.enter_context(_written(held / name)) for name in names]
        for time, line in _timed_lines(files, options):
            part = cuts.part(time)
            targets[part].write(line + b"\n")
            rows[part] += 1
    return rows


def _names(*, slices: int) -> list[str]:
    """Names that sort in the order of time."""
    return [HISTORY, *(f"slice-{number:04d}.jsonl.gz" for number in range(1, slices + 1))]


def _emptied(folder: Path) -> Path:
    """Folders for a new plan, without what a killed one has left."""
    held = folder / HELD
    held.mkdir(parents=True, exist_ok=True)
    (folder / INBOX).mkdir(exist_ok=True)
    for left in held.glob("*.jsonl.gz"):
        left.unlink()
    return held


@contextmanager
def _written(file: Path) -> Iterator[gzip.GzipFile]:
    """A gzip file that is on disk when the block ends; the same content gives the same bytes."""
    with (
        file.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as content,
    ):
        yield content
    flush(file)


def _write_plan(folder: Path, made: ReplayPlan) -> None:
    flush_folder(folder / HELD)
    write_text(folder / PLAN_FILE, json.dumps(asdict(made), indent=2), mode=READABLE)


def _existing(folder: Path, *, path: str, files: tuple[tuple[str, int], ...]) -> ReplayPlan:
    stored = folder / PLAN_FILE
    try:
        content = json.loads(stored.read_text(encoding="utf-8"))
        known = tuple((name, size) for name, size in content["files"])
        made = ReplayPlan(**content | {"files": known, "slice_rows": tuple(content["slice_rows"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{stored}: not a plan of ours ({error}); wipe the state with `make reset`") from error
    if known != files:
        raise SourceError(
            f"the state in {folder} belongs to {made.path}, not to {path}: "
            "go on with that, or wipe the state with `make reset`"
        )
    return made


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
