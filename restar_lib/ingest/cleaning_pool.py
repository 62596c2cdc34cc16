"""Cleaning beside the storing: processes that prepare chunks of rows while this one reads and writes.

Chunks come out in the order in which they went in. A run that is small ends before a process is worth starting, so
none is, and nobody waits for one that is still coming up. A cleaner reads nothing, knows no database, ends with the
process that started it however that one dies, and where a cleaner dies itself its chunk is prepared here. They are
programs of their own instead of forks: a fork inside an Airflow task inherits threads and locks, and outlives a killed
parent.
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

from restar_lib.ingest.copy_rows import Preparation, Readable, Result, prepare

if TYPE_CHECKING:  # a cleaner starts without the database's modules
    from restar_lib.ingest.chunks import Chunk

log = logging.getLogger(__name__)

ALONE_UP_TO: Final = 4000
"""Rows that are cleaned here before other processes are started: they take half a second to come up."""


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """A chunk that is being cleaned, and by whom; None for this process."""

    chunk: Chunk
    cleaner: CleaningProcess | None


class CleaningPool:
    """Prepares chunks, in up to `processes` processes beside this one."""

    def __init__(self, recipe: Preparation, *, processes: int, alone_up_to: int = ALONE_UP_TO) -> None:
        self._recipe, self._processes, self._alone_up_to = recipe, processes, alone_up_to
        self.started: list[CleaningProcess] = []
        """The processes that there are now."""
        self._rows = 0

    def __enter__(self) -> Self:
        """No process is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._stop()

    def prepared(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[Result]]]:
        """Each chunk with what it became, in order. While one is read, and the one before stored, others are cleaned.

        A process has one chunk at a time, so neither side ever waits for the other with both hands full.
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
            if waiting:  # the caller has no use for them any more: let nobody keep an answer
                self._stop()

    def _begin(self, chunk: Chunk) -> _Waiting:
        self._rows += len(chunk.rows)
        if self._rows > self._alone_up_to and not self.started and self._processes:
            self.started = [CleaningProcess(self._recipe) for _ in range(self._processes)]
        cleaner = next((one for one in self.started if not one.busy and one.is_up), None)
        if cleaner is not None:
            cleaner.send(chunk.readable)
        return _Waiting(chunk=chunk, cleaner=cleaner)

    def _finish(self, waiting: _Waiting) -> list[Result]:
        try:
            if waiting.cleaner is not None:
                return waiting.cleaner.answer()
        except (EOFError, OSError):
            log.warning("a process that cleaned rows has died (out of memory?): going on without such processes")
            self._processes = 0
            self._stop()
        return prepare(waiting.chunk.readable, self._recipe)

    def _stop(self) -> None:
        for cleaner in self.started:
            cleaner.stop()
        self.started = []


class CleaningProcess:
    """One process, over a pipe."""

    def __init__(self, recipe: Preparation) -> None:
        self._connection, theirs = Pipe()
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        with suppress(OSError):  # it has died: `answer` says so
            self._connection.send(recipe)
        self._came_up = self.busy = False

    @property
    def is_up(self) -> bool:
        """Whether it can begin at once. One that has died is: `answer` says what became of it."""
        if not self._came_up and self._connection.poll():
            with suppress(EOFError, OSError):
                self._connection.recv()
            self._came_up = True
        return self._came_up

    def send(self, rows: Sequence[Readable]) -> None:
        """Begin with `rows`; `answer` must have been taken before."""
        self.busy = True
        with suppress(OSError):  # it has died: `answer` says so
            self._connection.send(rows)

    def answer(self) -> list[Result]:
        """Wait for the end. Raises `EOFError` or `OSError` where the process is no more."""
        self.busy = False
        answer: list[Result] = self._connection.recv()
        return answer

    def stop(self) -> None:
        """End it."""
        self._connection.close()
        self.process.kill()
        self.process.wait()


def serve(connection: Connection[Any, Any]) -> None:
    """Prepare what comes until nobody is at the other end."""
    with suppress(EOFError, OSError):
        recipe: Preparation = connection.recv()
        connection.send("up")
        while True:
            connection.send(prepare(connection.recv(), recipe))


if __name__ == "__main__":
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
