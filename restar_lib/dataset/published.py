"""The form in which a training set is published: JSON Lines for each category and split, and what describes them.

    README.md  snapshot.json  data/train/<category>.jsonl  data/dev/<category>.jsonl  data/eval/<category>.jsonl

`dev` are a snapshot's validation rows and `eval` its test rows: no text stands in two splits, and one rule, named in
`snapshot.json`, decided for every text. Written by `publishing.snapshot`, read back by `ingest.published`. It holds no
user, no product and no title (titles leak the stars); it knows no hub and no database.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import Example, Side
from restar_lib.errors import SnapshotError
from restar_lib.settings import Dataset

MANIFEST: Final = "snapshot.json"
CARD: Final = "README.md"
FORMAT: Final = 1
SPLITS: Final = {Side.TRAIN: "train", Side.VALIDATION: "dev", Side.TEST: "eval"}
NO_CATEGORY: Final = "uncategorised"


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """What the manifest knows of one file."""

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


def split_rule(config: Dataset) -> str:
    """16 hex digits that are equal where every text stands on the same side."""
    rule = f"{config.split_key}:{config.test_share}:{config.validation_share}"
    return hashlib.sha256(rule.encode()).hexdigest()[:16]


def published_files(
    snapshot: Snapshot, config: Dataset, *, simulated: bool
) -> tuple[dict[str, bytes], PublishedManifest]:
    """The data files of a snapshot by their paths, and the manifest that describes them."""
    lines: dict[str, list[bytes]] = {}
    for side, split in SPLITS.items():
        for row in snapshot.examples(side):
            lines.setdefault(f"data/{split}/{_file_name(row.product_category)}.jsonl", []).append(_line(row))
    files = {path: b"".join(lines[path]) for path in sorted(lines)}
    manifest = PublishedManifest(
        snapshot_hash=snapshot.snapshot_hash,
        frozen_at=snapshot.frozen_at,
        split_rule=split_rule(config),
        simulated=simulated,
        files={path: _described(content, rows=len(lines[path])) for path, content in files.items()},
    )
    return files, manifest


def _described(content: bytes, *, rows: int) -> PublishedFile:
    return PublishedFile(rows=rows, sha256=hashlib.sha256(content).hexdigest())


def _file_name(category: str | None) -> str:
    """A category as a file's name: letters, digits, `_`, `-`; names that become equal share a file."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", category or "").strip("_")[:80] or NO_CATEGORY


def _line(row: Example) -> bytes:
    content = {
        "review_id": row.review_id,
        "text": row.text,
        "rating": row.rating,
        "product_category": row.product_category,
        "reviewed_at": row.reviewed_at.isoformat(),
        "truth": row.truth.value,
        "truth_source": row.truth_source.value,
        "weight": row.weight,
    }
    return json.dumps(content).encode() + b"\n"
