"""What `make run` shows in the terminal: a live table of steps, or plain lines where the output is no terminal.

It only shows; what happens is decided in `turn`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

MARKS = {
    "running": ("▶", "cyan"),
    "done": ("✔", "green"),
    "skipped": ("-", "dim"),
    "refused": ("✋", "yellow"),
    "failed": ("✘", "red"),
}


@dataclass
class Step:
    """One line of the table."""

    name: str
    state: str = "running"
    detail: str = ""
    started: float = field(default_factory=time.monotonic)
    seconds: float | None = None

    def say(self, detail: str) -> None:
        """What is going on right now."""
        self.detail = detail

    @property
    def elapsed(self) -> float:
        """Seconds so far, or in all."""
        return self.seconds if self.seconds is not None else time.monotonic() - self.started


@dataclass
class ProgressView:
    """Steps as they happen."""

    console: Console
    steps: list[Step] = field(default_factory=list)
    _live: Live | None = None

    @contextmanager
    def showing(self) -> Iterator[ProgressView]:
        """Keep the table on the screen; at the end it stays there."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(get_renderable=self.table, console=self.console, refresh_per_second=4) as self._live:
            yield self
        self._live = None

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """One step; an exception marks it failed, with the message, and goes on its way."""
        entry = Step(name=name)
        self.steps.append(entry)
        try:
            yield entry
        except BaseException as error:
            self._finish(
                entry, state="failed", detail=str(error).splitlines()[0] if str(error) else type(error).__name__
            )
            raise
        self._finish(entry, state="done" if entry.state == "running" else entry.state, detail=entry.detail)

    def note(self, line: str) -> None:
        """A line above the table, for example that a service was restarted."""
        self.console.print(Text(line, style="yellow"))

    def _finish(self, entry: Step, *, state: str, detail: str) -> None:
        entry.seconds, entry.state, entry.detail = entry.elapsed, state, detail
        if self._live is None:
            self.console.print(
                f"{MARKS[state][0]} {entry.name}: {detail} ({entry.elapsed:.0f} s)", highlight=False, markup=False
            )

    def table(self) -> Table:
        """The steps so far."""
        grid = Table(box=None, padding=(0, 1), show_header=False)
        grid.add_column(width=2)
        grid.add_column(min_width=22)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", min_width=7)
        for entry in self.steps:
            mark, style = MARKS[entry.state]
            grid.add_row(
                Text(mark, style), Text(entry.name, "bold"), Text(entry.detail), Text(f"{entry.elapsed:.0f} s", "dim")
            )
        return grid
