"""Trials: a stage runs in a process of its own, is killed at a moment that a seed chose, and is run again.

The moment counts from the stage's first step: imports are done by then. `look` sees the world as everybody else sees it
between the kill and the second run: nothing half-made may show. It judges nothing about the end: tests do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.pointer import read_pointer
from restar_lib.dataset.snapshot import load
from tests.faults import stages
from tests.faults.world import World

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.faults.preload"])
LONGEST_SECONDS = 120.0


def undisturbed(world: World, stage: str) -> float:
    """Run a stage to its end; returns the seconds that it took. Raises `AssertionError` where it failed."""
    process, began = _start(world, stage, again=False)
    _ended_well(process, world)
    return time.monotonic() - began


def killed(world: World, stage: str, *, after: float) -> bool:
    """Start a stage and kill it `after` seconds; False where it had ended before, as a busy machine's clock has it."""
    process, began = _start(world, stage, again=False)
    time.sleep(max(0.0, began + after - time.monotonic()))
    process.kill()
    process.join(LONGEST_SECONDS)
    assert process.exitcode in {0, -signal.SIGKILL}, _told(process, world)
    return bool(process.exitcode)


def run_again(world: World, stage: str) -> None:
    """What the retry does."""
    process, _ = _start(world, stage, again=True)
    _ended_well(process, world)


def twice_at_once(world: World, stage: str) -> None:
    """A task was cleared while it ran, or two workers got it: both run to their end."""
    for process in [_start(world, stage, again=True)[0] for _ in range(2)]:
        _ended_well(process, world)


def look(world: World) -> None:
    """As everybody else sees it: every model and snapshot that shows is whole, and the pointer names one of them."""
    settings = world.settings
    for version in sealed_folder.versions(settings.models_dir):
        sealed_folder.verify(settings.models_dir / version)
    for folder in settings.snapshots_dir.glob("[!.]*"):
        load(folder)
    pointer = read_pointer(settings.pointer_path)
    assert pointer is None or (settings.models_dir / pointer.model_version).is_dir()


def _start(world: World, stage: str, *, again: bool) -> tuple[Any, float]:
    here, there = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=_child, args=(world, stage, again, there))
    process.start()
    there.close()
    assert here.poll(LONGEST_SECONDS), f"{stage} did not begin: see {_output(world)}"
    here.recv()
    return process, time.monotonic()


def _child(world: World, stage: str, again: bool, began: Connection) -> None:
    with _output(world).open("a") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    began.send(None)
    stages.run(world, stage, again=again)


def _ended_well(process: Any, world: World) -> None:
    process.join(LONGEST_SECONDS)
    assert process.exitcode == 0, _told(process, world)


def _told(process: Any, world: World) -> str:
    return f"ended with {process.exitcode}:\n{_output(world).read_text()[-3000:]}"


def _output(world: World) -> Path:
    return world.folder / "output.txt"
