"""The files of one data set on the hub: the commit that a name means, what files it has, their bytes from anywhere on.

Reads the repository's files by HTTP range from the addresses that the hub resolves, one block at a time, so memory is
bounded and reading may begin at any byte. It runs no script of a data set and downloads no file whole. Requests that
fail are repeated by `hub_retry`; knows nothing of reviews and cursors (`ingest.sources.hub`).
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from posixpath import dirname
from typing import TYPE_CHECKING, Any, Self

from restar_lib.errors import SourceError
from restar_lib.ingest.sources.hub_retry import Result, ShortAnswer, ask_hub
from restar_lib.settings import HubSettings

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PARTIAL, BEHIND_THE_END = 206, 416


@dataclass(frozen=True, kw_only=True)
class Block:
    """Bytes of a file, and how many the whole file has."""

    content: bytes
    total: int


@dataclass(frozen=True, kw_only=True)
class HubFiles:
    """The data set `config.dataset`."""

    config: HubSettings
    sleep: Callable[[float], None] = time.sleep
    """How the pauses between two tries are spent."""

    @classmethod
    def from_config(cls, config: HubSettings) -> Self:
        """As configured in section `hub`."""
        # It logs every address that it asks, signed ones of the storage included.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        return cls(config=config)

    def commit(self, revision: str) -> str:
        """The commit (40 hex digits) that a branch, a tag or a commit means now."""
        api = self._api()

        def ask() -> str | None:
            info = api.dataset_info(self.config.dataset, revision=revision, timeout=self.config.timeout_seconds)
            return info.sha

        found = self._ask(ask, what=f"{self.config.dataset} at {revision}")
        if found is None:
            raise SourceError(f"{self.config.dataset} at {revision}: the hub names no commit; set hub.revision to one")
        return found

    def refuse_missing(self, paths: dict[str, str], *, commit: str) -> None:
        """Raise `SourceError` naming the first category of `paths` whose file is not there, and those that are."""
        folders = sorted({dirname(path) for path in paths.values()})
        there = [file for folder in folders for file in self._listing(folder, commit=commit)]
        for category, path in paths.items():
            if path not in there:
                raise SourceError(
                    f"hub.categories: {category!r} has no file {path} in {self.config.dataset} at {commit[:12]}; "
                    f"there are: {', '.join(there[:40]) or 'none'}"
                )

    def open(self, path: str, *, commit: str, begin: int) -> io.BufferedReader:
        """The content of a file from byte `begin` on; nothing is requested before it is read."""
        ranges: io.RawIOBase = _Ranges(self, path, commit=commit)
        ranges.seek(begin)
        return io.BufferedReader(ranges, buffer_size=self.config.block_bytes)

    def block(self, path: str, *, commit: str, begin: int, length: int) -> Block:
        """At most `length` bytes from `begin` on, fewer only at the end of the file. Raises `SourceError`."""
        from huggingface_hub import hf_hub_url

        repository = {"repo_id": self.config.dataset, "repo_type": "dataset", "revision": commit}
        url = hf_hub_url(filename=path, endpoint=self.config.endpoint or None, **repository)
        return self._ask(lambda: self._range(url, begin=begin, end=begin + length), what=f"{path}, byte {begin:,}")

    def _listing(self, folder: str, *, commit: str) -> list[str]:
        api = self._api()

        def ask() -> list[str]:
            entries = api.list_repo_tree(self.config.dataset, folder or None, revision=commit, repo_type="dataset")
            return [entry.path for entry in entries]

        return self._ask(ask, what=f"{self.config.dataset}/{folder}")

    def _range(self, url: str, *, begin: int, end: int) -> Block:
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

        headers = build_hf_headers(token=self._token()) | {
            "range": f"bytes={begin}-{end - 1}",
            "accept-encoding": "identity",  # a packed answer would have another length
        }
        with get_session().stream("GET", url, headers=headers, timeout=self.config.timeout_seconds) as response:
            if response.status_code == BEHIND_THE_END:
                return Block(content=b"", total=begin)
            hf_raise_for_status(response)
            if response.status_code != PARTIAL:
                raise SourceError(
                    f"{url}: the answer to a request for bytes {begin:,} to {end:,} is the whole file; "
                    "is a proxy in between that drops the header Range?"
                )
            content: bytes = response.read()
            total = int(response.headers["content-range"].rpartition("/")[2])
        announced = min(end, total) - begin
        if len(content) != announced:
            raise ShortAnswer(f"{len(content):,} of {announced:,} bytes arrived")
        return Block(content=content, total=total)

    def _ask(self, request: Callable[[], Result], *, what: str) -> Result:
        return ask_hub(request, what=what, config=self.config, sleep=self.sleep)

    def _api(self) -> HfApi:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.config.endpoint or None, token=self._token())

    def _token(self) -> str | bool:
        # False: a token that lies somewhere in a home folder is not ours to send.
        return self.config.token.get_secret_value() if self.config.token else False


class _Ranges(io.RawIOBase):
    """One file as a raw stream of ranges, for `BufferedReader`."""

    def __init__(self, files: HubFiles, path: str, *, commit: str) -> None:
        self._files, self._path, self._commit = files, path, commit
        self._position, self._total = 0, sys.maxsize

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end of a file on the hub is known when it is reached")
        self._position = offset if whence == io.SEEK_SET else self._position + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._total:
            return 0
        block = self._files.block(self._path, commit=self._commit, begin=self._position, length=len(buffer))
        read, self._total = len(block.content), block.total
        buffer[:read] = block.content
        self._position += read
        return read
