"""A frozen training set, published: its rows by category and split, its manifest, its card.

`freeze` here draws the held-out rows in strata unless told otherwise, so that dev and eval have the same mix. It trains
nothing, and marks nothing in the queue.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from restar_lib.dataset.published_sets import published_files
from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot import freeze as freeze_tables
from restar_lib.domain import LabelSource, Side
from restar_lib.errors import SnapshotError
from restar_lib.ingest.sources.published_manifest import CARD, MANIFEST
from restar_lib.labeling.queue import merged_truths
from restar_lib.publishing.cards import data_card
from restar_lib.publishing.target import Content, PushResult, target
from restar_lib.settings import Settings

HeldOut = Literal["stratified", "newest"]


def freeze(engine: Engine, settings: Settings, *, held_out: HeldOut, now: datetime) -> Snapshot:
    """Freeze what the tables hold now, with held-out rows drawn as `held_out` says."""
    dataset = settings.dataset.model_copy(update={"held_out": held_out})
    return freeze_tables(engine, settings.model_copy(update={"dataset": dataset}), now=now)


def find(settings: Settings, snapshot_hash: str) -> Snapshot:
    """A snapshot that is frozen already, verified. Raises `SnapshotError` naming those that there are."""
    folder = settings.snapshots_dir / snapshot_hash
    if not snapshot_hash.isalnum() or not folder.is_dir():
        there = ", ".join(sorted(path.name for path in settings.snapshots_dir.glob("[!.]*"))) or "none"
        raise SnapshotError(f"there is no snapshot {snapshot_hash!r} in {settings.snapshots_dir}; there are: {there}")
    return load(folder)


def content(engine: Engine, snapshot: Snapshot, settings: Settings) -> Content:
    """All files of a published snapshot; the manifest stands last."""
    with engine.connect() as connection:
        truths = merged_truths(connection)
    by_people = [row.review_id for side in Side for row in snapshot.examples(side) if row.review_id in truths]
    demo = sum(truths[review_id].label_source is LabelSource.DEMO for review_id in by_people)
    simulated = settings.simulated_notice is not None
    files, manifest = published_files(snapshot, settings.dataset, simulated=simulated)
    card = data_card(snapshot, manifest, demo=demo)
    return {CARD: card.encode(), **files, MANIFEST: manifest.to_json()}


def push(
    engine: Engine, snapshot: Snapshot, settings: Settings, *, repository: str = "", folder: Path | None = None
) -> PushResult:
    """Publish a snapshot: to `folder`, to `repository` on the hub, or by default below the state folder."""
    to = target(settings, kind="dataset", repository=repository, folder=folder)
    return to.push(content(engine, snapshot, settings), name=snapshot.snapshot_hash)
