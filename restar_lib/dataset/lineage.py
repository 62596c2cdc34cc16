"""Which labels a snapshot learned from, down to their ids. Reads tables `snapshot_label` and `label` only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, select

from restar_lib.store.tables import Label, SnapshotLabel


def label_ids(engine: Engine, snapshot_hash: str) -> Mapping[int, Sequence[int]]:
    """The labels of each task in the snapshot, by task id; empty where people had no part in it."""
    statement = (
        select(SnapshotLabel.task_id, Label.label_id)
        .join(Label, Label.task_id == SnapshotLabel.task_id)
        .where(SnapshotLabel.snapshot_hash == snapshot_hash)
        .order_by(SnapshotLabel.task_id, Label.label_id)
    )
    found: dict[int, list[int]] = {}
    with engine.connect() as connection:
        for task_id, label_id in connection.execute(statement):
            found.setdefault(task_id, []).append(label_id)
    return found
