"""What all commands share: how a result is printed, who asks, and what time it is."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from restar_lib.errors import SnapshotError
from restar_lib.settings import Settings

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
    """The folder of the one snapshot whose hash begins so; the newest where nothing is asked for."""
    from restar_lib.dataset.snapshot_folder import MANIFEST

    folders = [path.parent for path in current.snapshots_dir.glob(f"[!.]*/{MANIFEST}")]
    if not wanted and folders:
        return max(folders, key=lambda folder: (folder / MANIFEST).stat().st_mtime_ns)
    found = [folder for folder in folders if folder.name.startswith(wanted)]
    if len(found) != 1:
        known = ", ".join(sorted(folder.name for folder in folders)) or "none"
        raise SnapshotError(f"{len(found)} snapshots are named {wanted!r}; in {current.snapshots_dir} are: {known}")
    return found[0]
