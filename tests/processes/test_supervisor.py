"""The supervisor with real processes: restarts what dies, and leaves nothing behind however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from restar_lib.embedded.supervisor import Service, end_recorded, parse_service, service_line

ORPHANING = "sleep 1000 & sleep 1000 & wait"
"""A service with children of its own."""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running supervisor that keeps one service with two children alive."""
    command = [sys.executable, "-m", "restar_lib.embedded.supervisor", str(tmp_path / "services.json")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    service = Service(
        name="family",
        command=("/bin/sh", "-c", ORPHANING),
        environment={"PATH": "/usr/bin:/bin", "MARK": str(tmp_path)},
        log_file=str(tmp_path / "family.log"),
    )
    assert process.stdin is not None
    process.stdin.write(service_line(service))
    process.stdin.flush()
    yield process
    process.kill()
    process.wait()
    for left in ours(tmp_path):
        left.kill()


def ours(folder: Path) -> list[psutil.Process]:
    """Living processes that carry this test's mark."""
    return [process for process in psutil.process_iter() if _marked(process, str(folder))]


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("MARK") == mark
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def soon(happens: Callable[[], bool], *, seconds: float = 15) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.05)
    return happens()


def service_pid(folder: Path) -> int | None:
    """The pid that the status file names."""
    status = folder / "services.json"
    return json.loads(status.read_text())[0]["pid"] if status.exists() else None


def test_a_service_that_dies_comes_back_and_its_orphans_go(supervisor: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """After SIGKILL of the service alone, a new family of three is there, and none of the old one."""
    assert soon(lambda: len(ours(tmp_path)) == 3)
    old = {process.pid for process in ours(tmp_path)}
    first = service_pid(tmp_path)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert soon(lambda: len(ours(tmp_path)) == 3 and not old & {process.pid for process in ours(tmp_path)})
    assert supervisor.poll() is None


@pytest.mark.parametrize("how", ["lifeline", "SIGTERM"])
def test_it_ends_with_everything_it_started(supervisor: subprocess.Popen[bytes], tmp_path: Path, how: str) -> None:
    """Its standard input closes (the runner is gone) or SIGTERM comes: it ends, and so does every descendant."""
    assert soon(lambda: len(ours(tmp_path)) == 3)
    if how == "lifeline":
        assert supervisor.stdin is not None
        supervisor.stdin.close()
    else:
        supervisor.terminate()
    assert supervisor.wait(40) == 0
    assert ours(tmp_path) == []
    assert not (tmp_path / "services.json").exists()


def test_what_a_killed_supervisor_left_is_ended_by_its_status_file(
    supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """The next start ends the recorded tree, and nobody who has got an old pid since."""
    assert soon(lambda: len(ours(tmp_path)) == 3 and service_pid(tmp_path) is not None)
    supervisor.kill()
    supervisor.wait()
    status = json.loads((tmp_path / "services.json").read_text())
    stranger = {**status[0], "pid": os.getpid(), "created": 1.0}
    (tmp_path / "services.json").write_text(json.dumps([*status, stranger]))
    assert end_recorded(tmp_path / "services.json") == 3
    assert soon(lambda: ours(tmp_path) == [])


def test_a_service_survives_its_line() -> None:
    """What the runner writes is what the supervisor reads."""
    service = Service(name="a", command=("b", "c"), environment={"D": "e"}, log_file="f", user="g", stop_signal=2)
    assert parse_service(service_line(service)) == service
