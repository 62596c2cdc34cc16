"""Populations of test rows in which it is known how good both models are: what the gate's error rates are measured on.

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

from restar_lib.evaluation.paired_tests import PairedComparison, compare_cells, macro_f1_difference
from restar_lib.gate.criteria.against_champion import SLICE_LEVEL, holds, refuses
from restar_lib.gate.slice_changes import slice_changes
from restar_lib.settings import GateSettings

Shares = NDArray[np.float64]
MEASURED = (
    135, 11, 6, 2, 13, 8, 15, 7, 42,
    36, 9, 8, 4, 25, 7, 11, 15, 87,
    45, 5, 14, 3, 37, 48, 28, 31, 2348,
)  # fmt: skip
"""Counts of real test rows by truth, first model's answer and second model's answer (`gate_curves.py --measure`)."""


def equal(cells: Any = MEASURED) -> Shares:
    """Two equally good models: which of them gave which answer is a fair coin."""
    cube = np.asarray(cells, dtype=np.float64).reshape(3, 3, 3)
    return np.asarray((cube + cube.swapaxes(1, 2)).ravel() / (2 * cube.sum()))


def strangers(cells: Any = MEASURED) -> Shares:
    """Two equally good models that err independently: as unlike as two models can be that are equally good."""
    of_one = equal(cells).reshape(3, 3, 3).sum(axis=2)
    truth = of_one.sum(axis=1, keepdims=True)
    return np.asarray((of_one[:, :, None] * (of_one / truth)[:, None, :]).ravel())


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


def comparisons(
    population: Shares, *, rows: int, runs: int, resamples: int, rng: np.random.Generator
) -> list[PairedComparison]:
    """What the gate finds in each of `runs` samples of so many rows."""
    samples = rng.multinomial(rows, population, size=runs)
    return [compare_cells(cells, resamples=resamples, rng=rng) for cells in samples]


def share_promoted(found: list[PairedComparison], config: GateSettings) -> float:
    """Share of the samples after which the comparison lets the challenger pass."""
    return sum(holds(one, config) for one in found) / len(found)


def promoted(population: Shares, config: GateSettings, *, rows: int, runs: int, rng: np.random.Generator) -> float:
    """Both at once, for one policy."""
    return share_promoted(comparisons(population, rows=rows, runs=runs, resamples=config.resamples, rng=rng), config)


SLICE_SHARES = {
    "category": (0.35, 0.2, 0.15, 0.1, 0.08, 0.06, 0.04, 0.02),
    "length": (0.25, 0.35, 0.27, 0.13),
    "year": (0.4, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03),
}
"""Shares of the values of each slice, about as on the real test rows; stars follow from the truth."""


def slices_refused(
    population: Shares, config: GateSettings, *, rows: int, runs: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Share of samples in which some slice refuses: by its tolerance alone, and beyond chance as the gate does."""
    plain = beyond = 0
    for _ in range(runs):
        cell = rng.choice(27, size=rows, p=population)
        truth, before, now = cell // 9, cell // 3 % 3, cell % 3
        slices = {
            name: rng.choice(len(shares), size=rows, p=shares).astype(str).tolist()
            for name, shares in SLICE_SHARES.items()
        }
        slices["rating"] = np.array(["1-2", "3", "4-5"])[truth].tolist()
        changes = slice_changes(truth, before, now, slices)
        judged = [change for change in changes if change.rows >= config.slice_min_rows]
        plain += any(change.drop > config.slice_tolerance for change in judged)
        beyond += any(refuses(change, config, level=SLICE_LEVEL / len(judged)) for change in judged)
    return plain / runs, beyond / runs


def _mixed(start: Shares, end: Shares, *, points: float) -> Shares:
    def at(share: float) -> Shares:
        return (1 - share) * start + share * end

    return at(_root(lambda share: float(macro_f1_difference(np.asarray(at(share)))) - points, descending=points < 0))


def _root(of: Callable[[float], float], *, descending: bool) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if (of(middle) > 0) == descending:
            low = middle
        else:
            high = middle
    return low
