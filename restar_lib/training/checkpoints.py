"""Checkpoints of a long training, so that a retry resumes: one folder for each training (`training_key`).

A process that trains holds a lock on the folder, which ends with the process. Another process with the same training (a
task that was cleared while it ran, a worker that was thought dead) uses a folder of its own: twice the work, the same
model. The Trainer decides what a checkpoint holds; whether it is complete is checked here. Needs no torch.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from restar_lib.artifacts.sealed_folder import WORK_PREFIX

log = logging.getLogger(__name__)

CHECKPOINT: Final = "checkpoint-*"
CHECKPOINT_FILES: Final = ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")
RANDOM_STATES: Final = "rng_state*.pth"
"""One for each process."""


@contextmanager
def checkpoints_of(models_dir: Path, training_key: str) -> Iterator[Path]:
    """The folder of the training with this key; deleted afterwards, unless the training failed.

    Then the next try finds it, and housekeeping deletes it after two days.
    """
    folder = models_dir / f"{WORK_PREFIX}checkpoints-{hashlib.sha256(training_key.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        log.warning("another process runs the same training; this one keeps its checkpoints elsewhere")
        with tempfile.TemporaryDirectory(prefix=f"{WORK_PREFIX}checkpoints-", dir=models_dir) as own:
            yield Path(own)
        return
    try:
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        with suppress(OSError):  # where it holds a checkpoint, or is gone
            folder.rmdir()
        os.close(held)


def last_checkpoint(folder: Path, *, progress: Callable[[str], None] = log.info) -> Path | None:
    """The newest complete checkpoint in `folder`; incomplete ones, left by a kill during writing, are removed."""
    whole = []
    for path in folder.glob(CHECKPOINT):
        if _is_whole(path):
            whole.append(path)
        else:
            shutil.rmtree(path)
    if not whole:
        return None
    newest = max(whole, key=lambda path: int(path.name.rpartition("-")[2]))
    progress(f"an earlier training on the same rows was cut short: goes on from {newest.name}")
    return newest


def _is_whole(checkpoint: Path) -> bool:
    if not all((checkpoint / name).is_file() for name in CHECKPOINT_FILES) or not any(checkpoint.glob(RANDOM_STATES)):
        return False
    try:  # the Trainer writes this file last
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
