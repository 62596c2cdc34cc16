"""`restar inspect` as a person meets it: with a terminal that can be asked, and without one."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

RESTAR = Path(sys.executable).with_name("restar")
TEXTS = [
    "The chair stands firm on all four legs and is easy to clean.",
    "One leg broke on the very first evening and nobody answers.",
]


def environment(home: Path) -> dict[str, str]:
    """A state folder of its own, and a terminal of a known width."""
    return os.environ | {"RESTAR_HOME": str(home), "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}


def two_classes(folder: Path) -> Path:
    """Ratings of 0 and 1, and no time."""
    file = folder / "a.csv"
    file.write_text("text,label\n" + "".join(f"{text},{number}\n" for number, text in enumerate(TEXTS)))
    return file


def in_a_terminal(command: list[str], answers: list[str], env: dict[str, str]) -> tuple[str, int]:
    """What a terminal shows and the exit code; each answer is typed when it is asked for."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, env)  # noqa: S606 - it becomes the program
    shown, typed, until = b"", 0, time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the end of a terminal
            break
        if not piece:
            break
        shown += piece
        if typed < len(answers) and shown.count(b"which ") > typed:
            os.write(terminal, f"{answers[typed]}\n".encode())
            typed += 1
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_terminal_is_asked_what_a_file_does_not_say(tmp_path: Path) -> None:
    """The scale, then the time; what was answered stands in the YAML, and the reviews are shown by it."""
    shown, code = in_a_terminal([str(RESTAR), "inspect", str(two_classes(tmp_path))], ["1", "1"], environment(tmp_path))
    assert code == 0
    assert "1  thumbs: 1 is good, 0 is bad" in shown
    assert "rating_scale: thumbs" in shown
    assert "reviewed_at: file" in shown
    assert "of the first 2 rows 2 would be taken" in shown


def test_whoever_does_not_answer_stops(tmp_path: Path) -> None:
    """0 leaves everything as it is."""
    shown, code = in_a_terminal([str(RESTAR), "inspect", str(two_classes(tmp_path))], ["0"], environment(tmp_path))
    assert code == 1
    assert "to keep it so" not in shown


def test_without_a_terminal_the_line_to_set_is_said(tmp_path: Path) -> None:
    """One screen: what was understood, both things that are missing, exit code 3."""
    command = [str(RESTAR), "inspect", str(two_classes(tmp_path))]
    ended = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False)
    words = " ".join(ended.stdout.split())
    assert ended.returncode == 3
    assert "RESTAR_SOURCE__RATING_SCALE=thumbs (1 is good, 0 is bad)" in words
    assert "RESTAR_SOURCE__REVIEWED_AT=file" in words
    assert ended.stderr.strip() == "restar: not read as they are: 1 of 1 files; what each needs is said above"


def test_what_is_understood_is_shown(tmp_path: Path) -> None:
    """Columns, ratings, what is refused, examples, and the YAML to keep."""
    file = tmp_path / "b.csv"
    rows = [f"{number},{text},{number + 4}/5,{number + 1}-May-24,x" for number, text in enumerate(TEXTS)]
    file.write_text("\n".join(["Nr,Review Text,Score,Date,Shelf", *rows, "3,too short,5/5,3-May-24,x", ""]))
    command = [str(RESTAR), "inspect", str(file)]
    ended = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "CSV, separated by comma; 3 rows looked at" in ended.stdout
    assert "columns that are not read: Nr, Shelf" in ended.stdout
    assert "of the first 3 rows 2 would be taken, from 2024-05-01 to 2024-05-02" in ended.stdout
    assert "too_short: 1, such as 2 words, at least 10 wanted" in ended.stdout
    assert "text: [Review Text]" in ended.stdout


def test_make_run_refuses_before_anything_starts(tmp_path: Path) -> None:
    """A file that can be read in two ways: the line to set, and no state folder."""
    command = [str(RESTAR), "run", "--once", "--reviews", str(two_classes(tmp_path))]
    home = tmp_path / "home"
    ended = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert "RESTAR_SOURCE__RATING_SCALE=thumbs" in ended.stderr
    assert not home.exists()
