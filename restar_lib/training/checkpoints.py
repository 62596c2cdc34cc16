"""Where a long training keeps what it has learned, so that a second try goes on: one folder for one question.

A process that trains holds the folder by a lock that ends with it. Whoever asks the same at the same time (a task that
was cleared while it ran, a worker that was thought dead) trains in a folder of its own: twice the work, the same model.
What a checkpoint holds is the Trainer's business; whether it is whole is asked here. Needs no torch.
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
def checkpoints_of(models_dir: Path, question: str) -> Iterator[Path]:
    """The folder of the training that answers `question`; gone afterwards, unless that failed.

    Then the next try finds it, and housekeeping takes it for the work of a dead training after two days.
    """
    folder = models_dir / f"{WORK_PREFIX}checkpoints-{hashlib.sha256(question.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        log.warning("another process trains on the same question; this one keeps its checkpoints elsewhere")
        with tempfile.TemporaryDirectory(prefix=f"{WORK_PREFIX}checkpoints-", dir=models_dir) as own:
            yield Path(own)
        return
    try:
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        with suppress(OSError):  # where it holds something to go on from, or is gone
            folder.rmdir()
        os.close(held)


def last_checkpoint(folder: Path, *, progress: Callable[[str], None] = log.info) -> Path | None:
    """The newest whole checkpoint in `folder`; halves, left by a kill while one was written, are removed."""
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
