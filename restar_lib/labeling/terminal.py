"""Labeling in a terminal with single keys: `restar label`, also over ssh.

1 or n negative, 2 or e neutral, 3 or p positive; s skip, u undo, q quit. The same calls as the desk, so a label is a
label wherever it was given, and nothing is shown that would anchor: no stars, no model. Leaving in any way (q, Ctrl-C,
end of input) returns the claimed review to the queue.
"""

from __future__ import annotations

import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text
from sqlalchemy import Engine

from restar_lib.domain import LabelSource, Sentiment
from restar_lib.errors import LeaseLost, NothingToUndo, RestarError
from restar_lib.labeling import leases, queue
from restar_lib.labeling.leases import ANSWERED_BY_OTHERS, SECOND_LOOK, Claim
from restar_lib.settings import Settings

ANSWERS = {
    "1": Sentiment.NEGATIVE, "n": Sentiment.NEGATIVE,
    "2": Sentiment.NEUTRAL, "e": Sentiment.NEUTRAL,
    "3": Sentiment.POSITIVE, "p": Sentiment.POSITIVE,
}  # fmt: skip
LEAVE = {"q", "\x03", "\x04", ""}
"""q, Ctrl-C, Ctrl-D, and the end of input."""
STYLES = {Sentiment.NEGATIVE: "bold red", Sentiment.NEUTRAL: "bold yellow", Sentiment.POSITIVE: "bold green"}
KEYS = (
    "[bold red]1[/] negative   [bold yellow]2[/] neutral   [bold green]3[/] positive   [dim]s skip   u undo   q quit[/]"
)
TEXT_WIDTH = 84


def label_in_terminal(engine: Engine, settings: Settings, *, labeler: str) -> int:
    """Label until the person leaves or nothing is left; returns how many labels they gave. Needs a real terminal."""
    with single_keys() as read_key:
        session = TerminalSession(
            engine=engine,
            settings=settings,
            labeler=labeler,
            console=Console(highlight=False),
            now=lambda: datetime.now(UTC),
        )
        return session.run(read_key)


@contextmanager
def single_keys() -> Iterator[Callable[[], str]]:
    """Read one key at a time from standard input, without echo; the terminal is put back in any case."""
    if not sys.stdin.isatty():
        raise RestarError("`restar label` reads single keys and needs a terminal: with ssh use `ssh -t`")
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        # Ctrl-C as a key like any other, so that it leaves the same way.
        quiet = termios.tcgetattr(sys.stdin)
        quiet[3] &= ~termios.ISIG
        termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
        yield lambda: sys.stdin.read(1)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@dataclass(kw_only=True)
class TerminalSession:
    """One person at one terminal."""

    engine: Engine
    settings: Settings
    labeler: str
    console: Console
    now: Callable[[], datetime]
    given: int = 0

    def run(self, read_key: Callable[[], str]) -> int:
        """Show a review, wait for a key, act on it, until there is no more; returns how many labels were given."""
        claim = self._next()
        while claim is not None:
            self._show(claim)
            key = read_key().lower()
            if key in LEAVE:
                self._give_back(claim)
                break
            claim = self._act(key, claim)
        else:
            self.console.print("Nothing is left for you in the queue. Thank you.")
        self.console.print(f"{self.given} {'label' if self.given == 1 else 'labels'} by {self.labeler}.")
        return self.given

    def _act(self, key: str, claim: Claim) -> Claim | None:
        """Do what the key says; returns the claim to show next."""
        try:
            if key == "u":
                return self._undo()
            if key == "s":
                self._skip(claim)
            elif key in ANSWERS:
                self._answer(claim, ANSWERS[key])
            else:
                return claim
        except LeaseLost as lost:
            # A task that was open in another tab comes back: a claim begins with what its labeler holds.
            self.console.print(Text(f"{str(lost).capitalize()}. Here is what you hold now.", style="yellow"))
        except NothingToUndo as nothing:
            self.console.print(Text(f"{nothing}.", style="yellow"))
            return claim
        return self._next()

    def _next(self) -> Claim | None:
        lease = self.settings.labeling.lease_seconds
        return leases.claim(self.engine, labeler=self.labeler, now=self.now(), lease_seconds=lease)

    def _answer(self, claim: Claim, sentiment: Sentiment) -> None:
        leases.submit(
            self.engine,
            task_id=claim.task_id,
            token=claim.token,
            labeler=self.labeler,
            sentiment=sentiment,
            source=LabelSource.PERSON,
            now=self.now(),
            settings=self.settings,
        )
        self.given += 1
        self.console.print(Text(f"  {sentiment.value}", style=STYLES[sentiment]))

    def _skip(self, claim: Claim) -> None:
        held = {"task_id": claim.task_id, "token": claim.token}
        leases.skip(self.engine, **held, labeler=self.labeler, now=self.now(), settings=self.settings)
        self.console.print("  [dim]skipped[/]")

    def _undo(self) -> Claim | None:
        answered = self._answered()
        claim = leases.undo(self.engine, labeler=self.labeler, now=self.now(), settings=self.settings)
        # A skip can be taken back too, and does not count.
        self.given -= answered - self._answered()
        self.console.print("  [dim]taken back[/]" if claim else Text(f"  {ANSWERED_BY_OTHERS}", style="dim"))
        return claim or self._next()

    def _answered(self) -> int:
        window = timedelta(seconds=self.settings.labeling.undo_seconds)
        return leases.answered_since(self.engine, labeler=self.labeler, since=self.now() - window)

    def _give_back(self, claim: Claim) -> None:
        with suppress(LeaseLost):
            leases.release_claim(self.engine, task_id=claim.task_id, token=claim.token, labeler=self.labeler)

    def _show(self, claim: Claim) -> None:
        counts = queue.counts(self.engine)
        notice = f" · {self.settings.simulated_notice}" if self.settings.simulated_notice else ""
        title = (
            f"{claim.product_category or 'no category'}{notice} · {self.given} labeled · {counts.waiting} more waiting"
        )
        if counts.aside:
            title += f" · set aside: {counts.why_aside}"
        self.console.print()
        self.console.print(Rule(Text(title), align="left", style="dim"))
        if claim.second_look:
            self.console.print(Text(f"  {SECOND_LOOK}", style="yellow"))
        self.console.print(Padding(Text(claim.text), (1, 2)), width=min(self.console.width, TEXT_WIDTH))
        self.console.print(KEYS)
