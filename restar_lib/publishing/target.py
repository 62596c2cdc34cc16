"""Where something is published: a folder that appears whole, or one commit in a repository on the hub.

Pushing the same content again changes nothing, so a push that was killed is simply repeated. On the hub a new
repository is private unless configured otherwise. It decides nothing about what is pushed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from restar_lib.atomic_files import flush_folder, write_flushed
from restar_lib.errors import ConfigurationError
from restar_lib.ingest.sources.hub_retry import ask_hub
from restar_lib.settings import HubSettings, Settings

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Content = Mapping[str, bytes | Path]
"""Files by their paths below the root: bytes, or a file to copy."""
Kind = Literal["dataset", "model"]


@dataclass(frozen=True, kw_only=True)
class PushResult:
    """What came of a push."""

    where: str
    files: int
    changed: bool
    """False where exactly this was there already."""
    commit: str | None = None


@dataclass(frozen=True, kw_only=True)
class PushTarget:
    """Where a push goes: what was asked for, else what is configured, else a folder of ours."""

    kind: Kind
    config: HubSettings
    asked_repository: str = ""
    configured_repository: str = ""
    folder: Path

    def push(self, content: Content, *, name: str) -> PushResult:
        """Publish under `name`: to the hub where a repository and a token are there, else below the folder."""
        if self.asked_repository:
            return to_hub(content, self.asked_repository, kind=self.kind, config=self.config, message=name)
        if self.configured_repository and self.config.token is not None:
            return to_hub(content, self.configured_repository, kind=self.kind, config=self.config, message=name)
        return to_folder(content, self.folder / name)


def target(settings: Settings, *, kind: Kind, repository: str, folder: Path | None) -> PushTarget:
    """As asked for on the command line; `folder` beats the configured repository."""
    configured = settings.hub.dataset_repository if kind == "dataset" else settings.hub.model_repository
    return PushTarget(
        kind=kind,
        config=settings.hub,
        asked_repository=repository,
        configured_repository="" if folder else configured,
        folder=folder or settings.published_dir / f"{kind}s",
    )


def to_folder(content: Content, folder: Path) -> PushResult:
    """Write a folder that appears by one rename. Raises `ConfigurationError` where another content has its name."""
    if folder.exists():
        if not _same(content, folder):
            raise ConfigurationError(
                f"{folder} exists with other content: remove it, or push with `--to` another folder"
            )
        return PushResult(where=str(folder), files=len(content), changed=False)
    partial = folder.parent / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _fill(partial, content)
        partial.rename(folder)  # a whole folder at once; `atomic_files` replaces single files
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    flush_folder(folder.parent)
    return PushResult(where=str(folder), files=len(content), changed=True)


def to_hub(content: Content, repository: str, *, kind: Kind, config: HubSettings, message: str) -> PushResult:
    """Make one commit with exactly these files below `data/`, and these beside others elsewhere.

    Raises `ConfigurationError` without a token, `HubError` where the hub does not take it.
    """
    if config.token is None:
        raise ConfigurationError("no token for the hub: set HF_TOKEN, or push into a folder with `--to`")
    from huggingface_hub import HfApi

    api = HfApi(endpoint=config.endpoint or None, token=config.token.get_secret_value())
    ask = partial(ask_hub, what=f"push to {repository}", config=config)
    ask(lambda: api.create_repo(repository, repo_type=kind, private=config.private, exist_ok=True))
    before = ask(lambda: api.repo_info(repository, repo_type=kind, revision="main").sha)
    after = ask(lambda: _commit(api, content, repository, kind=kind, message=message))
    address = f"{api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repository}"
    return PushResult(where=address, files=len(content), changed=before != after, commit=after)


def _commit(api: HfApi, content: Content, repository: str, *, kind: Kind, message: str) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    # Made anew for each try: the library writes into them.
    added = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=held) for path, held in content.items()]
    there = api.list_repo_files(repository, repo_type=kind)
    stale = [path for path in there if path.startswith("data/") and path not in content]
    deleted = [CommitOperationDelete(path_in_repo=path) for path in stale]
    operations: list[CommitOperationAdd | CommitOperationDelete] = [*added, *deleted]
    return str(api.create_commit(repository, operations, commit_message=message, repo_type=kind).oid)


def _fill(folder: Path, content: Content) -> None:
    for path, held in content.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_flushed(target, held if isinstance(held, bytes) else held.read_bytes())
    for parent in {(folder / path).parent for path in content}:
        flush_folder(parent)


def _same(content: Content, folder: Path) -> bool:
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if set(there) != set(content):
        return False
    both = ((there[path].read_bytes(), held) for path, held in content.items())
    return all(found == (held if isinstance(held, bytes) else held.read_bytes()) for found, held in both)
