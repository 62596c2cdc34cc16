"""Slices: whether the model is worse on some kind of review than on the others, and by more than chance.

Pure. Many slices are looked at, so some look bad by chance: the p-values of all that are judged are corrected together
(Holm 1979). A slice by stars is a slice by truth: its accuracy is the recall of that class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.evaluation.intervals import macro_f1_interval, wilson
from restar_lib.evaluation.metrics import Integers, confusion_matrix
from restar_lib.evaluation.report_contents import SliceFigures

FEWEST_ROWS: Final = 30
"""On fewer rows (or with one class alone) macro-F1 is not shown, and nothing is called worse."""
MOST_VALUES: Final = 24
"""The largest values of a slice that are shown."""
ERROR_RATE: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class SliceRows:
    """What a slice is measured on, [n] each."""

    truth: Integers
    predicted: Integers
    covered: NDArray[np.bool_]
    """The model did not abstain."""


def slice_figures(
    answered: SliceRows, slices: Mapping[str, Sequence[str]], *, resamples: int, rng: np.random.Generator
) -> tuple[SliceFigures, ...]:
    """Figures for each value of each slice; values by the number in them, else by their size."""
    right = answered.truth == answered.predicted
    cells = [(name, value, np.asarray(values) == value) for name, values in slices.items() for value in _shown(values)]
    worse = _surely_worse(right, [inside for _, _, inside in cells])
    return tuple(
        SliceFigures(
            slice=name,
            value=value,
            rows=int(inside.sum()),
            accuracy=wilson(int(right[inside].sum()), int(inside.sum())),
            macro_f1=None
            if inside.sum() < FEWEST_ROWS or len(set(answered.truth[inside].tolist())) == 1
            else macro_f1_interval(
                confusion_matrix(answered.truth[inside], answered.predicted[inside]), resamples=resamples, rng=rng
            ),
            coverage=float(answered.covered[inside].mean()),
            worse=is_worse,
        )
        for (name, value, inside), is_worse in zip(cells, worse, strict=True)
    )


def is_judged(rows: int, *, of: int) -> bool:
    """Whether a slice of so many rows is compared with the others: neither too small nor everything."""
    return FEWEST_ROWS <= rows < of


def left_out(slices: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What is not shown, in words."""
    many = {name: len(set(values)) for name, values in slices.items()}
    return tuple(
        f"slice {name}: the {MOST_VALUES} commonest of {count} values are shown"
        for name, count in many.items()
        if count > MOST_VALUES
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the given order: each is at least what its rank among all of them asks for."""
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


def _surely_worse(right: NDArray[np.bool_], cells: Sequence[NDArray[np.bool_]]) -> list[bool]:
    judged = [place for place, inside in enumerate(cells) if is_judged(int(inside.sum()), of=len(right))]
    worse = {
        place for place, p in zip(judged, holm([_p(right, cells[place]) for place in judged]), strict=True)
        if p < ERROR_RATE
    }  # fmt: skip
    return [place in worse for place in range(len(cells))]


def _p(right: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    """Fisher's exact test, one-sided: so few right answers in here, were in here like out there."""
    from scipy.stats import hypergeom

    return float(hypergeom.cdf(right[inside].sum(), len(right), right.sum(), inside.sum()))


def _shown(values: Sequence[str]) -> list[str]:
    """The commonest values, those with a number in its order."""
    return sorted((value for value, _ in Counter(values).most_common(MOST_VALUES)), key=_number)


def _number(value: str) -> float:
    found = re.search(r"\d+", value)
    return int(found.group()) - value.startswith("under") if found else 0.0
