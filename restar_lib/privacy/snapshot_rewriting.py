"""Training sets without the reviews of people who were erased.

A snapshot is immutable, so one that holds an erased review is replaced by another one: the remaining rows, under the
hash of their own content. In the old folder only a note that says so remains, its row points at the new one
(`rewritten_as`), and verdicts and models go on naming the old hash, because that is what they were made from. Erased
reviews are found by tombstone: killed anywhere, the same call finishes the work, and a snapshot that was frozen at the
same moment is found by the next call.

A snapshot that is damaged may hold anybody's reviews, and no training can read it: its files are deleted. One that this
process may not read, or not write, stays and is returned as `left`.

It changes no model, also not one that was trained on an erased review. Called by `privacy.forget` and by
housekeeping.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from restar_lib.atomic_files import READABLE, flush_folder, write_text
from restar_lib.atomic_files import delete as delete_file
from restar_lib.dataset.snapshot_folder import (
    MANIFEST,
    NOTE,
    Sides,
    SnapshotManifest,
    read_side,
    side_file,
    write_folder,
)
from restar_lib.domain import Example, Side, TruthSource
from restar_lib.errors import SnapshotError
from restar_lib.ingest.tombstones import ForgetKey, forgotten_reviews
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import LabelTask, SnapshotLabel, SnapshotRow

log = logging.getLogger(__name__)

FILES = (MANIFEST, *(side_file(side) for side in Side))


@dataclass(frozen=True, kw_only=True)
class AffectedSnapshot:
    """A snapshot that holds reviews of a person, or may: a side of it cannot be read."""

    snapshot_hash: str
    rows: int
    learned: bool
    """Whether models were trained or calibrated on them (train, validation), or only judged on them (test)."""
    readable: bool = True


@dataclass(frozen=True, kw_only=True)
class RewrittenSnapshot:
    """A snapshot that became another one."""

    old: str
    new: str | None
    """None where a side would have been left empty, or could not be read: there is no replacement."""
    rows_removed: int


@dataclass(frozen=True, kw_only=True)
class RewriteResult:
    """What came of rewriting all snapshots."""

    rewritten: tuple[RewrittenSnapshot, ...]
    left: tuple[Path, ...]
    """Folders that could be neither read nor deleted."""


def affected_snapshots(snapshots_dir: Path, review_ids: Collection[str]) -> list[AffectedSnapshot]:
    """The snapshots on disk that hold one of these reviews, and those that cannot be read."""
    found = []
    for folder in _folders(snapshots_dir):
        sides = {side: _side_or_none(folder, side) for side in Side}
        held = {side: _holds(rows, review_ids) for side, rows in sides.items()}
        if any(held.values()):
            found.append(
                AffectedSnapshot(
                    snapshot_hash=folder.name,
                    rows=sum(row.review_id in review_ids for rows in sides.values() for row in rows or ()),
                    learned=held[Side.TRAIN] or held[Side.VALIDATION],
                    readable=all(rows is not None for rows in sides.values()),
                )
            )
    return found


def unfinished(snapshots_dir: Path) -> list[Path]:
    """Snapshots that are being written, or that a kill has left; housekeeping deletes them after two days."""
    return sorted(snapshots_dir.glob(".*/"))


def may_be_read(folder: Path) -> bool:
    """Whether this process has the rights to read a snapshot, damaged or not."""
    there = [folder / name for name in FILES if os.path.lexists(folder / name)]
    return os.access(folder, os.R_OK | os.X_OK) and all(os.access(path, os.R_OK) for path in there)


def ancestors(connection: Connection, snapshot_hashes: Collection[str]) -> set[str]:
    """These snapshots, and those that were rewritten into one of them: they held the same rows and more."""
    known = connection.execute(
        select(SnapshotRow.snapshot_hash, SnapshotRow.rewritten_as).where(SnapshotRow.rewritten_as.is_not(None))
    ).all()
    family = set(snapshot_hashes)
    while more := {old for old, new in known if new in family} - family:
        family |= more
    return family


def forget_labels(connection: Connection, review_ids: Collection[str]) -> None:
    """Take the tasks of these reviews out of the lists of what snapshots hold; before the tasks themselves go."""
    tasks = select(LabelTask.task_id).where(one_of(LabelTask.review_id, review_ids))
    connection.execute(delete(SnapshotLabel).where(SnapshotLabel.task_id.in_(tasks)))


def rewrite_forgotten(engine: Engine, snapshots_dir: Path, key: ForgetKey) -> RewriteResult:
    """Take every review that has a tombstone out of every snapshot. Finds nothing when it is run again."""
    done, left = [], []
    # Also those whose note is there already: an earlier call was killed after writing it.
    for folder in [*_folders(snapshots_dir), *(note.parent for note in sorted(snapshots_dir.glob(f"*/{NOTE}")))]:
        try:
            done.append(_rewrite_one(engine, folder, key))
        except OSError as error:
            log.warning("snapshot %s: cannot be rewritten (%s)", folder.name, error)
            left.append(folder)
    return RewriteResult(rewritten=tuple(one for one in done if one is not None), left=tuple(left))


def _rewrite_one(engine: Engine, folder: Path, key: ForgetKey) -> RewrittenSnapshot | None:
    if (folder / NOTE).exists():
        _delete_files(folder)
        return None
    sides = {side: _side_or_none(folder, side) for side in Side}
    whole = {side: rows for side, rows in sides.items() if rows is not None}
    return _rewrite(engine, folder, key, whole) if len(whole) == len(sides) else _give_up(folder)


def _give_up(folder: Path) -> RewrittenSnapshot | None:
    """Delete a snapshot that is damaged. Raises `PermissionError` where it only may not be read."""
    if not any(os.path.lexists(folder / name) for name in FILES) and os.access(folder, os.R_OK | os.X_OK):
        return None  # housekeeping deleted it at this moment
    if not may_be_read(folder):
        raise PermissionError(f"{folder}: this process may not read it")
    note = {"rewritten_as": None, "reason": "people were forgotten, and it could not be read"}
    write_text(folder / NOTE, json.dumps(note, indent=1) + "\n", mode=READABLE)
    _delete_files(folder)
    log.warning("snapshot %s: damaged, may have held forgotten reviews; its files were deleted", folder.name)
    return RewrittenSnapshot(old=folder.name, new=None, rows_removed=0)


def _rewrite(engine: Engine, folder: Path, key: ForgetKey, sides: Sides) -> RewrittenSnapshot | None:
    with engine.begin() as connection:
        gone = forgotten_reviews(connection, key, (row.review_id for rows in sides.values() for row in rows))
        if not gone:
            return None
        left = {side: [row for row in rows if row.review_id not in gone] for side, rows in sides.items()}
        new = _write(connection, folder, left) if all(left.values()) else None
    note = {"rewritten_as": new, "rows_removed": len(gone), "reason": "people were forgotten"}
    write_text(folder / NOTE, json.dumps(note, indent=1) + "\n", mode=READABLE)
    _delete_files(folder)
    log.info("snapshot %s: %d reviews were forgotten; what is left is %s", folder.name, len(gone), new or "too little")
    return RewrittenSnapshot(old=folder.name, new=new, rows_removed=len(gone))


def _write(connection: Connection, old: Path, sides: Sides) -> str:
    """Write what is left, and its rows in the tables; returns its hash."""
    # The date of the old one: when the first training set was frozen decides which reviews are new.
    manifest = SnapshotManifest.read(old)
    frozen_at = datetime.fromisoformat(manifest.frozen_at)
    new = write_folder(old.parent, sides, now=frozen_at, titles=manifest.titles).name
    row = {f"{side.value}_rows": len(rows) for side, rows in sides.items()} | {
        "snapshot_hash": new,
        "people_rows": sum(row.truth_source is TruthSource.PEOPLE for rows in sides.values() for row in rows),
        "created_at": frozen_at,
    }
    connection.execute(insert(SnapshotRow).on_conflict_do_nothing(), [row])
    labels = select(literal(new), SnapshotLabel.task_id).where(SnapshotLabel.snapshot_hash == old.name)
    copied = insert(SnapshotLabel).from_select(["snapshot_hash", "task_id"], labels).on_conflict_do_nothing()
    connection.execute(copied)
    connection.execute(update(SnapshotRow).where(SnapshotRow.snapshot_hash == old.name).values(rewritten_as=new))
    return new


def _folders(snapshots_dir: Path) -> Iterator[Path]:
    """Snapshots, whole or damaged; not the unfinished ones, nor those that were rewritten."""
    for folder in sorted(snapshots_dir.glob("[!.]*/")):
        refused = not os.access(folder, os.R_OK | os.X_OK)
        there = refused or any(os.path.lexists(folder / name) for name in FILES)
        if there and not os.path.lexists(folder / NOTE):
            yield folder


def _side_or_none(folder: Path, side: Side) -> Sequence[Example] | None:
    """The rows of a side; None where they cannot be read."""
    try:
        return read_side(folder, side)
    except (SnapshotError, OSError):
        return None


def _holds(rows: Sequence[Example] | None, review_ids: Collection[str]) -> bool:
    return rows is None or any(row.review_id in review_ids for row in rows)


def _delete_files(folder: Path) -> None:
    for name in FILES:
        delete_file(folder / name)
    flush_folder(folder)
