"""Reviews from files: a file, a glob, or a folder with everything below it, on this machine or on a storage.

What is read is in `docs/files.md`. Files are read in the order of their names. It is
stored for each file how far it is read, so a killed run goes on in the middle of a file, a file that grew is read
on, and a file that appears later is read whatever its name. With a window, only the rows that were written in it are
returned, from all files, and no cursor moves. One file that cannot be read does not stop the others: it is named when
everything else is read. Of many files, only the names are in memory, and the states of a few hundred at a time.
It cleans nothing; what the bytes of a file mean is decided in `ingest.file_rows`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from restar_lib.errors import DamagedFiles, SourceError
from restar_lib.ingest.cleaning.timestamps import parse_timestamp
from restar_lib.ingest.file_rows import read_file
from restar_lib.ingest.inspection.report import Inspection
from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.raw_rows import Cursor, FileStates, RawRow, no_file_is_read
from restar_lib.ingest.readers.storage import StoredFile, find_files
from restar_lib.ingest.sources.base import Window, check_kind

log = logging.getLogger(__name__)

SHOWN_PROBLEMS = 3
SAID_KINDS, SAID_FILES = 20, 200
"""What was understood is logged of so many kinds, among so many files."""
LOOKED_UP_TOGETHER = 500
"""Files whose states are looked up by one statement."""


@dataclass(frozen=True, kw_only=True)
class FilesSource:
    """The files at `path`, as a source."""

    name: str
    path: str
    options: FileOptions
    storage: Mapping[str, Any] = field(default_factory=dict)
    """Options of the storage behind a URL."""
    window: Window | None = None
    """Only reviews written in it (its end excluded); None: everything behind the cursor."""
    kind: str = "files"

    def rows(self, cursor: Cursor | None, files: FileStates = no_file_is_read, /) -> Iterator[RawRow]:
        """All rows after `cursor`, file by file, or all in the window.

        Raises `SourceError` where nothing is there; `DamagedFiles` after the rows of all files that can be read.
        """
        check_kind(self, cursor)
        found = find_files(self.path, storage=self.storage)
        problems = list(found.problems)
        if found.not_taken:
            log.warning("%s: not read are %s", self.path, found.not_taken)
        rows = self._in_window(found, problems) if self.window else self._after(found, cursor, files, problems)
        yield from rows
        if problems:
            more = len(problems) - SHOWN_PROBLEMS
            raise DamagedFiles(
                "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {more} more files like that" if more > 0 else "")
            )

    def _after(
        self, found: Mapping[str, StoredFile], cursor: Cursor | None, files: FileStates, problems: list[str]
    ) -> Iterator[RawRow]:
        last = {cursor["file"]: cursor["state"]} if cursor and "file" in cursor else {}
        waiting, said = iter(found), _Said()
        while names := list(islice(waiting, LOOKED_UP_TOGETHER)):
            states = {**files(names), **last}
            for name in names:
                try:
                    on_new = said.say if said.listens else None
                    for state, row in read_file(found[name], states.get(name), self.options, on_new=on_new):
                        yield row.with_cursor({"kind": self.kind, "file": name, "state": state})
                except SourceError as error:
                    problems.append(str(error))

    def _in_window(self, found: Mapping[str, StoredFile], problems: list[str]) -> Iterator[RawRow]:
        for name in found:
            try:
                for _, row in read_file(found[name], None, self.options):
                    if self._is_in_window(row):
                        yield row
            except SourceError as error:
                problems.append(str(error))

    def _is_in_window(self, row: RawRow) -> bool:
        """Also true of a row without a readable time: no window is its own, and it must not be lost silently."""
        moment = parse_timestamp((row.fields or {}).get("reviewed_at"))
        return moment is None or self.window is None or self.window[0] <= moment < self.window[1]


class _Said:
    """Logs what was understood of new files, once for each kind: a folder may hold very many."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._files = 0

    @property
    def listens(self) -> bool:
        """Whether one more file is of interest."""
        return self._files < SAID_FILES and len(self._kinds) < SAID_KINDS

    def say(self, address: str, report: Inspection) -> None:
        """Log it, if no file like this was."""
        self._files += 1
        line = report.line()
        if line not in self._kinds:
            self._kinds.add(line)
            log.info("%s: %s", address, line)
