"""The disk is full while a model, a snapshot or the pointer is written: nothing half-made shows, and room mends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import Side
from restar_lib.errors import SnapshotError
from restar_lib.retraining import pipeline
from restar_lib.settings import PROJECT_ROOT, Settings
from tests.faults.small_disk import NOON, examples

FULL = "No space left on device"
APART = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]


def on_a_small_disk(case: str, folder: Path) -> dict[str, Any]:
    """What `small_disk` saw."""
    if subprocess.run([*APART, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here, so no small disk: it takes root or user namespaces")
    done = subprocess.run(
        [*APART, sys.executable, "-m", "tests.faults.small_disk", case, str(folder)],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_a_snapshot_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    """Not even under a hidden name, or each retry would take more of what is missing; with room it is frozen."""
    seen = on_a_small_disk("snapshot", tmp_path)
    assert seen == {"errors": [FULL, FULL], "left": [], "after": 200}


def test_a_model_that_cannot_be_sealed_never_shows(tmp_path: Path) -> None:
    """No version is to be seen; with room the same work folder is sealed."""
    seen = on_a_small_disk("model", tmp_path)
    assert seen["errors"] == [FULL, FULL]
    assert seen["left"] == []
    assert len(seen["after"]) == 1


def test_a_pointer_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    """Serving goes on with the old champion; with room the new one is written, and nothing else is left."""
    seen = on_a_small_disk("pointer", tmp_path)
    assert seen == {"errors": [FULL], "left": 1, "after": 2, "names": ["champion.json"]}


def test_a_training_that_fails_leaves_no_work_folder(engine: Engine, smoke: Settings) -> None:
    """Whatever the reason: a retry begins with the disk as it was."""
    rows = {side: list(examples(side, 30)) for side in Side}
    folder = write_folder(smoke.snapshots_dir, rows, now=NOON)
    with pytest.raises(SnapshotError, match="training rows"):
        pipeline.train_challenger(engine, smoke, snapshot_hash=folder.name, mode=pipeline.AS_CONFIGURED)
    assert list(smoke.models_dir.iterdir()) == []
