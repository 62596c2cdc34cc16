"""Immutable training sets: frozen from the tables, named by their content, verified whenever they are read.

The truth of a review is the consensus of people where there is one, else its stars. `train` holds every label of people
on the training side and a sample of weak ones in which rare classes are enriched; each row's weight undoes that, so the
weighted mix is the natural one. `validation` and `test` are the newest rated reviews of their sides, as they came, or
a stratified sample of them (setting `dataset.held_out`).

The same tables give the same content and hash, and no new snapshot. It trains nothing, merges no label
(`labeling.queue.merge_finished` runs before) and chooses no side: ingest did, for good.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from restar_lib.dataset import candidates
from restar_lib.dataset.leakage import refuse_leaks
from restar_lib.dataset.snapshot_folder import Sides, SnapshotManifest, read_side, write_folder
from restar_lib.dataset.stratified_sample import stratified
from restar_lib.domain import SENTIMENTS, Example, Review, Sentiment, Side, TruthSource, weak_label
from restar_lib.errors import SnapshotError
from restar_lib.labeling.queue import MergedTask, merged_truths, merged_until
from restar_lib.settings import DatasetSettings, Settings
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import LabelTask, SnapshotLabel, SnapshotRow

logger = logging.getLogger(__name__)

Truths = Mapping[str, MergedTask]
"""The consensus of people by review id."""
STARS_WEIGHT: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One training set on disk."""

    snapshot_hash: str
    folder: Path
    train_rows: int
    validation_rows: int
    test_rows: int
    people_rows: int
    """Rows, of all three sides, whose truth comes from people."""
    frozen_at: str
    """When this content was first frozen."""
    titles: bool = False
    """Whether the texts begin with their titles."""

    def examples(self, side: Side) -> tuple[Example, ...]:
        """The rows of a side, oldest first. Raises `SnapshotError` where the file is not what the manifest says."""
        return read_side(self.folder, side)


def freeze(engine: Engine, settings: Settings, *, now: datetime) -> Snapshot:
    """Freeze what the tables hold; `now` dates a new snapshot, the same content finds the one that exists.

    Raises `SnapshotError` where a side would be empty.
    """
    # One state of the tables for all statements: what arrives meanwhile must not show up on one side only.
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        truths = merged_truths(connection)
        labels_until = merged_until(connection)
        sides = _collect(connection, truths, settings.dataset)
    _refuse_empty(sides)
    refuse_leaks(sides)
    snapshot = load(write_folder(settings.snapshots_dir, sides, now=now, titles=settings.dataset.titles))
    _record(engine, snapshot, tasks=_tasks_in(sides, truths), labels_until=labels_until, now=now)
    logger.info(
        "snapshot %s: %s train, %s validation, %s test rows; people gave the truth of %s",
        snapshot.snapshot_hash,
        *(f"{rows:,}" for rows in (snapshot.train_rows, snapshot.validation_rows, snapshot.test_rows)),
        f"{snapshot.people_rows:,}",
    )
    return snapshot


def load(folder: Path) -> Snapshot:
    """The snapshot in a folder, verified file by file. Raises `SnapshotError` naming what is wrong."""
    sides = {side: read_side(folder, side) for side in Side}
    refuse_leaks(sides)
    manifest = SnapshotManifest.read(folder)
    return Snapshot(
        snapshot_hash=manifest.snapshot_hash,
        folder=folder,
        train_rows=len(sides[Side.TRAIN]),
        validation_rows=len(sides[Side.VALIDATION]),
        test_rows=len(sides[Side.TEST]),
        people_rows=sum(row.truth_source == TruthSource.PEOPLE for rows in sides.values() for row in rows),
        frozen_at=manifest.frozen_at,
        titles=manifest.titles,
    )


def share_out(available: Mapping[Sentiment, int], *, total: int) -> dict[Sentiment, int]:
    """How many of `total` rows each class gets: equal shares, and what a rare class cannot fill goes to the others."""
    shares: dict[Sentiment, int] = {}
    rarest_first = sorted(SENTIMENTS, key=lambda sentiment: available[sentiment])
    for classes_left, sentiment in zip(range(len(rarest_first), 0, -1), rarest_first, strict=True):
        shares[sentiment] = min(available[sentiment], (total - sum(shares.values())) // classes_left)
    return shares


def natural_weights(available: Mapping[Sentiment, int], taken: Mapping[Sentiment, int]) -> dict[Sentiment, float]:
    """Weight of a sampled row of each class: its natural share over its share in the sample.

    Inverse-probability weighting (Horvitz & Thompson 1952): the weighted sample has the natural class mix.
    """
    scale = sum(taken.values()) / max(sum(available.values()), 1)
    return {
        sentiment: round(available[sentiment] / taken[sentiment] * scale, 6) for sentiment in taken if taken[sentiment]
    }


def _collect(connection: Connection, truths: Truths, config: DatasetSettings) -> Sides:
    validation = _held_out(connection, Side.VALIDATION, config, limit=config.max_validation_rows)
    test = _held_out(connection, Side.TEST, config, limit=config.max_test_rows)
    sides = {
        Side.TRAIN: _training_rows(connection, truths, config),
        Side.VALIDATION: [_example(row, truths, weight=STARS_WEIGHT, titles=config.titles) for row in validation],
        Side.TEST: [_example(row, truths, weight=STARS_WEIGHT, titles=config.titles) for row in test],
    }
    return {side: sorted(rows, key=lambda row: (row.reviewed_at, row.review_id)) for side, rows in sides.items()}


def _held_out(connection: Connection, side: Side, config: DatasetSettings, *, limit: int) -> list[Review]:
    if config.held_out == "newest":
        return candidates.newest(connection, side, limit=limit)
    return stratified(connection, side, limit=limit, key=f"{config.split_key}:{config.seed}")


def _training_rows(connection: Connection, truths: Truths, config: DatasetSettings) -> list[Example]:
    answered = candidates.with_ids(connection, Side.TRAIN, truths)
    available = candidates.weak_counts(connection, without=truths)
    limits = share_out(available, total=config.max_rows)
    weights = natural_weights(available, limits)
    sample = candidates.weak_sample(connection, key=f"{config.split_key}:{config.seed}", limits=limits, without=truths)
    return [
        *(_example(row, truths, weight=config.people_weight, titles=config.titles) for row in answered),
        *(_example(row, truths, weight=weights[weak_label(row.stars)], titles=config.titles) for row in sample),
    ]


def _example(row: Review, truths: Truths, *, weight: float, titles: bool) -> Example:
    people = truths.get(row.review_id)
    return Example(
        review_id=row.review_id,
        text=row.model_text(titles=titles),
        truth=weak_label(row.stars) if people is None else people.sentiment,
        truth_source=TruthSource.STARS if people is None else TruthSource.PEOPLE,
        weight=weight,
        rating=row.rating,
        product_category=row.product_category,
        # The same text for the same time, whatever time zone the session has.
        reviewed_at=row.reviewed_at.astimezone(UTC),
    )


def _refuse_empty(sides: Sides) -> None:
    empty = [side.value for side in Side if not sides[side]]
    if empty:
        raise SnapshotError(f"no review for {' and '.join(empty)}: ingest more reviews before training")


def _tasks_in(sides: Sides, truths: Truths) -> list[int]:
    rows = (row.review_id for examples in sides.values() for row in examples)
    return sorted(truths[review_id].task_id for review_id in rows if review_id in truths)


def _record(
    engine: Engine, snapshot: Snapshot, *, tasks: Sequence[int], labels_until: datetime | None, now: datetime
) -> None:
    """One row for the snapshot and one for each label in it; one that is known already has looked at newer labels."""
    row = {
        "snapshot_hash": snapshot.snapshot_hash,
        "train_rows": snapshot.train_rows,
        "validation_rows": snapshot.validation_rows,
        "test_rows": snapshot.test_rows,
        "people_rows": snapshot.people_rows,
        "labels_until": labels_until,
        "created_at": now,
    }
    held = select(literal(snapshot.snapshot_hash), LabelTask.task_id).where(one_of(LabelTask.task_id, tasks))
    labels = insert(SnapshotLabel).from_select(["snapshot_hash", "task_id"], held).on_conflict_do_nothing()
    with engine.begin() as connection:
        made = insert(SnapshotRow)
        later = func.greatest(SnapshotRow.labels_until, made.excluded.labels_until)
        connection.execute(
            made.on_conflict_do_update(index_elements=["snapshot_hash"], set_={"labels_until": later}), [row]
        )
        connection.execute(labels)
