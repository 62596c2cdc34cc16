"""Finds and opens files: on this machine, or on any storage that fsspec knows (`s3://`, `memory://`, ...).

A path or URL names a file, a glob or a folder; its files come in the order of their names, each with a signature that
changes when it is written to. Of files on this machine only the names are kept, so a folder may hold very many.
Credentials stay where a storage's own tools look for them (for S3 `AWS_ACCESS_KEY_ID`,
profiles, instance roles); `source.storage` holds the rest, such as an endpoint. It knows nothing of what is in a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import has_magic
from pathlib import Path
from typing import Any, BinaryIO, cast

from restar_lib.errors import ConfigurationError, SourceError

PLAIN_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".tab")
PACKED = (".gz", ".zst", ".bz2")
ENDINGS = (
    ".parquet",
    ".xlsx",
    ".zip",
    *(ending + packed for ending in PLAIN_ENDINGS for packed in ("", *PACKED)),
)
"""What is taken from a folder, in any case; a file or a glob may be called anything."""
WANTED = (
    "give a file, a glob or a folder of JSON Lines, JSON, CSV, TSV (plain, .gz, .bz2, .zst or .zip), Excel (.xlsx) or "
    "Parquet, or a URL of one"
)
SHOWN_NAMES = 5
SECRET = ("key", "secret", "token", "password")
MARKS = ("etag", "ETag", "LastModified", "last_modified", "mtime", "modified", "created", "version_id")
"""Properties that storages report of a file, and that change when it is written to."""


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file, found but not opened."""

    name: str
    """Below its folder or glob: what the cursor calls it, so that moving everything elsewhere changes no cursor."""
    address: str
    """Where it is, for people."""
    size: int
    signature: list[Any]
    """Changes when the file is written to; a file that was read to its end is not opened again while it is the same."""
    modified_at: datetime | None = None
    """When it was written; None where the storage does not say."""
    open: Callable[[], BinaryIO]


class FoundFiles(Mapping[str, StoredFile]):
    """Files by name, in reading order: without hidden ones, which are half-written or belong to another program.

    A file is looked at when it is asked for. Raises `SourceError` for one that has vanished since.
    """

    def __init__(
        self,
        names: Iterable[str],
        look_at: Callable[[str], StoredFile],
        *,
        problems: Sequence[str] = (),
        all_wanted: bool = True,
    ) -> None:
        """`problems` names what could not be listed; it may grow while `names` is read.

        Of a folder not `all_wanted` are taken: the others are named by `not_taken`.
        """
        visible = sorted(name for name in names if not any(part[:1] == "." for part in name.split("/")))
        self._names = [name for name in visible if all_wanted or name.lower().endswith(ENDINGS)]
        others = [] if all_wanted else [name for name in visible if not name.lower().endswith(ENDINGS)]
        self._look_at = look_at
        self.problems = tuple(problems)
        self.not_taken = _named(others)
        """What else lies in the folder, in words; empty where nothing does."""

    def __getitem__(self, name: str) -> StoredFile:
        """The file, as it is now."""
        try:
            return self._look_at(name)
        except OSError as error:
            raise SourceError(f"{name}: {error.strerror or error}; put it back, or run again without it") from error

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)


def find_files(path: str, *, storage: Mapping[str, Any] | None = None) -> FoundFiles:
    """The files at `path` in reading order, by name. Raises `SourceError` where there is nothing to read."""
    if not path:
        raise SourceError(f"source.path is empty: {WANTED}")
    try:
        return _on_storage(path, storage or {}) if "://" in path else _on_this_machine(path)
    except OSError as error:  # a folder that vanishes while it is listed
        raise SourceError(f"{path}: {error.strerror or error}; run again when it is there") from error


def refuse_secrets(storage: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for a credential in `source.storage`: `restar config show` prints what is in there."""
    for option in storage:
        if option.lower().rsplit("_", 1)[-1] in SECRET:
            raise ConfigurationError(
                f"source.storage.{option}: credentials do not belong into the configuration; put them where the "
                "storage's own tools look for them (S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, a profile or a role)"
            )


def _on_this_machine(path: str) -> FoundFiles:
    place = Path(path).expanduser()
    if place.is_file():
        return _local([place.name], below=place.parent)
    if place.is_dir():
        problems: list[str] = []
        found = _local(_names_below(place, problems=problems), below=place, problems=problems, all_wanted=False)
        return _require_some(found, path)
    if not has_magic(path):
        raise SourceError(f"{path}: there is no such file or folder; {WANTED}")
    parts = place.parts
    fixed = Path(*parts[: next(number for number, part in enumerate(parts) if has_magic(part))])
    matches = (file for file in fixed.glob(str(place.relative_to(fixed))) if file.is_file())
    return _local((file.relative_to(fixed).as_posix() for file in matches), below=fixed) or _nothing(path)


def _names_below(folder: Path, prefix: str = "", *, problems: list[str]) -> Iterator[str]:
    """The files below a folder, links to files included; links to folders are not followed.

    A folder in it that may not be read keeps no other back: it is added to `problems`.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                if Path(entry.path).is_file():  # of a link to itself, an entry's own method raises
                    yield prefix + entry.name
                continue
            try:
                yield from _names_below(folder / entry.name, f"{prefix}{entry.name}/", problems=problems)
            except PermissionError as error:
                problems.append(f"{entry.path}: {error.strerror}; make it readable, or move it away")


def _local(names: Iterable[str], *, below: Path, problems: Sequence[str] = (), all_wanted: bool = True) -> FoundFiles:
    return FoundFiles(names, lambda name: _local_file(name, below / name), problems=problems, all_wanted=all_wanted)


def _require_some(found: FoundFiles, path: str) -> FoundFiles:
    """An empty folder may be filled later; one with other files alone is the wrong folder."""
    if not found and found.not_taken:
        raise SourceError(f"{path}: there is nothing here that we read, only {found.not_taken}; {WANTED}")
    return found


def _named(others: Sequence[str]) -> str:
    """Names of files in words, the first few."""
    more = f" and {len(others) - SHOWN_NAMES:,} more" if len(others) > SHOWN_NAMES else ""
    return ", ".join(others[:SHOWN_NAMES]) + more


def _local_file(name: str, file: Path) -> StoredFile:
    status = file.stat()
    return StoredFile(
        name=name,
        address=str(file),
        size=status.st_size,
        signature=[status.st_size, status.st_mtime_ns],
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        open=lambda: file.open("rb"),
    )


def _nothing(path: str) -> FoundFiles:
    raise SourceError(f"{path}: no file matches; {WANTED}")


def _on_storage(url: str, storage: Mapping[str, Any]) -> FoundFiles:
    from fsspec.core import url_to_fs

    refuse_secrets(storage)
    try:
        system, place = url_to_fs(url, **storage)
        system.invalidate_cache()  # a folder that grows: nothing remembered from the last look
        found = _listed(system, place)
    except SourceError:
        raise
    except Exception as error:  # each storage has its own errors, and fsspec passes them on
        raise _unreachable(url, error) from error
    _require_some(found, url)
    if not found and not url.endswith("/"):  # a folder may be empty, and storages keep no empty folders
        raise SourceError(
            f"{url}: there is no such file, and nothing that can be read below it (a folder that may be empty ends "
            f"with /); {WANTED}"
        )
    return found


def _listed(system: Any, place: str) -> FoundFiles:
    is_folder = False
    if has_magic(place):
        fixed = place[: next(number for number, sign in enumerate(place) if sign in "*?[")].rpartition("/")[0]
        found, below = system.glob(place, detail=True), fixed
    elif system.isfile(place):
        found, below = {place: system.info(place)}, place.rpartition("/")[0]
    else:
        found, below, is_folder = system.find(place, detail=True), place.rstrip("/"), True
    files = {key: info for key, info in found.items() if info.get("type") != "directory"}
    named = {key.removeprefix(below).lstrip("/"): (key, info) for key, info in files.items()}
    return FoundFiles(named, lambda name: _remote_file(system, name, *named[name]), all_wanted=not is_folder)


def _remote_file(system: Any, name: str, key: str, info: Mapping[str, Any]) -> StoredFile:
    address = system.unstrip_protocol(key)
    size = int(info.get("size") or 0)

    def opened() -> BinaryIO:
        try:
            return cast("BinaryIO", system.open(key, "rb"))
        except OSError:
            raise
        except Exception as error:
            raise _unreachable(address, error) from error

    signature = [size, *(str(info[mark]) for mark in MARKS if mark in info)]
    return StoredFile(
        name=name, address=address, size=size, signature=signature, modified_at=_modified_at(info), open=opened
    )


def _modified_at(info: Mapping[str, Any]) -> datetime | None:
    """When a file of a storage was written, by whichever of its properties says so."""
    for mark in MARKS:
        if isinstance(info.get(mark), datetime):
            return cast("datetime", info[mark]).astimezone(UTC)
    return None


def _unreachable(url: str, error: Exception) -> SourceError:
    return SourceError(
        f"{url}: the storage does not answer as it should ({type(error).__name__}: {error}); look at the address, "
        "the credentials that its own tools find, and source.storage, and run again"
    )
