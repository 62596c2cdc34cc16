"""A backup on disk: dumps, the files of the state folder, and the manifest that was written last.

The manifest names every file with size and SHA-256, so a backup that is cut short or altered is refused before anything
is restored. A folder appears by one rename; a `.tar` file is such a folder in one file. It knows no database.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Self

from restar_lib.atomic_files import atomic_write, flush, flush_folder, write_text
from restar_lib.errors import BackupError

MANIFEST: Final = "manifest.json"
FILES: Final = "files"
FORMAT: Final = 1
BLOCK: Final = 1 << 20
NOT_STATE: Final = frozenset(
    {"postgres", "logs", "run", "airflow", "cache", "runner.lock", "embedded.yaml", "lost+found"}
)
"""In the state folder, and in no backup: what the dumps hold, logs, and what is downloaded or written again."""
SECRETS: Final = "secrets.json"


@dataclass(frozen=True, kw_only=True)
class DumpInfo:
    """One database in a backup."""

    file: str
    revision: str | None
    """Of its schema."""
    rows: Mapping[str, int]
    """By table, at the moment of the dump."""


@dataclass(frozen=True, kw_only=True)
class BackupManifest:
    """What `manifest.json` says."""

    taken_at: str
    home: str
    embedded: bool
    databases: Mapping[str, DumpInfo]
    files: Mapping[str, tuple[int, str]]
    """Size and SHA-256 by path in the backup, dumps included."""
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(size for size, _ in self.files.values())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest of a backup. Raises `BackupError` where there is none, or one that is not ours."""
        path = folder / MANIFEST
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            databases = {name: DumpInfo(**info) for name, info in content["databases"].items()}
            files = {name: (int(size), str(sha256)) for name, (size, sha256) in content["files"].items()}
            manifest = cls(**content | {"databases": databases, "files": files})
        except FileNotFoundError:
            raise BackupError(f"{folder} has no {MANIFEST}: it is no backup, or one that was cut short") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BackupError(f"{path} is not a manifest of a backup ({error!r}); take another backup") from None
        manifest._check_names(path)
        if manifest.format != FORMAT:
            raise BackupError(f"{path}: format {manifest.format} is not known here; restore with the newer Re*Star")
        return manifest

    def _check_names(self, path: Path) -> None:
        """A backup may come from anywhere: no name of it may lead out of the folder that it is restored to."""
        for name in self.files:
            parts = PurePosixPath(name)
            if parts.is_absolute() or ".." in parts.parts or parts.as_posix() != name:
                raise BackupError(f"{path}: the name {name!r} leads elsewhere; this backup was not written by Re*Star")
        for name, info in self.databases.items():
            if info.file not in self.files:
                raise BackupError(f"{path}: the dump of database {name} is not among its files; take another backup")

    def write(self, folder: Path) -> None:
        """Write it, last: it says that the backup is complete."""
        write_text(folder / MANIFEST, json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def state_files(home: Path, *, secrets: bool) -> Iterator[Path]:
    """The files of a state folder that belong in a backup, relative to it; a name with a dot is still being written."""
    left_out = NOT_STATE if secrets else NOT_STATE | {SECRETS}
    for folder, folders, names in os.walk(home, onerror=_refuse):
        relative = Path(folder).relative_to(home)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and str(relative / name) not in left_out
        )
        for name in folders:
            if (home / relative / name).is_symlink():
                raise BackupError(f"{home / relative / name} is a link to a folder, which no backup follows: mount it")
        for name in sorted(names):
            path = relative / name
            if not name.startswith(".") and str(path) not in left_out and _is_plain(home / path):
                yield path


def copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file and flush it to disk; returns its size and SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(BLOCK):
            digest.update(block)
            size += len(block)
            writing.write(block)
    shutil.copymode(source, target)
    flush(target)
    return size, digest.hexdigest()


def size_and_hash(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path) -> BackupManifest:
    """The manifest, after every file was read. Raises `BackupError` naming a file that is missing or altered."""
    manifest = BackupManifest.read(folder)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise BackupError(f"{path}: missing from the backup; it was cut short or altered, take another one")
        if size_and_hash(path) != expected:
            raise BackupError(f"{path}: is not what was backed up, it was altered; take another one")
    return manifest


@contextmanager
def being_written(target: Path) -> Iterator[Path]:
    """A private folder that becomes `target` (one file where that ends in `.tar`) when the block ends well.

    Raises `BackupError` where `target` exists already.
    """
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise BackupError(f"{target} exists already: give the backup a new name, or remove the old one")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield partial
        _finish(partial, target)
    except OSError as error:
        raise BackupError(
            f"{target} could not be written: {error.strerror or error}; nothing was left there"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """The folder of a backup; a `.tar` file is unpacked beside it while the block runs. Raises `BackupError`."""
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=source.parent if source.exists() else None) as folder:
        try:
            with tarfile.open(source) as packed:
                packed.extractall(folder, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise BackupError(f"{source} is neither a folder nor a whole .tar file: {error}") from None
        yield Path(folder)


def _finish(partial: Path, target: Path) -> None:
    if target.suffix == ".tar":
        with atomic_write(target) as packed:
            _pack(partial, packed)
    else:
        partial.rename(target)  # a whole folder at once; `atomic_files` replaces single files
        flush_folder(target.parent)


def _pack(folder: Path, packed: IO[bytes]) -> None:
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False)


def _refuse(error: OSError) -> None:
    """A folder that cannot be read must not be missing from a backup silently."""
    raise BackupError(f"{error.filename}: {error.strerror}; make it readable, else the backup would not be whole")


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
