"""A published training set as a source of reviews: the folder or the data set on the hub that was pushed.

`source.path` names the folder that `restar snapshot push` wrote, or `owner/name` on the hub, with `@` and a revision
behind it where it is not `main`. Every row of every split becomes a review; its side comes from its text, as always, so
a set whose sides were decided by another rule is refused: its eval rows would teach. It reads stars: labels that people
gave to the published rows stay in the files and become no labels here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from restar_lib.errors import SnapshotError, SourceError
from restar_lib.ingest.file_rows import usual_options
from restar_lib.ingest.raw_rows import FIELDS, Cursor, FieldMapping, FileStates, RawRow, no_file_is_read
from restar_lib.ingest.sources.base import check_kind
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.ingest.sources.hub import HubSource
from restar_lib.ingest.sources.hub_files import HubFiles
from restar_lib.ingest.sources.published_manifest import MANIFEST, PublishedManifest
from restar_lib.settings import DatasetSettings, HubSettings, Settings
from restar_lib.splits import split_rule_hash

OURS = FieldMapping({name: (name,) for name in FIELDS})
KIND = "snapshot"


@dataclass(frozen=True, kw_only=True)
class SnapshotSource:
    """The published set at `path`."""

    name: str
    path: str
    hub: HubSettings
    dataset: DatasetSettings
    kind: str = KIND

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """As configured in section `source`."""
        return cls(name=settings.source.name, path=settings.source.path, hub=settings.hub, dataset=settings.dataset)

    def rows(self, cursor: Cursor | None, files: FileStates = no_file_is_read, /) -> Iterator[RawRow]:
        """All rows after `cursor`. Raises `SourceError` where it is not there, altered, or of another rule."""
        check_kind(self, cursor)
        if self._is_local:
            if cursor is None:
                self._refuse_altered(self.manifest())
            yield from self._local.rows(cursor, files)
        else:
            yield from self._remote(cursor).rows(cursor)

    def manifest(self) -> PublishedManifest:
        """What the set says of itself. Raises `SourceError` where it is none of ours, or of another rule."""
        content = self._read_local() if self._is_local else self._read_remote(self._hub_files(), self._commit(None))
        try:
            manifest = PublishedManifest.from_json(content, where=f"{self.path}/{MANIFEST}")
        except SnapshotError as error:
            raise SourceError(str(error)) from None
        if manifest.split_rule != split_rule_hash(self.dataset):
            raise SourceError(
                f"{self.path}: its texts were put on their sides by another rule, so its eval rows could teach here: "
                "set dataset.split_key, dataset.test_share and dataset.validation_share to those of its publisher"
            )
        return manifest

    @property
    def _is_local(self) -> bool:
        if not self.path:
            raise SourceError("source.path is empty: name what `restar snapshot push` wrote, a folder or owner/name")
        return Path(self.path).expanduser().is_dir() or self.path.startswith((".", "/", "~"))

    @property
    def _local(self) -> FilesSource:
        return FilesSource(
            name=self.name, path=str(Path(self.path).expanduser() / "data"), options=usual_options(OURS), kind=KIND
        )

    def _remote(self, cursor: Cursor | None) -> HubSource:
        """The files of the set as the categories of a data set, at one commit."""
        files, commit = self._hub_files(), self._commit(cursor)
        names = tuple(self.manifest().files) if cursor is None else tuple(cursor["offsets"])
        config = files.config.model_copy(update={"revision": commit, "path": "{category}", "categories": names})
        return HubSource(name=self.name, config=config, mapping=OURS, files=files, kind=KIND, names_categories=False)

    def _hub_files(self) -> HubFiles:
        dataset = self.path.partition("@")[0]
        return HubFiles.from_config(self.hub.model_copy(update={"dataset": dataset}))

    def _commit(self, cursor: Cursor | None) -> str:
        if cursor is not None:
            return str(cursor["revision"])
        return self._hub_files().commit(self.path.partition("@")[2] or "main")

    def _read_local(self) -> bytes:
        file = Path(self.path).expanduser() / MANIFEST
        try:
            return file.read_bytes()
        except OSError as error:
            raise SourceError(f"{file}: {error.strerror}; name a folder that `restar snapshot push` wrote") from None

    def _read_remote(self, files: HubFiles, commit: str) -> bytes:
        files.refuse_missing({MANIFEST: MANIFEST}, commit=commit)
        with files.open(MANIFEST, commit=commit, begin=0) as content:
            return content.read()

    def _refuse_altered(self, manifest: PublishedManifest) -> None:
        for name, described in manifest.files.items():
            try:
                with (Path(self.path).expanduser() / name).open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise SourceError(f"{self.path}/{name}: {error.strerror}; copy the whole folder again") from None
            if sha256 != described.sha256:
                raise SourceError(f"{self.path}/{name}: not what {MANIFEST} says, it was altered; copy it again")
