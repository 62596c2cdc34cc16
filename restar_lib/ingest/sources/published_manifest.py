"""The format in which a training set is published: JSON Lines for each category and split, and their manifest.

    README.md  snapshot.json  data/train/<category>.jsonl  data/dev/<category>.jsonl  data/eval/<category>.jsonl

`dev` are a snapshot's validation rows and `eval` its test rows: no text is in two splits, and one rule, named in
`snapshot.json`, chose the split of every text. Written by `publishing.publish_snapshot`, read back by
`ingest.sources.published`. It holds no user, no product and no title (titles leak the stars); it knows no hub and no
database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from restar_lib.domain import Side
from restar_lib.errors import SnapshotError

MANIFEST: Final = "snapshot.json"
CARD: Final = "README.md"
FORMAT: Final = 1
SPLITS: Final = {Side.TRAIN: "train", Side.VALIDATION: "dev", Side.TEST: "eval"}


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """What the manifest says of one file."""

    rows: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PublishedManifest:
    """What `snapshot.json` says."""

    snapshot_hash: str
    frozen_at: str
    split_rule: str
    """Which rule put the texts on their sides: a hash of `dataset.split_key` and the two shares."""
    simulated: bool
    files: Mapping[str, PublishedFile]
    format: int = FORMAT

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files.values())

    def to_json(self) -> bytes:
        """The content of the file."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, *, where: str) -> Self:
        """The inverse of `to_json`. Raises `SnapshotError` where it is not one of ours."""
        try:
            read: dict[str, Any] = json.loads(content)
            files = {name: PublishedFile(**file) for name, file in read["files"].items()}
            manifest = cls(**{**read, "files": files})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SnapshotError(f"{where}: not what `restar snapshot push` writes: {error}") from None
        if manifest.format != FORMAT:
            raise SnapshotError(f"{where}: form {manifest.format} of a published snapshot, this version reads {FORMAT}")
        return manifest
