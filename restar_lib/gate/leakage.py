"""Whether a gate row's text stood in what a model learned from or was calibrated on, compared by normalised text.

Such a row tests memory. Sides are chosen by text hash at ingest and every snapshot is checked when it is read, so this
finds what came another way: a training set from elsewhere, or another split key. It looks at folders and at no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restar_lib.dataset.snapshot_folder import read_side
from restar_lib.domain import Example, Side
from restar_lib.errors import SnapshotError
from restar_lib.ingest.plain_text import normalised_text

LEARNED = (Side.TRAIN, Side.VALIDATION)


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """What one of the two models learned from."""

    whose: str
    """`challenger` or `champion`."""
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A gate row whose text a model has seen."""

    whose: str
    side: Side
    gate_id: str


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """What was looked at and what was found."""

    gate_rows: int
    learned_rows: int
    leaks: tuple[Leak, ...]
    unread: tuple[TrainingSet, ...]
    """Training sets that are not on this disk, so nothing is known about them."""


def find_leaks(rows: Sequence[Example], sets: Sequence[TrainingSet]) -> Leakage:
    """Compare the gate rows with what each model learned from."""
    gate = {normalised_text(row.text): row.review_id for row in rows}
    leaks, unread, learned = [], [], 0
    for one in sets:
        try:
            seen = list(_learned(one.folder))
        except SnapshotError:
            unread.append(one)
            continue
        learned += len(seen)
        for side, row in seen:
            if gate_id := gate.get(normalised_text(row.text)):
                leaks.append(Leak(whose=one.whose, side=side, gate_id=gate_id))
    return Leakage(gate_rows=len(rows), learned_rows=learned, leaks=tuple(leaks), unread=tuple(unread))


def _learned(folder: Path) -> Iterator[tuple[Side, Example]]:
    for side in LEARNED:
        for row in read_side(folder, side):
            yield side, row
