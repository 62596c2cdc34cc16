"""A snapshot in the format in which it is published: JSON Lines for each category and split, and their manifest.

The format is defined in `ingest.sources.published_manifest`, because a published set is read back as a source. It holds
no user, no product and no title (titles leak the stars). Writes no file and knows no hub: `publishing` does.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final

from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import Example
from restar_lib.ingest.sources.published_manifest import SPLITS, PublishedFile, PublishedManifest
from restar_lib.settings import DatasetSettings
from restar_lib.splits import split_rule_hash

NO_CATEGORY: Final = "uncategorised"


def published_files(
    snapshot: Snapshot, config: DatasetSettings, *, simulated: bool
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
        split_rule=split_rule_hash(config),
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
