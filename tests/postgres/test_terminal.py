"""Labeling in a terminal, with scripted keys and through a real pseudo-terminal."""

import io
import os
import pty
import select as io_select
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from rich.console import Console
from sqlalchemy import Engine

from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.errors import RestarError
from restar_lib.labeling import leases, queue
from restar_lib.labeling.terminal import TerminalSession, single_keys
from restar_lib.settings import Settings
from tests.labelers import submit, take
from tests.tasks import NOON, add_tasks, labels, statuses


def label(engine: Engine, smoke: Settings, keys: str) -> tuple[int, str]:
    """Press these keys; returns the labels that stand and everything that was on the screen."""
    screen = io.StringIO()
    console = Console(file=screen, width=100, highlight=False)
    session = TerminalSession(engine=engine, settings=smoke, labeler="ada", console=console, now=lambda: NOON)
    pressed = iter(keys)
    return session.run(lambda: next(pressed, "")), screen.getvalue()


def test_digits_and_letters_answer(engine: Engine, smoke: Settings) -> None:
    """1 2 3 and n e p are the three answers, as a person's labels."""
    review_ids = add_tasks(engine, 6)
    given, screen = label(engine, smoke, "123nep")
    assert given == 6
    assert labels(engine) == [
        (review_id, "ada", sentiment, LabelSource.PERSON)
        for review_id, sentiment in zip(review_ids, [*Sentiment, *Sentiment], strict=True)
    ]
    assert "Nothing is left" in screen


def test_the_screen_shows_the_review_and_no_stars(engine: Engine, smoke: Settings) -> None:
    """Text, category, what is left and that the reviews are simulated; markup in a review is text."""
    add_tasks(engine, 2, text="The [bold]lid[/] leaks.")
    _, screen = label(engine, smoke, "q")
    assert "The [bold]lid[/] leaks. (0)" in screen
    assert "Kitchen · simulated reviews · 0 labeled · 1 more waiting" in screen


def test_skip_goes_on_and_undo_comes_back(engine: Engine, smoke: Settings) -> None:
    """A wrong answer and a skip are both taken back, and the count follows the labels that stand."""
    add_tasks(engine, 2)
    given, _ = label(engine, smoke, "1usu3q")
    assert given == 1
    assert labels(engine) == [("r0", "ada", Sentiment.POSITIVE, LabelSource.PERSON)]


def test_a_key_without_meaning_keeps_the_review(engine: Engine, smoke: Settings) -> None:
    """A slip changes nothing, and undo with nothing to undo says so."""
    add_tasks(engine, 1)
    given, screen = label(engine, smoke, "x u7")
    assert (given, labels(engine)) == (0, [])
    assert "has answered or skipped nothing" in screen


@pytest.mark.parametrize("key", ["q", "\x03", "\x04", ""])
def test_leaving_gives_the_review_back(engine: Engine, smoke: Settings, key: str) -> None:
    """However a person leaves, the review in hand is open for others at once."""
    add_tasks(engine, 1)
    label(engine, smoke, key)
    assert statuses(engine) == {"r0": TaskStatus.OPEN}


def test_undo_of_a_skip_that_somebody_else_has_answered_says_so(engine: Engine, smoke: Settings) -> None:
    """Their answer stands, the screen says it, and the review in hand is shown again."""
    add_tasks(engine, 2)

    def keys() -> Iterator[str]:
        yield "s"
        submit(engine, take(engine, "ben"), smoke, labeler="ben", sentiment=Sentiment.POSITIVE)
        yield "u"
        yield "2"

    screen = io.StringIO()
    pressed = keys()
    console = Console(file=screen, width=200)
    session = TerminalSession(engine=engine, settings=smoke, labeler="ada", console=console, now=lambda: NOON)
    assert session.run(lambda: next(pressed, "q")) == 1
    assert "Others have answered this review" in screen.getvalue()
    assert [label[:3] for label in labels(engine)] == [
        ("r0", "ben", Sentiment.POSITIVE),
        ("r1", "ada", Sentiment.NEUTRAL),
    ]


def test_a_lost_lease_is_said_and_the_next_review_shown(engine: Engine, smoke: Settings) -> None:
    """Somebody took the review while it was read: nothing is written, work goes on with the next."""
    add_tasks(engine, 2)

    def keys() -> Iterator[str]:
        later = NOON + timedelta(hours=1)
        assert leases.claim(engine, labeler="ben", now=later, lease_seconds=7200) is not None
        yield "1"
        yield "2"

    screen = io.StringIO()
    console = Console(file=screen, width=200)
    pressed = keys()
    session = TerminalSession(engine=engine, settings=smoke, labeler="ada", console=console, now=lambda: NOON)
    session.run(lambda: next(pressed, "q"))
    assert "somebody else took this review" in screen.getvalue()
    assert labels(engine) == [("r1", "ada", Sentiment.NEUTRAL, LabelSource.PERSON)]


def test_a_review_that_is_open_in_another_tab_is_called_so(engine: Engine, smoke: Settings) -> None:
    """The desk is open beside the terminal: nothing is written, and the same review is shown again to be answered."""
    add_tasks(engine, 1)

    def keys() -> Iterator[str]:
        take(engine)
        yield "1"
        yield "2"

    screen = io.StringIO()
    pressed = keys()
    console = Console(file=screen, width=200)
    session = TerminalSession(engine=engine, settings=smoke, labeler="ada", console=console, now=lambda: NOON)
    session.run(lambda: next(pressed, "q"))
    assert "is open in another tab of yours; nothing was stored. Here is what you hold now." in screen.getvalue()
    assert labels(engine) == [("r0", "ada", Sentiment.NEUTRAL, LabelSource.PERSON)]


def test_without_a_terminal_it_says_so() -> None:
    """A pipe has no single keys."""
    with pytest.raises(RestarError, match="needs a terminal"), single_keys():
        pass


PROGRAM = """
import sys
from restar_lib.labeling.terminal import label_in_terminal
from restar_lib.settings import load
from restar_lib.store.database import engine_for
label_in_terminal(engine_for(sys.argv[1]), load(environment={"RESTAR_PROFILE": "smoke"}).settings, labeler="ada")
"""


@pytest.mark.timeout(60)
def test_single_keys_work_in_a_real_terminal(engine: Engine, database_url: str) -> None:
    """No Enter needed, no echo of the keys, Ctrl-C leaves in order and gives the review back."""
    add_tasks(engine, 2)
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, database_url], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = read_until(ours, "(0)", program)
    os.write(ours, b"3")
    seen += read_until(ours, "(1)", program)
    os.write(ours, b"\x03")
    seen += read_until(ours, "1 label by ada", program)
    assert program.wait(20) == 0
    assert labels(engine) == [("r0", "ada", Sentiment.POSITIVE, LabelSource.PERSON)]
    assert statuses(engine)["r1"] is TaskStatus.OPEN
    assert queue.counts(engine).claimed == 0
    assert "^C" not in seen


def read_until(terminal: int, wanted: str, program: "subprocess.Popen[bytes]") -> str:
    """What the program printed, up to and with `wanted`."""
    seen, deadline = "", time.monotonic() + 30
    while wanted not in seen:
        assert time.monotonic() < deadline, f"waited for {wanted!r} (exit code {program.poll()}), saw: {seen}"
        if io_select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
    return seen
