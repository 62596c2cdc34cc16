"""Checks of the machine: Python, packages, free disk and memory, ports, a private state folder."""

from __future__ import annotations

import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from restar_lib.operation.checks.check import Check, CheckContext, CheckFunction, fail, ok, warn
from restar_lib.settings import PROJECT_ROOT

OLDEST_PYTHON = (3, 11)
PINS = PROJECT_ROOT / "requirements" / "run.txt"
GIB = 2**30
DISK_NEEDED, DISK_COMFORTABLE = 2.0, 10.0
MEMORY_COMFORTABLE = 4.0
"""GiB: Airflow's processes take about 1.5, a training of the packaged encoder about 1.5."""
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def python(_: CheckContext) -> Iterator[Check]:
    """Its version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield fail("python", f"{found} is too old", "install 3.11 or newer and run `make install PYTHON=python3.11`")
    else:
        yield ok("python", f"{found} at {sys.executable}")


def packages(_: CheckContext) -> Iterator[Check]:
    """The installed versions are the pinned ones."""
    if not PINS.exists():
        yield warn("packages", f"{PINS} is not here, so nothing can be compared")
        return
    wanted = [Requirement(line) for line in PINS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    wrong = [f"{one.name} {found or 'missing'} (wanted{one.specifier})" for one in needed if (found := _other(one))]
    if wrong:
        shown = ", ".join(wrong[:5]) + (" ..." if len(wrong) > 5 else "")
        yield fail("packages", f"{len(wrong)} of {len(needed)} are not as pinned: {shown}", "run `make install`")
    else:
        yield ok("packages", f"all {len(needed)} as pinned")


def disk(context: CheckContext) -> Iterator[Check]:
    """Free disk space where the state folder is."""
    home = context.settings.home
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / GIB
    remedy = "make room, or put the state elsewhere with RESTAR_HOME=<folder>; `restar housekeeping` shows what is old"
    if free < DISK_NEEDED:
        yield fail("disk", f"{free:.1f} GiB free at {existing}, {DISK_NEEDED:.0f} needed", remedy)
    elif free < DISK_COMFORTABLE:
        yield warn("disk", f"{free:.1f} GiB free at {existing}", remedy)
    else:
        yield ok("disk", f"{free:.0f} GiB free at {existing}")


def memory(_: CheckContext) -> Iterator[Check]:
    """What the machine has, or the limit of its container."""
    limits = [int(text) for path in CGROUP_LIMITS if path.exists() and (text := path.read_text().strip()).isdigit()]
    total = min([psutil.virtual_memory().total, *limits]) / GIB
    if total < MEMORY_COMFORTABLE:
        yield warn("memory", f"{total:.1f} GiB", "a training may be killed for memory: give it 4 GiB, or use mode head")
    else:
        yield ok("memory", f"{total:.1f} GiB")


def ports(context: CheckContext) -> Iterator[Check]:
    """Where an embedded installation is not running, its ports are free."""
    settings = context.settings
    if not context.embedded or context.engine is not None:
        return
    wanted = {
        "embedded.airflow_port": settings.embedded.airflow_port,
        "serving.port": settings.serving.port,
        "embedded.mail_port": settings.embedded.mail_port,
    }
    for key, port in wanted.items():
        if _is_taken(port):
            variable = f"RESTAR_{key.replace('.', '__').upper()}"
            yield fail("ports", f"{port} ({key}) is in use", f"stop what listens there, or set {variable}=<port>")
        else:
            yield ok("ports", f"{port} ({key}) is free")


def home(context: CheckContext) -> Iterator[Check]:
    """The state folder belongs to us, and its secrets are private."""
    folder = context.settings.home
    if not folder.exists():
        yield warn("home", f"{folder} does not exist yet", "`make run` makes it")
        return
    if folder.stat().st_mode & stat.S_IWOTH:
        yield fail("home", f"everybody may write to {folder}", f"run `chmod o-w {folder}`")
    private = ("secrets.json", "embedded.yaml", "forget.key")
    bare = [path for name in private if (path := folder / name).exists() and path.stat().st_mode & 0o077]
    for path in bare:
        yield fail("home", f"{path} holds secrets and others may read it", f"run `chmod 600 {path}`")
    if not bare:
        yield ok("home", f"{folder}, its secrets are private")


def _other(requirement: Requirement) -> str | None:
    """What is installed instead of the pinned version; None where that is. A local build (+cpu) counts as the same."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return "missing"
    return None if requirement.specifier.contains(found.partition("+")[0], prereleases=True) else found


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


ALL: tuple[CheckFunction, ...] = (python, packages, disk, memory, ports, home)
