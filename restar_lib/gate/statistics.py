"""Whether a difference between two models is more than chance: pure functions on paired answers.

Both models answered the same rows, so rows are resampled in pairs (Efron & Tibshirani 1993, chapter 13; for paired
systems Koehn 2004). A row counts only by its cell (truth, champion's answer, challenger's answer), of which there are
27, so drawing n rows with replacement is one multinomial draw over the cells: exact, and thousands take milliseconds.
Knows no threshold and no policy; the generator is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.evaluation.metrics import CLASSES, Integers, macro_f1

ONE_SIDED: Final = 0.05
"""Error rate of the lower end of the interval: one-sided 95 %."""
Z_95, Z_80 = 1.6449, 0.8416
"""Standard normal quantiles at 95 % (one-sided) and 80 % (power)."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The challenger's macro-F1 minus the champion's, on the same rows."""

    difference: float
    lower: float
    """Lower end of the one-sided 95 % percentile interval."""
    detectable: float
    """Smallest true difference that these rows would have shown with 80 % power: (z.95 + z.80) standard errors
    (Bloom 1995)."""
    better_rows: int
    """Rows that only the challenger answers right."""
    worse_rows: int
    """Rows that only the champion answers right."""
    mcnemar_p: float
    """Exact two-sided McNemar test of those two counts."""


def compare(
    truth: Integers, champion: Integers, challenger: Integers, *, resamples: int, rng: np.random.Generator
) -> Comparison:
    """Compare two models' classes [n] with the truth [n]; the same generator state gives the same answer."""
    cells = np.bincount((truth * CLASSES + champion) * CLASSES + challenger, minlength=CLASSES**3)
    drawn = _difference(rng.multinomial(len(truth), cells / len(truth), size=resamples))
    right_before, right_now = champion == truth, challenger == truth
    better, worse = int((right_now & ~right_before).sum()), int((right_before & ~right_now).sum())
    return Comparison(
        difference=float(_difference(cells)),
        lower=float(np.quantile(drawn, ONE_SIDED)),
        detectable=float((Z_95 + Z_80) * drawn.std(ddof=1)),
        better_rows=better,
        worse_rows=worse,
        mcnemar_p=mcnemar(better, worse),
    )


def mcnemar(better: int, worse: int) -> float:
    """P-value of so uneven a split of the rows that only one model got right, were both equally good.

    Exact and two-sided: twice the binomial tail at one half (McNemar 1947; Edwards 1948), at most 1.
    """
    discordant = better + worse
    tail: int = sum(comb(discordant, k) for k in range(min(better, worse) + 1))
    return min(1.0, float(2 * tail / 2**discordant))


def _difference(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Macro-F1 of the challenger minus the champion's, [...] from cell counts [..., 27]."""
    cube = cells.reshape(*cells.shape[:-1], CLASSES, CLASSES, CLASSES)
    return np.asarray(macro_f1(cube.sum(axis=-2)) - macro_f1(cube.sum(axis=-1)))
