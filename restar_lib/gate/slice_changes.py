"""Two models on the rows that share one value: what a slice lost, and how likely chance alone would take as much.

Pure functions on arrays. The gate keeps its own list of slices: one that nobody computed is an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from restar_lib.domain import Example
from restar_lib.evaluation.metrics import Integers, slices_of
from restar_lib.evaluation.paired_tests import tail

SLICES: Final = ("category", "length", "rating", "year")


@dataclass(frozen=True, kw_only=True)
class SliceChange:
    """Both models on the same rows of one value."""

    slice: str
    value: str
    rows: int
    before: float
    """Accuracy of the champion."""
    now: float
    """Accuracy of the challenger."""
    lost: int
    """Rows that only the champion answers right."""
    gained: int
    """Rows that only the challenger answers right."""

    @property
    def drop(self) -> float:
        """How much accuracy was lost; negative where it was gained."""
        return (self.lost - self.gained) / self.rows

    @property
    def chance(self) -> float:
        """Probability of losing as many of the rows on which they differ, were both equally good: exact, one-sided."""
        return tail(self.gained, self.lost + self.gained)


def gate_slices(rows: Sequence[Example]) -> dict[str, list[str]]:
    """For each slice of the gate the value of every row."""
    known = slices_of(rows)
    return {name: known[name] for name in SLICES if name in known}


def slice_changes(
    truth: Integers, before: Integers, now: Integers, slices: Mapping[str, Sequence[str]]
) -> tuple[SliceChange, ...]:
    """What each value of each slice lost and gained; `truth`, `before` and `now` are classes [n]."""
    right_before, right_now = before == truth, now == truth
    found = []
    for name, values in slices.items():
        column = np.asarray(values)
        for value in sorted(set(values)):
            here = column == value
            was, is_now = right_before[here], right_now[here]
            found.append(
                SliceChange(
                    slice=name,
                    value=value,
                    rows=int(here.sum()),
                    before=float(was.mean()),
                    now=float(is_now.mean()),
                    lost=int((was & ~is_now).sum()),
                    gained=int((is_now & ~was).sum()),
                )
            )
    return tuple(found)
