"""A process that the kernel kills for memory is reported as that, and the one that waits for it lives to tell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from restar_lib.child_process import CGROUPS, run_in_child
from restar_lib.errors import NothingToDo, WorkLost

LIMIT = 96 << 20
GREEDY = """
import sys
from restar_lib.child_process import run_in_child
from restar_lib.errors import KilledForMemory, WorkLost

try:
    run_in_child(lambda: len(bytearray(400 << 20)))
except KilledForMemory as error:
    print("memory:", error)
except WorkLost as error:
    print("lost:", error)
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group that allows 96 MiB."""
    with memory_group(LIMIT) as folder:
        yield folder


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """A control group for so many bytes, where this machine lets us make one; else the test is skipped."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        first = "memory" in controllers.split(",")
        if first or not controllers:
            folder = (CGROUPS / "memory" if first else CGROUPS) / group.lstrip("/") / f"restar-{os.getpid()}"
            if made := _made(folder, "memory.limit_in_bytes" if first else "memory.max", limit):
                yield made
                made.rmdir()
                return
    pytest.skip("no control group for memory can be made here: it takes root, and a writable /sys/fs/cgroup")


def _made(folder: Path, file: str, limit: int) -> Path | None:
    try:
        folder.mkdir()
        (folder / file).write_text(str(limit))
    except OSError:
        if folder.exists():
            folder.rmdir()
        return None
    return folder


def test_a_process_killed_for_memory_is_reported_as_that(small_group: Path) -> None:
    """In a control group that is too small the child is killed, and the parent names the cause and the way out."""
    script = f"import os; open({str(small_group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n{GREEDY}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("memory: killed by the operating system for memory after"), done.stdout
    assert "give it more memory" in done.stdout


def test_a_process_that_a_person_kills_is_not_reported_as_out_of_memory() -> None:
    """SIGKILL alone says nothing about memory; the kernel's counters do."""
    with pytest.raises(WorkLost, match=r"killed \(SIGKILL\) .* not for memory") as told:
        run_in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert type(told.value) is WorkLost


def test_what_the_work_returns_and_raises_comes_through() -> None:
    """A result is the result, a named error stays that error, and nothing of it runs in this process."""
    assert run_in_child(lambda: {"pid": os.getpid()})["pid"] != os.getpid()
    with pytest.raises(NothingToDo, match="nothing is new"):
        run_in_child(_nothing_to_do)


def _nothing_to_do() -> None:
    raise NothingToDo("nothing is new")


def test_the_work_ends_with_the_one_that_waits_for_it(tmp_path: Path) -> None:
    """A killed task leaves no training behind."""
    note = tmp_path / "pid"
    script = (
        "import os, pathlib, time\nfrom restar_lib.child_process import run_in_child\n"
        f"run_in_child(lambda: (pathlib.Path({str(note)!r}).write_text(str(os.getpid())), time.sleep(600)))"
    )
    waiting = subprocess.Popen([sys.executable, "-c", script])
    while not (note.exists() and note.read_text()):
        time.sleep(0.02)
    working = psutil.Process(int(note.read_text()))
    waiting.kill()
    waiting.wait()
    psutil.wait_procs([working], timeout=10)
    assert not working.is_running() or working.status() == psutil.STATUS_ZOMBIE
