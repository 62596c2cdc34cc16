"""Processes that clean chunks of rows while this one reads and stores.

Chunks come out in the order in which they went in. A small run starts no process, and nobody waits for one that is
still starting. A cleaning process reads no source and knows no database; it ends with the process that started it,
however that one dies; where it dies itself, its chunk is cleaned here. They are programs of their own, not forks: a
fork inside an Airflow task inherits threads and locks, and outlives a killed parent. Called by `ingest.load`.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any, Final, Self

from restar_lib.ingest.cleaning.clean import FieldsOrProblem
from restar_lib.ingest.cleaning.copy_lines import CleanedRow, CleaningOptions, clean_rows

if TYPE_CHECKING:  # a process starts without the database's modules
    from restar_lib.ingest.chunks import Chunk

log = logging.getLogger(__name__)

ROWS_BEFORE_PROCESSES: Final = 4000
"""So many rows are cleaned here before processes are started: starting takes them half a second."""


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """A chunk that is being cleaned, and by which process; None for this one."""

    chunk: Chunk
    process: CleaningProcess | None


class CleaningPool:
    """Cleans chunks, in up to `processes` processes beside this one."""

    def __init__(
        self, options: CleaningOptions, *, processes: int, rows_before_processes: int = ROWS_BEFORE_PROCESSES
    ) -> None:
        self._options, self._processes, self._rows_before_processes = options, processes, rows_before_processes
        self.started: list[CleaningProcess] = []
        """The processes that there are now."""
        self._rows = 0

    def __enter__(self) -> Self:
        """No process is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._stop()

    def cleaned(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[CleanedRow]]]:
        """Each chunk with its cleaned rows, in order. While one is read, and the one before stored, others are cleaned.

        A process has one chunk at a time, so the two sides of a pipe never wait for each other.
        """
        waiting: deque[_Waiting] = deque()
        try:
            for chunk in chunks:
                done = None
                if waiting and len(waiting) >= len(self.started):
                    first = waiting.popleft()
                    done = first.chunk, self._finish(first)
                waiting.append(self._begin(chunk))
                if done is not None:
                    yield done
            while waiting:
                first = waiting.popleft()
                yield first.chunk, self._finish(first)
        finally:
            if waiting:  # the caller stops early: results on their way must not come out of the next call
                self._stop()

    def _begin(self, chunk: Chunk) -> _Waiting:
        self._rows += len(chunk.rows)
        if self._rows > self._rows_before_processes and not self.started and self._processes:
            self.started = [CleaningProcess(self._options) for _ in range(self._processes)]
        process = next((one for one in self.started if not one.busy and one.is_up), None)
        if process is not None:
            process.send(chunk.for_cleaning)
        return _Waiting(chunk=chunk, process=process)

    def _finish(self, waiting: _Waiting) -> list[CleanedRow]:
        try:
            if waiting.process is not None:
                return waiting.process.result()
        except (EOFError, OSError):
            log.warning("a process that cleaned rows has died (out of memory?): going on without such processes")
            self._processes = 0
            self._stop()
        return clean_rows(waiting.chunk.for_cleaning, self._options)

    def _stop(self) -> None:
        for process in self.started:
            process.stop()
        self.started = []


class CleaningProcess:
    """One process, over a pipe."""

    def __init__(self, options: CleaningOptions) -> None:
        self._connection, theirs = Pipe()
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        with suppress(OSError):  # it has died: `result` raises
            self._connection.send(options)
        self._came_up = self.busy = False

    @property
    def is_up(self) -> bool:
        """Whether it can begin at once; True of one that has died, too: `result` raises."""
        if not self._came_up and self._connection.poll():
            with suppress(EOFError, OSError):
                self._connection.recv()
            self._came_up = True
        return self._came_up

    def send(self, rows: Sequence[FieldsOrProblem]) -> None:
        """Begin with `rows`; the `result` of earlier ones must have been taken."""
        self.busy = True
        with suppress(OSError):  # it has died: `result` raises
            self._connection.send(rows)

    def result(self) -> list[CleanedRow]:
        """Wait for the cleaned rows. Raises `EOFError` or `OSError` where the process has died."""
        self.busy = False
        rows: list[CleanedRow] = self._connection.recv()
        return rows

    def stop(self) -> None:
        """End it."""
        self._connection.close()
        self.process.kill()
        self.process.wait()


def serve(connection: Connection[Any, Any]) -> None:
    """Clean what is sent until the other end is closed."""
    with suppress(EOFError, OSError):
        options: CleaningOptions = connection.recv()
        connection.send("up")
        while True:
            connection.send(clean_rows(connection.recv(), options))


if __name__ == "__main__":
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
