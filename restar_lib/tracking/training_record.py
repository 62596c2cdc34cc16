"""How a version came about: the settings, the code and the packages of its training, stored beside its folder.

Not in the folder: there it would change the version's name, and the same rows and settings must give the same version
whatever the commit. Nothing in it depends on the clock or on a sequence, so a training that was killed and run again
leaves the same file. Written by `retraining.pipeline`, read by `restar compare` and by `tracking.mlflow_log`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self

from pydantic import TypeAdapter, ValidationError

from restar_lib.artifacts import sealed_folder
from restar_lib.atomic_files import READABLE, write_text
from restar_lib.errors import ArtifactError
from restar_lib.settings import PROJECT_ROOT, Settings

FILE: Final = "run.json"
SECTIONS: Final = ("dataset", "training")
"""What decides a training, beside its snapshot and its champion."""
PACKAGES: Final = ("torch", "transformers", "scikit-learn", "numpy", "onnxruntime")
GIT_SECONDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What was in force when a version was trained."""

    settings: Mapping[str, Mapping[str, Any]]
    """Sections `dataset` and `training`."""
    code: str
    """`git <commit>`, with `, altered` where the code differed from it; else `restar <version>`."""
    packages: Mapping[str, str]
    champion: str | None
    """What served when the training began; it learned from its weights where the settings say so."""

    @classmethod
    def of(cls, settings: Settings, *, champion: str | None) -> Self:
        """The record of a training under these settings, now and here."""
        return cls(
            settings={section: getattr(settings, section).model_dump(mode="json") for section in SECTIONS},
            code=code_version(),
            packages={name: _package(name) for name in PACKAGES},
            champion=champion,
        )

    def write(self, models_dir: Path, model_version: str) -> None:
        """Write it beside the sealed folder."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        write_text(sealed_folder.sibling(models_dir, model_version, FILE), text, mode=READABLE)


def read(models_dir: Path, model_version: str) -> TrainingRecord | None:
    """The record of a version; None where it has none (sealed by hand, pulled, or older than records).

    Raises `ArtifactError` where it is damaged.
    """
    path = sealed_folder.sibling(models_dir, model_version, FILE)
    try:
        return TypeAdapter(TrainingRecord).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
    except OSError as error:
        problem = str(error)
    raise ArtifactError(f"{path}: not the record of a training ({problem}); restore it from a backup, or delete it")


def code_version(root: Path = PROJECT_ROOT) -> str:
    """The commit of the code in `root`, or the version of the package where there is no git."""
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return f"restar {_package('restar')}"
    return f"git {commit}, altered" if _git(root, "status", "--porcelain", "--", "restar_lib") else f"git {commit}"


def _git(root: Path, *words: str) -> str:
    # A package inside somebody else's repository must not carry that one's commit.
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
