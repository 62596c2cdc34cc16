"""Heavy work in a forked child process, so that its parent can report what ended it.

When the operating system runs out of memory it kills a process outright, and a killed task leaves no message and sends
no mail. Here the work runs in a child, which the kernel is asked to kill first; the parent stays small and raises
`KilledForMemory` with what it knows: how large the child was, and whether the kernel's own counters moved. An error in
the child is raised in the parent as it is. However the parent ends, SIGKILL included, the child ends with it.

It limits nothing and knows nothing of what the work does. Linux only, as everything embedded is; the counters are read
where they exist (cgroup 2, cgroup 1, the whole machine). Called for the heavy tasks of `orchestration`; training on
several devices, which starts its own processes, uses `end_with_parent` and the counters.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from restar_lib.errors import KilledForMemory, WorkLost

log = logging.getLogger(__name__)

T = TypeVar("T")
PR_SET_PDEATHSIG = 1  # linux/prctl.h
OOM_SCORE_ADJ = "500"
"""Of the child, out of 1000: the kernel kills it before the scheduler and before PostgreSQL."""
CGROUPS = Path("/sys/fs/cgroup")


def run_in_child(work: Callable[[], T]) -> T:
    """Run `work` in a forked child and return what it returned.

    Raises what it raised, `KilledForMemory` where the kernel killed it for memory or probably did, else `WorkLost`
    where it ended without an answer. What is returned or raised must be picklable. The child must not use connections
    that the parent has open.
    """
    before, began = kills_for_memory(), time.monotonic()
    reader, writer = os.pipe()
    parent = os.getpid()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else the child would write the same again
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work_in_child(work, writer, parent=parent)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as answers:
            answer = answers.read()
    except BaseException:  # a timeout of the task, or a signal
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if not answer:
        raise _explained(os.waitstatus_to_exitcode(status), before=before, seconds=time.monotonic() - began)
    result: T = _unpacked(answer)
    return result


def end_with_parent(parent: int) -> bool:
    """Ask the kernel to kill this process when its parent ends; False where the parent, `parent`, has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


@dataclass(frozen=True, kw_only=True)
class MemoryKills:
    """How many processes the kernel has killed for memory so far."""

    here: int
    """In this control group: certain."""
    machine: int
    """On the whole machine: it may have been another process."""


def kills_for_memory() -> MemoryKills:
    """The kernel's counters; 0 where there is none."""
    here = max((_counter(path, "oom_kill") for path in _group_files()), default=0)
    return MemoryKills(here=here, machine=_counter(Path("/proc/vmstat"), "oom_kill"))


def _group_files() -> Iterator[Path]:
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, group = line.split(":", 2)
        relative = group.lstrip("/")
        if not controllers:
            # In a container the group is the root of what it sees, whatever the name says.
            yield from (CGROUPS / relative / "memory.events", CGROUPS / "memory.events")
        elif "memory" in controllers.split(","):
            yield from (CGROUPS / "memory" / relative / "memory.oom_control", CGROUPS / "memory/memory.oom_control")


def _counter(path: Path, name: str) -> int:
    found = (line.split() for line in _lines(path))
    return next((int(words[1]) for words in found if len(words) == 2 and words[0] == name), 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _work_in_child(work: Callable[[], Any], writer: int, *, parent: int) -> NoReturn:
    """All that the child does. It never returns into the parent's code."""
    code = 1
    try:
        if not end_with_parent(parent):
            os._exit(1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)  # the parent's handlers are not the child's
        _be_killed_first()
        answer = _answer(work)
        with os.fdopen(writer, "wb") as answers:
            answers.write(answer)
        code = 0
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _answer(work: Callable[[], Any]) -> bytes:
    try:
        return pickle.dumps((True, work()))
    except BaseException as error:  # whatever it is, the parent raises it
        log.debug("the work failed", exc_info=True)
        return _as_bytes(error)


def _as_bytes(error: BaseException) -> bytes:
    # A traceback cannot be pickled; its text is added as a note.
    import traceback

    error.add_note("".join(traceback.format_exception(error)))
    try:
        packed = pickle.dumps((False, error))
        pickle.loads(packed)  # noqa: S301  made here
    except Exception:  # noqa: BLE001  some exceptions of other libraries cannot be pickled, or not unpickled
        packed = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return packed


def _unpacked(answer: bytes) -> Any:
    worked, result = pickle.loads(answer)  # noqa: S301  our own child's
    if not worked:
        raise result
    return result


def _be_killed_first() -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE_ADJ, encoding="ascii")
    except OSError:
        log.debug("oom_score_adj could not be set", exc_info=True)


def _explained(code: int, *, before: MemoryKills, seconds: float) -> WorkLost:
    now = kills_for_memory()
    # The largest of all children so far; this one is by far.
    gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    what = f"after {seconds:.0f} s, at up to {gib:.1f} GiB"
    remedy = "give it more memory, or lower dataset.max_rows, training.batch_size or scoring.batch_size"
    if code != -signal.SIGKILL:
        return WorkLost(f"the process ended by {_name(code)} {what}, without a message; the log above is all it said")
    if now.here > before.here:
        return KilledForMemory(f"killed by the operating system for memory {what}: {remedy}")
    if now.machine > before.machine:
        return KilledForMemory(
            f"killed {what}; the operating system killed for memory on this machine just then, so most likely: {remedy}"
        )
    return WorkLost(
        f"killed (SIGKILL) {what}: not for memory as far as the kernel's counters say, so by a person, or by whoever "
        "supervises this machine; clear the task to run it again"
    )


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
