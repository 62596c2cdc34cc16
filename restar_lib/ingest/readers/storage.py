"""Finds and opens files: on this machine, or on any storage that fsspec knows (`s3://`, `memory://`, ...).

A path or URL names a file, a glob or a folder; its files come in the order of their names, each with a signature that
changes when it is written to. Credentials stay where a storage's own tools look for them (for S3 `AWS_ACCESS_KEY_ID`,
profiles, instance roles); `source.storage` holds the rest, such as an endpoint. It knows nothing of what is in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any, BinaryIO, cast

from restar_lib.errors import ConfigurationError, SourceError

PLAIN_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
PACKED = (".gz", ".zst")
ENDINGS = (".parquet", *(ending + packed for ending in PLAIN_ENDINGS for packed in ("", *PACKED)))
"""What is taken from a folder; a file or a glob may be called anything."""
WANTED = (
    "give a file, a glob or a folder of JSON Lines, JSON, CSV, TSV (plain, .gz or .zst) or Parquet, or a URL of one"
)
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
    open: Callable[[], BinaryIO]


def find_files(path: str, *, storage: Mapping[str, Any] | None = None) -> dict[str, StoredFile]:
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


def _on_this_machine(path: str) -> dict[str, StoredFile]:
    place = Path(path).expanduser()
    if place.is_file():
        return _local([place], below=place.parent)
    if place.is_dir():
        return _local((file for file in place.rglob("*") if file.name.endswith(ENDINGS)), below=place)
    if not has_magic(path):
        raise SourceError(f"{path}: there is no such file or folder; {WANTED}")
    parts = place.parts
    fixed = Path(*parts[: next(number for number, part in enumerate(parts) if has_magic(part))])
    return _local(fixed.glob(str(place.relative_to(fixed))), below=fixed) or _nothing(path)


def _local(files: Iterable[Path], *, below: Path) -> dict[str, StoredFile]:
    named = {file.relative_to(below).as_posix(): file for file in files if file.is_file()}
    return _visible({name: _local_file(name, file) for name, file in named.items()})


def _local_file(name: str, file: Path) -> StoredFile:
    status = file.stat()
    return StoredFile(
        name=name,
        address=str(file),
        size=status.st_size,
        signature=[status.st_size, status.st_mtime_ns],
        open=lambda: file.open("rb"),
    )


def _visible(named: Mapping[str, StoredFile]) -> dict[str, StoredFile]:
    """Sorted, without hidden files: those are half-written or belong to another program."""
    return {name: named[name] for name in sorted(named) if not any(part[:1] == "." for part in name.split("/"))}


def _nothing(path: str) -> dict[str, StoredFile]:
    raise SourceError(f"{path}: no file matches; {WANTED}")


def _on_storage(url: str, storage: Mapping[str, Any]) -> dict[str, StoredFile]:
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
    if not found and not url.endswith("/"):  # a folder may be empty, and storages keep no empty folders
        raise SourceError(
            f"{url}: there is no such file, and nothing that can be read below it (a folder that may be empty ends "
            f"with /); {WANTED}"
        )
    return found


def _listed(system: Any, place: str) -> dict[str, StoredFile]:
    if has_magic(place):
        fixed = place[: next(number for number, sign in enumerate(place) if sign in "*?[")].rpartition("/")[0]
        found, below = system.glob(place, detail=True), fixed
    elif system.isfile(place):
        found, below = {place: system.info(place)}, place.rpartition("/")[0]
    else:
        every = system.find(place, detail=True)
        found, below = {key: info for key, info in every.items() if key.endswith(ENDINGS)}, place.rstrip("/")
    files = {key: info for key, info in found.items() if info.get("type") != "directory"}
    named = {key.removeprefix(below).lstrip("/"): (key, info) for key, info in files.items()}
    return _visible({name: _remote_file(system, name, key, info) for name, (key, info) in named.items()})


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
    return StoredFile(name=name, address=address, size=size, signature=signature, open=opened)


def _unreachable(url: str, error: Exception) -> SourceError:
    return SourceError(
        f"{url}: the storage does not answer as it should ({type(error).__name__}: {error}); look at the address, "
        "the credentials that its own tools find, and source.storage, and run again"
    )
