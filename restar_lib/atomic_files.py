"""Files that survive a kill and a power cut: a reader sees the old content or the new one, never half of one.

`write_text` and `replace_bytes` for a small file that is replaced; `flush` and `flush_folder` for whoever fills a
folder and makes it visible by one rename. It knows nothing of what the files mean.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE, READABLE = 0o600, 0o644


def write_text(path: Path, content: str, *, mode: int = PRIVATE) -> None:
    """Write beside `path`, flush to disk, rename over it. Raises `OSError`, and `path` is as it was."""
    replace_bytes(path, content.encode(), mode=mode)


def replace_bytes(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """`write_text` for a small file that is no text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that nobody else sees yet, down to the disk."""
    path.write_bytes(content)
    flush(path)


def flush(path: Path) -> None:
    """Return when the content of a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk: a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
