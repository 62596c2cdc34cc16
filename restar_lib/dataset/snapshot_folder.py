"""A training set on disk: three JSON Lines files and the manifest that was written last.

The name of the folder is the hash of its content, not of its bytes: the same rows give the same name whatever zlib
packed them. A folder appears by one rename, so a half-written one is never seen. Knows no database and no model.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from restar_lib.atomic_files import flush_folder, write_flushed
from restar_lib.domain import Example, Sentiment, Side, TruthSource
from restar_lib.errors import SnapshotError

MANIFEST: Final = "manifest.json"
NOTE: Final = "forgotten.json"
"""Replaces a snapshot that was rewritten because people in it were erased (`privacy.snapshot_rewriting`)."""
FORMAT: Final = 1
HASH_CHARS: Final = 16

Sides = Mapping[Side, Sequence[Example]]


@dataclass(frozen=True, kw_only=True)
class SnapshotManifest:
    """What `manifest.json` says: the hash of the snapshot, and rows and content hash of each side."""

    snapshot_hash: str
    rows: dict[str, int]
    sha256: dict[str, str]
    frozen_at: str
    """When this content was first frozen; no part of the hash."""
    titles: bool = False
    """Whether the texts begin with their titles."""
    format: int = FORMAT

    @classmethod
    def read(cls, path: Path) -> Self:
        """The manifest in a snapshot's folder. Raises `SnapshotError` where there is none, or of another format."""
        file = path / MANIFEST
        if (path / NOTE).exists():
            raise SnapshotError(
                f"snapshot {path.name} is gone, because people in it were forgotten: {path / NOTE} names what is left. "
                "Freeze a new snapshot"
            )
        try:
            manifest = cls(**json.loads(file.read_text(encoding="utf-8")))
            datetime.fromisoformat(manifest.frozen_at)
            content_hash = _hash_of(manifest.sha256)
        except (OSError, TypeError, ValueError, KeyError) as error:
            raise SnapshotError(f"{file}: no readable manifest, the snapshot is incomplete: {error}") from None
        if manifest.format != FORMAT or manifest.snapshot_hash != content_hash:
            raise SnapshotError(f"{file}: the manifest was altered or is of another format; freeze a new snapshot")
        return manifest


def what_is_left(folder: Path) -> Path:
    """The folder of a snapshot: its own or, where people in it were forgotten, of what it was rewritten as.

    Its own as well where too little was left, or where it is not on this disk: reading it says so.
    """
    while new := _rewritten_as(folder):
        folder = folder.with_name(new)
    return folder


def _rewritten_as(folder: Path) -> str | None:
    try:
        return json.loads((folder / NOTE).read_text(encoding="utf-8")).get("rewritten_as")  # type: ignore[no-any-return]
    except (OSError, ValueError, AttributeError):
        return None


def write_folder(parent: Path, sides: Sides, *, now: datetime, titles: bool = False) -> Path:
    """Write the folder `parent/<hash>` unless it exists; returns it."""
    contents = {side.value: [_line(row) for row in sides[side]] for side in Side}
    sha256 = {name: _sha256(lines) for name, lines in contents.items()}
    manifest = SnapshotManifest(
        snapshot_hash=_hash_of(sha256),
        rows={name: len(lines) for name, lines in contents.items()},
        sha256=sha256,
        frozen_at=now.isoformat(),
        titles=titles,
    )
    final = parent / manifest.snapshot_hash
    if not final.exists():
        partial = parent / f".{manifest.snapshot_hash}.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _fill(partial, contents, manifest)
        except BaseException:
            # Otherwise each try on a full disk would leave more bytes behind.
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _rename(partial, final)
    return final


def read_side(path: Path, side: Side) -> tuple[Example, ...]:
    """The rows of a side. Raises `SnapshotError` naming a file that is missing, broken or altered."""
    manifest, file = SnapshotManifest.read(path), path / side_file(side)
    try:
        lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    except (OSError, EOFError, zlib.error) as error:
        raise SnapshotError(f"{file}: cannot be read: {error}; freeze a new snapshot") from None
    if _sha256(lines) != manifest.sha256[side.value]:
        raise SnapshotError(f"{file}: is not what the manifest says, it was altered; freeze a new snapshot")
    try:
        return tuple(_example(json.loads(line)) for line in lines)
    except (TypeError, ValueError, KeyError) as error:
        raise SnapshotError(f"{file}: holds other rows than this version writes ({error}); freeze a new one") from None


def _fill(partial: Path, contents: Mapping[str, Sequence[bytes]], manifest: SnapshotManifest) -> None:
    partial.mkdir(parents=True)
    for name, lines in contents.items():
        # No time in the header: the same rows give the same file.
        write_flushed(partial / side_file(Side(name)), gzip.compress(b"".join(lines), mtime=0))
    write_flushed(partial / MANIFEST, json.dumps(asdict(manifest), indent=2, sort_keys=True).encode() + b"\n")
    flush_folder(partial)


def _rename(partial: Path, final: Path) -> None:
    try:
        partial.rename(final)  # a whole folder at once; `atomic_files` replaces single files
    except OSError:
        # Another process froze the same content at the same time and was first; the two are equal.
        shutil.rmtree(partial)
        if not final.exists():
            raise
    flush_folder(final.parent)


def side_file(side: Side) -> str:
    """Name of the file that holds a side."""
    return f"{side.value}.jsonl.gz"


def _line(example: Example) -> bytes:
    content = asdict(example) | {"reviewed_at": example.reviewed_at.isoformat()}
    # ASCII only, so that no character of a text can be taken for the end of a line.
    return json.dumps(content, sort_keys=True).encode() + b"\n"


def _example(content: dict[str, Any]) -> Example:
    read = {
        "truth": Sentiment(content["truth"]),
        "truth_source": TruthSource(content["truth_source"]),
        "reviewed_at": datetime.fromisoformat(content["reviewed_at"]),
    }
    return Example(**content | read)


def _sha256(lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def _hash_of(sha256: Mapping[str, str]) -> str:
    content = json.dumps({"format": FORMAT, **{side.value: sha256[side.value] for side in Side}}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:HASH_CHARS]
