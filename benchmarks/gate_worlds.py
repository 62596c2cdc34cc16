"""Populations of gate rows in which it is known how good both models are: what the gate's error rates are measured on.

A population gives each of the 27 cells (truth, champion's answer, challenger's answer) its share. It is made from the
answers of two models of the packaged encoder to the same real reviews, so that they agree and err as real models do,
and is then made equal, worse or better by a known difference of macro-F1. Used by `gate_curves.py` and by the gate's
tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restar_lib.gate.paired_lines import holds
from restar_lib.gate.statistics import Comparison, compare_cells, macro_f1_difference
from restar_lib.settings import Gate

Shares = NDArray[np.float64]
MEASURED = (
    135, 11, 6, 2, 13, 8, 15, 7, 42,
    36, 9, 8, 4, 25, 7, 11, 15, 87,
    45, 5, 14, 3, 37, 48, 28, 31, 2348,
)  # fmt: skip
"""Counts of real gate rows by truth, first model's answer and second model's answer (`gate_curves.py --measure`)."""


def equal(cells: Any = MEASURED) -> Shares:
    """Two equally good models: which of them gave which answer is a fair coin."""
    cube = np.asarray(cells, dtype=np.float64).reshape(3, 3, 3)
    return np.asarray((cube + cube.swapaxes(1, 2)).ravel() / (2 * cube.sum()))


def worse(points: float, start: Shares) -> Shares:
    """The challenger loses so much macro-F1: some of its answers become draws from all that it answers."""
    cube = start.reshape(3, 3, 3)
    blurred = cube.sum(axis=2, keepdims=True) * cube.sum(axis=(0, 1))
    return _mixed(start, blurred.ravel(), points=-points)


def better(points: float, start: Shares) -> Shares:
    """The challenger gains so much macro-F1: some of its answers become right."""
    cube = start.reshape(3, 3, 3)
    right = cube.sum(axis=2, keepdims=True) * np.eye(3)[:, None, :]
    return _mixed(start, right.ravel(), points=points)


def comparisons(world: Shares, *, rows: int, runs: int, resamples: int, rng: np.random.Generator) -> list[Comparison]:
    """What the gate finds in each of `runs` samples of so many rows."""
    samples = rng.multinomial(rows, world, size=runs)
    return [compare_cells(cells, resamples=resamples, rng=rng) for cells in samples]


def share_promoted(found: list[Comparison], config: Gate) -> float:
    """Share of the samples after which the comparison lets the challenger pass."""
    return sum(holds(one, config) for one in found) / len(found)


def promoted(world: Shares, config: Gate, *, rows: int, runs: int, rng: np.random.Generator) -> float:
    """Both at once, for one policy."""
    return share_promoted(comparisons(world, rows=rows, runs=runs, resamples=config.resamples, rng=rng), config)


def _mixed(start: Shares, end: Shares, *, points: float) -> Shares:
    def at(share: float) -> Shares:
        return (1 - share) * start + share * end

    return at(_root(lambda share: float(macro_f1_difference(at(share))) - points, descending=points < 0))


def _root(of: Callable[[float], float], *, descending: bool) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if (of(middle) > 0) == descending:
            low = middle
        else:
            high = middle
    return low
