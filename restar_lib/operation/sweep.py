"""Deleting old files and folders for housekeeping, and going on after what fails.

A `Sweep` deletes, or in a dry run only counts; it remembers what could not be deleted and which steps failed, so that
one of them stops nothing. It chooses nothing: `operation.housekeeping` does.
"""

from __future__ import annotations

import logging
import shutil
import stat
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from restar_lib.artifacts import sealed_folder
from restar_lib.errors import ArtifactError

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Sweep:
    """Deletes files and folders, or in a dry run only counts them; remembers what could not be deleted."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.freed = 0
        self.failed: list[str] = []
        """What could not be deleted."""
        self.broken: list[str] = []
        """Steps that failed, and what else needs a person."""

    def step(self, name: str, work: Callable[[], Result], *, otherwise: Result) -> Result:
        """What `work` returns; `otherwise` where it raises, which is remembered."""
        try:
            return work()
        except Exception as error:
            log.exception("housekeeping: the step %r failed; the others go on", name)
            self.broken.append(f"{name}: {str(error).strip() or type(error).__name__}")
            return otherwise

    def files(self, paths: Iterable[Path], *, below: Path) -> list[Path]:
        """Delete files, and the folders under `below` that become empty; returns those that are gone."""
        gone = [path for path in paths if self._file(path)]
        if not self.dry_run:
            for path in gone:
                _drop_empty_parents(path, below=below)
        return gone

    def folders(self, paths: Iterable[Path]) -> int:
        """Delete whole folders; returns how many."""
        return sum(self._folder(path) for path in paths)

    def model(self, models_dir: Path, version: str) -> bool:
        """Delete a version; whether it is gone."""
        size = sum(map(size_of, (models_dir / version).iterdir()))
        gone = self._remove(models_dir / version, size, lambda: sealed_folder.delete(models_dir, version))
        if gone and not self.dry_run:
            log.info("deleted model %s: neither in use nor among the newest", version)
        return gone

    def _file(self, path: Path) -> bool:
        return self._remove(path, size_of(path), path.unlink)

    def _folder(self, path: Path) -> bool:
        return self._remove(path, sum(map(size_of, path.rglob("*"))), lambda: shutil.rmtree(path))

    def _remove(self, path: Path, size: int, delete: Callable[[], object]) -> bool:
        if not self.dry_run:
            try:
                delete()
            except FileNotFoundError:
                return False  # another run deletes the same
            except (OSError, ArtifactError) as error:
                self.failed.append(f"{path} ({getattr(error, 'strerror', None) or error})")
                return False
        self.freed += size
        return True


def older(paths: Iterable[Path], *, before: datetime, folders: bool = False) -> list[Path]:
    """The plain files (or folders) among `paths` that were last changed before `before`; a link is neither."""
    wanted = stat.S_ISDIR if folders else stat.S_ISREG
    found = []
    for path in paths:
        try:
            status = path.lstat()
        except OSError:
            continue  # gone, or in a folder that this process may not read
        if wanted(status.st_mode) and status.st_mtime < before.timestamp():
            found.append(path)
    return sorted(found)


def size_of(path: Path) -> int:
    """Bytes of a file or folder entry; 0 where it is gone or may not be looked at."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _drop_empty_parents(path: Path, *, below: Path) -> None:
    for parent in path.parents:
        if parent == below:
            return
        try:
            parent.rmdir()
        except OSError:
            return  # not empty, or gone already
