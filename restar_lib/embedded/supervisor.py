"""Starts services, restarts what dies, and never leaves a process behind.

Runs as a process of its own: `python -m restar_lib.embedded.supervisor STATUS_FILE`. Each line on its standard input is
one more service as JSON. The input is a lifeline too: when it closes (the runner ended, however it ended) or a SIGTERM
comes, everything is stopped in reverse order.

Two things make "no process behind" hold: it is a *child subreaper* (Linux), so whatever a dying service orphans becomes
its own child and is found; and it ends by killing every descendant it still has. It does not know what the services do,
nor whether they are healthy: the runner asks them over HTTP.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from restar_lib.atomic_files import write_text

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
TICK_SECONDS = 0.2
REAP_SECONDS = 5.0
STOP_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A service that has run this long is forgiven its earlier deaths."""

log = logging.getLogger("restar.supervisor")


@dataclass(frozen=True, kw_only=True)
class Service:
    """One process to keep alive."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    log_file: str
    user: str | None = None
    stop_signal: int = signal.SIGTERM
    cwd: str = "/"


@dataclass
class Running:
    """What the supervisor knows about one service."""

    service: Service
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    streak: int = 0
    """Deaths in a row without a steady minute between them."""
    next_start: float = 0.0
    last_exit: str = ""

    def start(self, now: float) -> None:
        """Start the process in a session of its own, so that a Ctrl-C at the terminal does not reach it."""
        service = self.service
        Path(service.log_file).parent.mkdir(parents=True, exist_ok=True)
        with Path(service.log_file).open("ab") as output:
            self.process = subprocess.Popen(
                service.command, env=service.environment, cwd=service.cwd, user=service.user,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.started = now

    def status(self) -> dict[str, Any]:
        """For the status file."""
        alive = self.process is not None and self.process.poll() is None
        return {
            "name": self.service.name,
            "pid": self.process.pid if self.process and alive else None,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "log": self.service.log_file,
        }


@dataclass
class Supervisor:
    """Keeps services alive until told to stop."""

    status_file: Path
    running: list[Running] = field(default_factory=list)
    stopping: bool = False
    next_reaping: float = 0.0
    unfinished_line: bytes = b""

    @property
    def pids(self) -> set[int]:
        """Our direct children, whose exit status belongs to their `Popen` object."""
        return {entry.process.pid for entry in self.running if entry.process is not None}

    def run(self) -> None:
        """Start all, watch, stop all. Returns when no descendant is left."""
        become_subreaper()
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        signal.signal(signal.SIGINT, self._ask_to_stop)
        with selectors.DefaultSelector() as lifeline:
            lifeline.register(sys.stdin, selectors.EVENT_READ)
            try:
                while not self.stopping:
                    self.tick(time.monotonic())
                    if lifeline.select(TICK_SECONDS):
                        self._hear(os.read(sys.stdin.fileno(), 65536))
            finally:
                self.stop()

    def _hear(self, received: bytes) -> None:
        self.stopping |= not received
        *lines, self.unfinished_line = (self.unfinished_line + received).split(b"\n")
        self.running += [Running(service=parse_service(line)) for line in lines]

    def tick(self, now: float) -> None:
        """Start what should run and does not; write the status file when something changed."""
        changed = False
        for entry in self.running:
            changed |= self._look_after(entry, now)
        if now >= self.next_reaping:
            self.next_reaping = now + REAP_SECONDS
            reap_orphans(keep=self.pids)
        if changed:
            write_status(self.status_file, self.running)

    def _look_after(self, entry: Running, now: float) -> bool:
        if entry.process is None:
            if now < entry.next_start:
                return False
            entry.start(now)
            log.info("%s started, pid %d", entry.service.name, entry.process.pid if entry.process else 0)
            return True
        code = entry.process.poll()
        if code is None:
            return False
        entry.streak = 1 if now - entry.started > STEADY_SECONDS else entry.streak + 1
        entry.restarts += 1
        entry.last_exit = f"signal {-code}" if code < 0 else f"exit code {code}"
        pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** (entry.streak - 1) - 1)
        entry.next_start = now + pause
        log.warning(
            "%s died (%s) after %.0f s; restarting in %.0f s, see %s",
            entry.service.name, entry.last_exit, now - entry.started, pause, entry.service.log_file,
        )  # fmt: skip
        end_orphans_of(entry.process.pid, keep=self.pids)
        entry.process = None
        return True

    def stop(self) -> None:
        """Stop services in reverse order, each with its own signal, then end whatever is left."""
        for entry in reversed(self.running):
            if entry.process is not None and entry.process.poll() is None:
                entry.process.send_signal(entry.service.stop_signal)
                try:
                    entry.process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    log.warning("%s did not stop within %.0f s; killing it", entry.service.name, STOP_SECONDS)
                    entry.process.kill()
        left = end_descendants()
        log.info("stopped; %d left-over processes ended", left)
        self.status_file.unlink(missing_ok=True)

    def _ask_to_stop(self, *_: object) -> None:
        self.stopping = True


def become_subreaper() -> None:
    """Make orphaned descendants our children (Linux `prctl(2)`, PR_SET_CHILD_SUBREAPER)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(*, keep: set[int]) -> None:
    """Collect the exit status of adopted children, so that they do not stay as zombies."""
    for child in psutil.Process().children():
        try:
            if child.pid not in keep and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
        except (psutil.NoSuchProcess, ChildProcessError):
            continue


def end_orphans_of(session: int, *, keep: set[int]) -> None:
    """Kill what a dead service left running: members of its session that are now ours."""
    for child in psutil.Process().children(recursive=True):
        try:
            if child.pid not in keep and os.getsid(child.pid) == session:
                child.kill()
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue


def end_descendants(*, grace_seconds: float = 5.0) -> int:
    """SIGTERM, wait, SIGKILL every descendant of this process; returns how many there were."""
    seen: set[int] = set()
    while children := [child for child in psutil.Process().children(recursive=True) if _alive(child)]:
        seen |= {child.pid for child in children}
        for child in children:
            _signal(child, signal.SIGTERM)
        _, stubborn = psutil.wait_procs(children, timeout=grace_seconds)
        for child in stubborn:
            _signal(child, signal.SIGKILL)
        psutil.wait_procs(stubborn, timeout=grace_seconds)
    return len(seen)


def end_recorded(status_file: Path) -> int:
    """End the trees of services that a killed supervisor left behind, as its status file names them."""
    if not status_file.exists():
        return 0
    ended = 0
    for entry in json.loads(status_file.read_text(encoding="utf-8")):
        ended += _end_tree(entry["pid"], created=entry["created"])
    status_file.unlink()
    return ended


def write_status(path: Path, running: list[Running]) -> None:
    """Write pids and restarts for the runner, and for a next start that has to clean up."""
    rows = []
    for entry in running:
        status = entry.status()
        rows.append(status | {"created": _created(status["pid"])})
    write_text(path, json.dumps(rows, indent=1))


def service_line(service: Service) -> bytes:
    """What the runner writes to add a service."""
    return json.dumps(asdict(service)).encode() + b"\n"


def parse_service(line: bytes) -> Service:
    """The other way round."""
    fields = json.loads(line)
    return Service(**{**fields, "command": tuple(fields["command"])})


def main() -> None:
    """Entry point of the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    Supervisor(status_file=Path(sys.argv[1])).run()


def _created(pid: int | None) -> float | None:
    try:
        return psutil.Process(pid).create_time() if pid else None
    except psutil.NoSuchProcess:
        return None


def _end_tree(pid: int | None, *, created: float | None) -> int:
    # A pid may have been given to somebody else meanwhile: only the same birth time is the same process.
    if pid is None or _created(pid) != created:
        return 0
    root = psutil.Process(pid)
    tree = [root, *root.children(recursive=True)]
    for process in tree:
        _signal(process, signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, stubborn = psutil.wait_procs(tree, timeout=STOP_SECONDS)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    return len(tree)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    main()
