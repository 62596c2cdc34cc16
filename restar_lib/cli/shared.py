"""What all commands share: how a result is printed, who asks, and what time it is."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from restar_lib.errors import SnapshotError
from restar_lib.settings import Settings

CHAMPION = "champion"
"""In the place of a version: the one that serves."""
Reason = Annotated[str, typer.Option(help="Why; it stands in the release log for ever.")]


def print_fields(result: object) -> None:
    """One line for each field of a result."""
    for name, value in vars(result).items():
        print(f"{name}: {value}")


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def who() -> str:
    """The user at this terminal, as the logs name them."""
    return f"cli:{getpass.getuser()}"


def find_snapshot(current: Settings, wanted: str) -> Path:
    """The folder of the one snapshot whose hash begins so; the newest where nothing is asked for.

    Where people in it were forgotten, that of what is left of it. Raises `SnapshotError` where there is not one.
    """
    from restar_lib.dataset.snapshot_folder import MANIFEST, NOTE, what_is_left

    folders = {path.parent for name in (MANIFEST, NOTE) for path in current.snapshots_dir.glob(f"[!.]*/{name}")}
    whole = [folder for folder in folders if not (folder / NOTE).exists()]
    if not whole:
        raise SnapshotError(f"no training set yet in {current.snapshots_dir}: `make run` freezes the first one")
    if not wanted:
        return max(whole, key=lambda folder: (folder / MANIFEST).stat().st_mtime_ns)
    found = {what_is_left(folder) for folder in folders if folder.name.startswith(wanted)}
    if len(found) != 1:
        known = ", ".join(sorted(folder.name for folder in whole))
        raise SnapshotError(f"{len(found)} snapshots are named {wanted!r}; in {current.snapshots_dir} are: {known}")
    return found.pop()
