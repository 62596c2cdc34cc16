"""The serving artifact: one sealed folder per model version, named by its content.

`seal` turns a work folder into `models/rs-<10 hex>`: every file is flushed to disk, `manifest.json` written last, and
one rename makes the folder visible. So a folder with that name is whole, or it was altered afterwards, and `verify`
says which file. A sealed folder is never written to again: what is known about a version later (its verdict) is a file
beside it, and so is what must not change its name (the record of its training), which is written before the folder
becomes visible. Weights are safetensors and ONNX, never pickle.

It does not load models (`inference.engine`), does not decide what serves (`releases.release`) and knows no database.
Called by training, the gate, the release, serving and housekeeping.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from restar_lib.atomic_files import READABLE, flush, flush_folder, name_of_temporary, write_text
from restar_lib.errors import ArtifactError

MANIFEST = "manifest.json"
REQUIRED = (
    "metrics.json",
    "model.json",
    "model.onnx",
    "model.safetensors",
    "probe.json",
    "reference.json",
    "tokenizer.json",
)
VERSION = re.compile(r"rs-[0-9a-f]{10}")
WORK_PREFIX = ".work-"
DELETED_PREFIX = ".deleted-"
ABANDONED_AFTER = timedelta(days=2)
"""A work folder this old was left by a training that was killed: none takes two days."""


@dataclass(frozen=True, kw_only=True)
class SealedFile:
    """What the manifest knows of one file."""

    sha256: str
    bytes: int


class SiblingFile(Protocol):
    """A file that is beside a sealed folder as soon as the folder is visible."""

    def write(self, models_dir: Path, version: str, /) -> None:
        """Write it as a sibling of `version`, whose folder is not visible yet."""


def new_work_folder(models_dir: Path) -> Path:
    """An empty folder to train into, on the same file system as the sealed ones (a rename cannot cross one)."""
    models_dir.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=models_dir))


def seal(work_folder: Path, models_dir: Path, *, beside: Sequence[SiblingFile] = ()) -> str:
    """Move a complete `work_folder` to `models_dir/<version>` by one rename; returns the version.

    What belongs `beside` it is written first, so a folder that can be seen has it. The same content gives the same
    version: where that is already sealed, the work folder is dropped. Raises `ArtifactError` naming a file that is
    missing, unexpected, or altered in the folder that is already there.
    """
    _drop_unfinished_manifest(work_folder)
    _refuse_incomplete(work_folder)
    files = {path.name: _flushed(path) for path in _files(work_folder)}
    version = _version_of(files)
    _write_manifest(work_folder, version, files)
    for one in beside:
        one.write(models_dir, version)
    _move(work_folder, models_dir / version)
    verify(models_dir / version)
    return version


def verify(folder: Path) -> Mapping[str, SealedFile]:
    """The files of a sealed folder, after reading all of them. Raises `ArtifactError` naming what is not as sealed."""
    sealed = _read_manifest(folder)
    present = {path.name for path in _files(folder)} - {MANIFEST}
    for name in sorted(set(sealed) | set(REQUIRED)):
        if name not in present or name not in sealed:
            raise ArtifactError(f"model {folder.name}: file {name} is missing; {_REMEDY}")
    for name in sorted(present - set(sealed)):
        raise ArtifactError(f"model {folder.name}: file {name} was added after sealing; {_REMEDY}")
    for name, file in sealed.items():
        if _described(folder / name) != file:
            raise ArtifactError(f"model {folder.name}: file {name} was altered after sealing; {_REMEDY}")
    if folder.name != _version_of(sealed):
        raise ArtifactError(f"model {folder.name}: {MANIFEST} belongs to {_version_of(sealed)}; {_REMEDY}")
    return sealed


def locate(models_dir: Path, version: str) -> Path:
    """The sealed folder of `version`, unread. Raises `ArtifactError` for a malformed or unknown name."""
    folder = models_dir / version
    if not VERSION.fullmatch(version) or not (folder / MANIFEST).is_file():
        known = ", ".join(versions(models_dir)[-5:]) or "none"
        raise ArtifactError(f"there is no sealed model {version!r} in {models_dir}; the newest are: {known}")
    return folder


def versions(models_dir: Path) -> tuple[str, ...]:
    """All sealed versions, the one that was sealed first comes first."""
    manifests = [path for path in models_dir.glob(f"*/{MANIFEST}") if VERSION.fullmatch(path.parent.name)]
    return tuple(path.parent.name for path in sorted(manifests, key=lambda path: (path.stat().st_mtime_ns, path)))


def folders(models_dir: Path) -> tuple[str, ...]:
    """The versions that have a folder, also where it is damaged, sorted."""
    return tuple(sorted(path.name for path in models_dir.glob("rs-*") if VERSION.fullmatch(path.name)))


def sibling(models_dir: Path, version: str, name: str) -> Path:
    """The path of a file beside a version's folder, for example `sibling(..., "verdict.json")`."""
    return models_dir / f"{version}.{name}"


def old_versions(models_dir: Path, *, in_use: Collection[str], keep: int) -> tuple[str, ...]:
    """The versions that may be deleted: not among the newest `keep`, and not in `in_use` (champion, previous)."""
    everything = versions(models_dir)
    newest = everything[max(len(everything) - keep, 0) :]
    return tuple(version for version in everything if version not in newest and version not in in_use)


def delete(models_dir: Path, version: str) -> None:
    """Delete one version and its siblings. It disappears by one rename, so no reader finds half of it."""
    renamed = models_dir / f"{DELETED_PREFIX}{version}"
    locate(models_dir, version).rename(renamed)
    shutil.rmtree(renamed)
    for path in models_dir.glob(f"{version}.*"):
        path.unlink(missing_ok=True)


def abandoned(models_dir: Path, *, now: datetime) -> tuple[Path, ...]:
    """Folders that a killed training or deletion left behind; they may be removed."""
    latest = (now - ABANDONED_AFTER).timestamp()
    work = (path for path in models_dir.glob(f"{WORK_PREFIX}*") if path.stat().st_mtime < latest)
    return (*sorted(work), *sorted(models_dir.glob(f"{DELETED_PREFIX}*")))


def orphans(models_dir: Path) -> tuple[Path, ...]:
    """Files beside a version that is not there: a seal was killed before its rename, or a deletion half-way.

    A version whose folder is damaged is there. Temporary files that a kill has left are orphans of any version.
    """
    beside = (path for path in models_dir.glob("rs-*.*") if VERSION.fullmatch(path.name.partition(".")[0]))
    alone = [path for path in beside if path.is_file() and not (models_dir / path.name.partition(".")[0]).exists()]
    left = [path for path in models_dir.glob(".rs-*") if path.is_file() and name_of_temporary(path)]
    return tuple(sorted([*alone, *left]))


_REMEDY = "restore the folder or release another version"


def _refuse_incomplete(folder: Path) -> None:
    names = {path.name for path in _files(folder)}
    for name in REQUIRED:
        if name not in names:
            raise ArtifactError(f"{folder}: file {name} is missing, so this model cannot be sealed; train again")


def _drop_unfinished_manifest(folder: Path) -> None:
    """A seal that was killed before its rename may have left one."""
    for path in (*folder.glob(MANIFEST), *folder.glob(f".{MANIFEST}-*")):
        path.unlink()


def _move(work_folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        work_folder.rename(target)  # a whole folder at once; `atomic_files` replaces single files
    except OSError as error:
        # Content that is already sealed, by an earlier run or at this moment by another one, is no conflict.
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        shutil.rmtree(work_folder)
    flush_folder(target.parent)


def _files(folder: Path) -> Iterator[Path]:
    """Regular files of the folder. Raises `ArtifactError` for anything else: a link's target could change later."""
    if not folder.is_dir():
        raise ArtifactError(f"there is no model folder {folder}; {_REMEDY}")
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise ArtifactError(f"model {folder.name}: {path.name} is not a plain file; {_REMEDY}")
        yield path


def _described(path: Path) -> SealedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return SealedFile(sha256=digest, bytes=file.tell())


def _flushed(path: Path) -> SealedFile:
    described = _described(path)
    flush(path)
    return described


def _version_of(files: Mapping[str, SealedFile]) -> str:
    """`rs-` and 10 hex digits of the SHA-256 over the sorted names and hashes of all files but the manifest."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {files[name].sha256}\n".encode())
    return f"rs-{digest.hexdigest()[:10]}"


def _write_manifest(folder: Path, version: str, files: Mapping[str, SealedFile]) -> None:
    content = {
        "version": version,
        "files": {name: {"sha256": file.sha256, "bytes": file.bytes} for name, file in files.items()},
    }
    write_text(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n", mode=READABLE)
    folder.chmod(0o755)  # mkdtemp made it private, and serving may run as another user


def _read_manifest(folder: Path) -> dict[str, SealedFile]:
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {name: SealedFile(sha256=file["sha256"], bytes=file["bytes"]) for name, file in content["files"].items()}
    except FileNotFoundError:
        raise ArtifactError(f"model {folder.name}: file {MANIFEST} is missing; {_REMEDY}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"model {folder.name}: file {MANIFEST} was altered ({error!r}); {_REMEDY}") from None
