"""What happens on a disk that is full: run in a mount namespace of its own, on a tmpfs that goes with the process.

`python -m tests.faults.small_disk CASE FOLDER` writes what it saw as one JSON object; `test_disk_full` judges it.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from restar_lib.artifacts import pointer, sealed_folder
from restar_lib.dataset.snapshot import load
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import SENTIMENTS, Example, Side, TruthSource
from tests.tiny_model import make_tiny_model

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SMALL, LARGE = "256k", "32m"
Seen = dict[str, Any]


def snapshot(disk: Path) -> Seen:
    """A training set that does not fit, twice; then there is room."""
    rows = {side: list(examples(side, 200)) for side in Side}
    seen = {"errors": [_error(lambda: write_folder(disk, rows, now=NOON)) for _ in range(2)], "left": _names(disk)}
    _resize(disk, LARGE)
    return seen | {"after": load(write_folder(disk, rows, now=NOON)).train_rows}


def model(disk: Path) -> Seen:
    """A model that is complete but cannot be sealed; then there is room."""
    _resize(disk, LARGE)
    work = make_tiny_model(sealed_folder.new_work_folder(disk))
    fill(disk)
    seen = {
        "errors": [_error(lambda: sealed_folder.seal(work, disk)) for _ in range(2)],
        "left": sealed_folder.versions(disk),
    }
    (disk / "fill").unlink()
    version = sealed_folder.seal(work, disk)
    sealed_folder.verify(disk / version)
    return seen | {"after": [version]}


def replaced_pointer(disk: Path) -> Seen:
    """A new champion whose pointer cannot be written; then there is room."""
    path = disk / "champion.json"
    pointer.write_pointer(path, _pointer(1))
    fill(disk)
    seen = {"errors": [_error(lambda: pointer.write_pointer(path, _pointer(2)))], "left": _says(path)}
    (disk / "fill").unlink()
    pointer.write_pointer(path, _pointer(2))
    return seen | {"after": _says(path), "names": _names(disk)}


def examples(side: Side, count: int) -> Iterator[Example]:
    """Rows whose texts pack badly."""
    rng = random.Random(side.value)
    for number in range(count):
        yield Example(
            review_id=f"{side}-{number}",
            text=rng.randbytes(600).hex(),
            truth=SENTIMENTS[number % 3],
            truth_source=TruthSource.STARS,
            weight=1.0,
            rating=(1, 3, 5)[number % 3],
            product_category="Kitchen",
            reviewed_at=NOON + timedelta(hours=number),
        )


def fill(disk: Path) -> None:
    """Take the last byte."""
    with (disk / "fill").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def _error(work: Callable[[], object]) -> str:
    try:
        work()
    except OSError as error:
        return error.strerror or str(error)
    return "none"


def _pointer(release_id: int) -> pointer.Pointer:
    return pointer.Pointer(
        release_id=release_id, model_version="rs-0123456789", folder="x", provisional=False, released_at=NOON
    )


def _says(path: Path) -> int | None:
    read = pointer.read_pointer(path)
    return None if read is None else read.release_id


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


if __name__ == "__main__":
    case, folder = sys.argv[1], Path(sys.argv[2])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)], check=True)
    sys.stdout.write(json.dumps({"snapshot": snapshot, "model": model, "pointer": replaced_pointer}[case](folder)))
