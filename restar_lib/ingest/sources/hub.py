"""Reviews from a data set on the hub, category by category in turn: Amazon Reviews 2023 unless configured otherwise.

Its files are JSON Lines, one file a category; they are read by path and byte, line by line, and parsed here. Categories
take turns in rounds: each round takes one row of every category that has rows left, in an order that a keyed hash of
the round's number decides. So a small category is as common as a big one, and the same cursor leads to the same rows.

The cursor holds the commit that the revision named at the first reading, the position in the round, and the byte
behind the last row of each category. A branch that moves on changes nothing: another commit is another source, under
another name. It reads no compressed file and runs no script of a data set.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import Cursor, FieldMapping, FileStates, RawRow, no_file_is_read, parse_line
from restar_lib.ingest.readers.lines import MAX_LINE_BYTES, Line, read_lines
from restar_lib.ingest.sources.base import check_kind
from restar_lib.ingest.sources.hub_files import HubFiles
from restar_lib.settings import HubSettings

log = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """The configured categories of a data set, as a source."""

    name: str
    config: HubSettings
    mapping: FieldMapping
    files: HubFiles
    kind: str = "hub"
    names_categories: bool = True
    """Whether a row without a category gets that of its file."""

    def rows(self, cursor: Cursor | None, _files: FileStates = no_file_is_read, /) -> Iterator[RawRow]:
        """All rows after `cursor`. Raises `SourceError` where the hub does not answer, or not with this data set."""
        check_kind(self, cursor)
        start = self._start(cursor)
        lines = {category: self._lines(category, start) for category in self.categories if category not in start.ended}
        offsets, ended = dict(start.offsets), start.ended
        for number in count(start.round):
            order = turns(self.categories, number, key=self.config.order_key)
            for place in range(start.place if number == start.round else 0, len(order)):
                category = order[place]
                line = next(lines[category], None) if category in lines else None
                if line is None:
                    lines.pop(category, None)
                    continue
                # New ones each time: the cursors of earlier rows hold the old ones.
                offsets = offsets | {category: line.end}
                ended = ended | {category} if line.last else ended
                yield self._row(category, line, _Start(start.commit, number, place + 1, offsets, ended))
            if not lines:
                return

    @property
    def categories(self) -> tuple[str, ...]:
        """Each once, in the order of their names: the order in the configuration means nothing."""
        return tuple(sorted(set(self.config.categories)))

    def pinned(self, cursor: Cursor | None) -> str:
        """The commit that is read: the cursor's, else what the configured revision means now. Raises `SourceError`."""
        wanted = self.config.revision
        if cursor is None:
            return wanted if COMMIT.fullmatch(wanted) else self.files.commit(wanted)
        commit: str = cursor["revision"]
        if cursor["dataset"] != self.config.dataset or (COMMIT.fullmatch(wanted) and wanted != commit):
            raise SourceError(
                f"source {self.name!r} was read from {cursor['dataset']} at {commit[:12]} so far, and is "
                f"{self.config.dataset} at {wanted[:12]} now: give the new one another source.name"
            )
        return commit

    def _start(self, cursor: Cursor | None) -> _Start:
        commit = self.pinned(cursor)
        offsets: dict[str, int] = cursor["offsets"] if cursor else {}
        new = [category for category in self.categories if category not in offsets]
        self.files.refuse_missing({category: self._path(category) for category in new}, commit=commit)
        if cursor is None:
            return _Start(commit, 0, 0, dict.fromkeys(new, 0), frozenset())
        # With other categories the order within the round is another one: a new round begins.
        same = cursor["turns"] == len(self.categories) and not new
        number, place = (cursor["round"], cursor["place"]) if same else (cursor["round"] + 1, 0)
        return _Start(commit, number, place, offsets | dict.fromkeys(new, 0), frozenset(cursor["ended"]))

    def _lines(self, category: str, start: _Start) -> Iterator[Line]:
        path = self._path(category)
        with self.files.open(path, commit=start.commit, begin=start.offsets[category]) as content:
            yield from read_lines(content)

    def _path(self, category: str) -> str:
        return self.config.path.replace("{category}", category)

    def _row(self, category: str, line: Line, reached: _Start) -> RawRow:
        cursor = {
            "kind": self.kind,
            "dataset": self.config.dataset,
            "turns": len(self.categories),
            **reached.as_cursor(),
        }
        if line.too_long:
            problem = f"longer than {MAX_LINE_BYTES:,} bytes"
            return RawRow(raw=line.content, fields=None, problem=problem, cursor_after=cursor)
        fields, problem = parse_line(line.content, self.mapping)
        if fields is not None and self.names_categories:
            fields = {"product_category": category} | fields  # the rows do not say it, their file does
        return RawRow(raw=line.content, fields=fields, problem=problem, cursor_after=cursor)


@dataclass(frozen=True)
class _Start:
    """How far a data set is read."""

    commit: str
    round: int
    place: int
    """How many turns of the round are over."""
    offsets: Mapping[str, int]
    ended: frozenset[str]
    """Categories that are read to their end: at a pinned commit nothing is added."""

    def as_cursor(self) -> Cursor:
        """What the cursor says beside the kind and the data set."""
        return {
            "revision": self.commit,
            "round": self.round,
            "place": self.place,
            "offsets": self.offsets,
            "ended": sorted(self.ended),
        }


def turns(categories: Sequence[str], number: int, *, key: str) -> list[str]:
    """The order of the categories in round `number`: by a keyed hash, the same for ever."""
    return sorted(categories, key=lambda category: hashlib.blake2b(f"{key}:{number}:{category}".encode()).digest())
