"""Files that survive a kill and a power cut: a reader sees the old content or the new one, never half of one.

`write_text`, `write_bytes` and, for content that comes in pieces, `atomic_write` replace one file. `write_flushed`,
`flush` and `flush_folder` are for a module that fills a folder which nobody reads yet and makes it visible by renaming
it. It knows nothing of what the files mean.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

PRIVATE, READABLE = 0o600, 0o644
TEMPORARY: Final = re.compile(r"\.(?P<name>.+)-[a-z0-9_]{8}")
"""The name of a file that `atomic_write` has not renamed yet; `name` is what it would have become."""


def write_text(path: Path, content: str, *, mode: int = PRIVATE) -> None:
    """Replace `path` by a file with this text. Raises `OSError`, and `path` is as it was."""
    write_bytes(path, content.encode(), mode=mode)


def write_bytes(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Replace `path` by a file with this content. Raises `OSError`, and `path` is as it was."""
    with atomic_write(path, mode=mode) as file:
        file.write(content)


@contextmanager
def atomic_write(path: Path, *, mode: int = PRIVATE) -> Iterator[IO[bytes]]:
    """A new file beside `path`; when the block ends it is flushed to disk and renamed over `path`.

    Where the block raises, the new file is deleted and `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def name_of_temporary(path: Path) -> str | None:
    """The name that a temporary file of `atomic_write` would have got; None for any other file.

    Where no process writes it now, a kill has left it.
    """
    found = TEMPORARY.fullmatch(path.name)
    return found["name"] if found else None


def delete(path: Path) -> None:
    """Delete a file, or a folder that stands in its place; none there is no error. Raises `OSError`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file in a folder that nobody reads yet; returns when its content is on the disk."""
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
