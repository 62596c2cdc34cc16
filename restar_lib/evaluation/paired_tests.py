"""Whether a difference between two models is more than chance: pure functions on paired answers.

Both models answered the same rows, so rows are resampled in pairs (Efron & Tibshirani 1993, chapter 13; for paired
systems Koehn 2004). A row counts only by its cell (truth, champion's answer, challenger's answer), of which there are
27, so drawing n rows with replacement is one multinomial draw over the cells: exact, and thousands take milliseconds.

The bootstrap's lower end says how much may have been lost. That anything was gained at all is also asked of an exact
test: had the two models swapped names on a fair coin, row by row, how often would the gain have been as large (Yeh
2000; Noreen 1989)? Why both: docs/decisions/0015. Knows no threshold and no policy; the generator is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.evaluation.metrics import CLASSES, Integers, macro_f1

ONE_SIDED: Final = 0.05
"""Error rate of the lower end of the interval: one-sided 95 %."""
Z_95, Z_80 = 1.6449, 0.8416
"""Standard normal quantiles at 95 % (one-sided) and 80 % (power)."""


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """The challenger's macro-F1 minus the champion's, on the same rows."""

    difference: float
    lower: float
    """Lower end of the one-sided 95 % percentile interval."""
    upper: float
    """Upper end of the one-sided 95 % percentile interval; for people, nothing is decided by it."""
    detectable: float
    """Smallest true difference that these rows would have shown with 80 % power: (z.95 + z.80) standard errors
    (Bloom 1995)."""
    swap_p: float
    """How often two equal models would have shown a gain as large, by exact randomisation; one-sided."""
    better_rows: int
    """Rows that only the challenger answers right."""
    worse_rows: int
    """Rows that only the champion answers right."""
    mcnemar_p: float
    """Exact two-sided McNemar test of those two counts."""


def compare(
    truth: Integers, champion: Integers, challenger: Integers, *, resamples: int, rng: np.random.Generator
) -> PairedComparison:
    """Compare two models' classes [n] with the truth [n]; the same generator state gives the same answer."""
    return compare_cells(paired_cells(truth, champion, challenger), resamples=resamples, rng=rng)


def paired_cells(truth: Integers, before: Integers, now: Integers) -> Integers:
    """Rows by truth, one system's answer and the other's, [27] in this order, from classes [n] each."""
    return np.bincount((truth * CLASSES + before) * CLASSES + now, minlength=CLASSES**3).astype(np.int64)


def resampled(cells: Integers, *, resamples: int, rng: np.random.Generator) -> Integers:
    """The paired bootstrap, the only one here: `cells` [27] of rows drawn with replacement, [resamples, 27]."""
    rows = int(cells.sum())
    return rng.multinomial(rows, cells / rows, size=resamples)


def compare_cells(cells: Integers, *, resamples: int, rng: np.random.Generator) -> PairedComparison:
    """The same from the counts [27] of rows by truth, champion's answer and challenger's answer, in this order."""
    drawn = macro_f1_difference(resampled(cells, resamples=resamples, rng=rng))
    cube = cells.reshape((CLASSES,) * 3)
    right_before = sum(int(cube[truth, truth].sum()) for truth in range(CLASSES))
    right_now = sum(int(cube[truth, :, truth].sum()) for truth in range(CLASSES))
    right_both = sum(int(cube[truth, truth, truth]) for truth in range(CLASSES))
    better, worse = right_now - right_both, right_before - right_both
    return PairedComparison(
        difference=float(macro_f1_difference(cells)),
        lower=float(np.quantile(drawn, ONE_SIDED)),
        upper=float(np.quantile(drawn, 1 - ONE_SIDED)),
        detectable=float((Z_95 + Z_80) * drawn.std(ddof=1)),
        swap_p=swap_test(cells, resamples=resamples, rng=rng),
        better_rows=better,
        worse_rows=worse,
        mcnemar_p=mcnemar(better, worse),
    )


def swap_test(cells: Integers, *, resamples: int, rng: np.random.Generator) -> float:
    """P-value of so large a gain in macro-F1, were both models equally good: their answers swapped at random.

    A row on which they differ goes to its cell or to the mirrored one on a fair coin, so the rows of two mirrored cells
    split binomially. One is added above and below (Phipson & Smyth 2010), so the level holds at any number of draws.
    """
    cube = cells.reshape((CLASSES,) * 3)
    both = cube + cube.swapaxes(1, 2)
    drawn = np.zeros((resamples, *cube.shape), dtype=np.int64)
    for one in range(CLASSES):
        drawn[:, :, one, one] = cube[:, one, one]
        for other in range(one):
            kept = rng.binomial(both[:, one, other], 0.5, size=(resamples, CLASSES))
            drawn[:, :, one, other], drawn[:, :, other, one] = kept, both[:, one, other] - kept
    gains = macro_f1_difference(drawn.reshape(resamples, -1))
    as_large = int((gains >= macro_f1_difference(cells) - _ROUNDING).sum())
    return (1 + as_large) / (1 + resamples)


def mcnemar(better: int, worse: int) -> float:
    """P-value of so uneven a split of the rows that only one model got right, were both equally good.

    Exact and two-sided: a binomial test at one half (McNemar 1947; Edwards 1948). Without such a row it is 1.
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def tail(at_most: int, tosses: int) -> float:
    """Probability of `at_most` heads or fewer in so many tosses of a fair coin, exactly; 1 without a toss."""
    from scipy.stats import binomtest

    return float(binomtest(at_most, tosses, alternative="less").pvalue) if tosses else 1.0


def macro_f1_difference(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Macro-F1 of the challenger minus the champion's, [...] from cell counts [..., 27]."""
    cube = cells.reshape(*cells.shape[:-1], CLASSES, CLASSES, CLASSES)
    return np.asarray(macro_f1(cube.sum(axis=-2)) - macro_f1(cube.sum(axis=-1)))


_ROUNDING: Final = 1e-12
