"""The pointer: one small JSON file that says which release serves.

It is replaced by one atomic rename, so a reader sees the old champion or the new one and never half a file. It repeats
what table `release` says and can be written again from it at any time (`releases.release.reconcile`, which also writes
it); it decides nothing. No database, no model is loaded, no Airflow and no MLflow: serving imports this.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from restar_lib.atomic_files import READABLE, write_text
from restar_lib.errors import ArtifactError


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What the pointer file says."""

    release_id: int
    model_version: str
    folder: str
    """For people; relative to the home folder. Serving finds the model by its version."""
    provisional: bool
    released_at: datetime


def write_pointer(path: Path, pointer: Pointer) -> None:
    """Replace the pointer by one rename."""
    content = asdict(pointer) | {"released_at": pointer.released_at.isoformat()}
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n", mode=READABLE)


def read_pointer(path: Path) -> Pointer | None:
    """What serves; None where nothing was released yet. Raises `ArtifactError` for a file that is not a pointer."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["released_at"] = datetime.fromisoformat(content["released_at"])
        return Pointer(**content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} is not a pointer ({error}); it is written again from the release log by `restar reconcile`"
        ) from None
