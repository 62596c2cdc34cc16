"""Whether a test row stood in what a model learned from or was calibrated on, by review and by normalised text.

Such a row tests memory. Sides are chosen by text hash at ingest and every snapshot is checked when it is read, so this
finds what came another way: a training set from elsewhere, or another split key. Where titles stand in front of the
texts on one side only, texts cannot be compared: then the same review is found, a copy under another id is not, and
`Leakage.by_review` says so. It looks at folders and at no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restar_lib.dataset.snapshot_folder import SnapshotManifest, read_side
from restar_lib.domain import Example, Side
from restar_lib.errors import SnapshotError
from restar_lib.text import normalised_text

LEARNED = (Side.TRAIN, Side.VALIDATION)


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """What one of the two models learned from."""

    whose: str
    """`challenger` or `champion`."""
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A test row that a model has seen."""

    whose: str
    side: Side
    test_id: str


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """What was looked at and what was found."""

    test_rows: int
    learned_rows: int
    leaks: tuple[Leak, ...]
    unread: tuple[TrainingSet, ...]
    """Training sets that are not on this disk, so nothing is known about them."""
    by_review: tuple[TrainingSet, ...] = ()
    """Training sets that have titles where the test rows have none, or the other way round."""


def find_leaks(rows: Sequence[Example], sets: Sequence[TrainingSet], *, titles: bool | None = None) -> Leakage:
    """Compare the test rows with what each model learned from; `titles` says whether the rows have theirs in front."""
    ids, texts = {row.review_id for row in rows}, {normalised_text(row.text): row.review_id for row in rows}
    leaks, unread, by_review, learned = [], [], [], 0
    for one in sets:
        try:
            seen = list(_learned(one.folder))
            has_titles = SnapshotManifest.read(one.folder).titles
        except SnapshotError:
            unread.append(one)
            continue
        learned += len(seen)
        if titles not in {None, has_titles}:
            by_review.append(one)
        for side, row in seen:
            if test_id := row.review_id if row.review_id in ids else texts.get(normalised_text(row.text)):
                leaks.append(Leak(whose=one.whose, side=side, test_id=test_id))
    return Leakage(
        test_rows=len(rows),
        learned_rows=learned,
        leaks=tuple(leaks),
        unread=tuple(unread),
        by_review=tuple(by_review),
    )


def _learned(folder: Path) -> Iterator[tuple[Side, Example]]:
    for side in LEARNED:
        for row in read_side(folder, side):
            yield side, row
