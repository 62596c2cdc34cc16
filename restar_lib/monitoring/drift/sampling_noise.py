"""How far two samples of one column differ, and how far they would by chance alone.

Small samples differ even where nothing has changed: from two samples of n and m rows over B bins one expects a
population stability index of about (B - 1)(1/n + 1/m) (Yurdakul 2018), and more where tails leave bins empty. So each
index stands beside the value that chance alone exceeds with a given probability: the rows of both sides are pooled and
split at random many times (a permutation test; Good, Permutation Tests, 2000), which needs no formula and is right for
empty bins too. The splits are seeded: the same samples give the same limit.

Pure arithmetic on numpy arrays. Evidently computes one index a report; the limit needs hundreds for each column, from
counts alone, so the formula is here too, vectorised over all splits. The bins are Evidently's, and a test compares the
index with Evidently's own. Which distance is too far is decided in `monitoring.drift.findings`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW_VALUES = 20
"""A column of numbers with no more distinct values than this is taken value by value, as Evidently does."""
EMPTY = 0.0001
"""The share of an empty bin; where a sample is so large that full bins come near it, a millionth of the smallest."""
BEYOND = 20
"""Random splits expected beyond the limit: fewer would make the limit noisy, more would only cost time."""
SEED = 20_260_101

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BinnedColumn:
    """One column of two samples, counted over the same bins or values."""

    labels: tuple[str, ...]
    before: tuple[int, ...]
    now: tuple[int, ...]

    @cached_property
    def psi(self) -> float:
        """Population stability index: sum of (r - w) ln(r / w) over the bins (Siddiqi 2006)."""
        before, now = np.array([self.before], dtype=float), np.array([self.now], dtype=float)
        return float(_psi(before, now)[0])

    def psi_by_chance(self, chance: float) -> float:
        """The index that samples of these sizes exceed with probability `chance` where nothing has changed."""
        before, now = self._dealt(chance)
        return float(np.quantile(_psi(before, now), 1 - chance))

    def shift_by_chance(self, chance: float) -> float:
        """The same for the largest change of one value's share, in [0, 1]."""
        before, now = self._dealt(chance)
        shifts = np.abs(_shares(before) - _shares(now)).max(axis=1)
        return float(np.quantile(shifts, 1 - chance))

    def shares(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Shares of both samples, in [0, 1]."""
        return tuple(it / sum(self.before) for it in self.before), tuple(it / sum(self.now) for it in self.now)

    def _dealt(self, chance: float) -> tuple[Floats, Floats]:
        pooled = np.array(self.before) + np.array(self.now)
        dealer = np.random.default_rng(SEED)
        now = dealer.multivariate_hypergeometric(pooled, sum(self.now), size=math.ceil(BEYOND / chance))
        return (pooled - now).astype(float), now.astype(float)


def binned(before: Sequence[Any], now: Sequence[Any], *, numbers: bool) -> BinnedColumn:
    """Count both samples over the same bins; None is no value. Neither may be without values."""
    before = [value for value in before if value is not None]
    now = [value for value in now if value is not None]
    if numbers and len(set(before)) > FEW_VALUES:
        edges = np.histogram_bin_edges(np.array([*before, *now], dtype=float), bins="sturges")
        counts = [np.histogram(np.array(values, dtype=float), edges)[0].tolist() for values in (before, now)]
        labels = tuple(f"{low:.3g}-{high:.3g}" for low, high in pairwise(edges))
        return BinnedColumn(labels=labels, before=tuple(counts[0]), now=tuple(counts[1]))
    values = sorted({*before, *now})
    counted = Counter(before), Counter(now)
    return BinnedColumn(
        labels=tuple(map(str, values)),
        before=tuple(counted[0][value] for value in values),
        now=tuple(counted[1][value] for value in values),
    )


def kolmogorov_smirnov(before: Sequence[float], now: Sequence[float]) -> tuple[float, float]:
    """Largest distance of the two cumulative distributions, in [0, 1], and how likely chance makes it so large."""
    from scipy.stats import ks_2samp

    found = ks_2samp(before, now, method="asymp")
    return float(found.statistic), float(found.pvalue)


def _shares(counts: Floats) -> Floats:
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def _psi(before: Floats, now: Floats) -> Floats:
    """One index a row, from counts [splits, bins]."""
    r, w = _filled(_shares(before)), _filled(_shares(now))
    index: Floats = ((r - w) * np.log(r / w)).sum(axis=1)
    return index


def _filled(shares: Floats) -> Floats:
    smallest = np.where(shares > 0, shares, np.inf).min(axis=1, keepdims=True)
    return np.where(shares > 0, shares, np.where(smallest <= EMPTY, smallest / 10**6, EMPTY))
