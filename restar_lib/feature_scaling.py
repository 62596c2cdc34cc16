"""How features are scaled before a linear model is fitted on them: one rule for the head, its increment and the doubt.

Features are single precision, as the network gives them, and 500,000 rows of them are 4 GB: what is computed about them
is computed in double precision, some columns or rows at a time, so that no second full copy is made. Pure arithmetic,
needs no torch. It fits nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.float64]
Features = NDArray[np.float32] | NDArray[np.float64]
"""[n, d]: single precision as they are read, double where they were computed."""
FLAT: Final = 1e-3
"""A feature that varies less than this share of the median one says nothing."""
COLUMNS: Final = 64
ROWS: Final = 4096


def centre_of(features: Features) -> Floats:
    """The mean of each of the d features."""
    return np.concatenate([block.mean(axis=0) for block in _columns(features)])


def scale_of(features: Features) -> Floats:
    """What each of the d features is multiplied by, so that a row of [n, d] has norm 1 on average.

    So the strength of a regularisation means the same for every encoder. A feature that hardly varies is not blown up:
    the last bits of its rounding would get weights of 1e29, and a network with such a head cannot be fine-tuned.
    """
    deviation = np.concatenate([block.std(axis=0) for block in _columns(features)])
    floor = FLAT * np.median(deviation) or 1.0
    return np.asarray(1.0 / (np.maximum(deviation, floor) * np.sqrt(features.shape[1])))


def scaled(features: Features, centre: Floats, scale: Floats, *, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """`(features - centre) * scale`, computed in double precision, kept as `dtype`."""
    found = np.empty(features.shape, dtype=dtype)
    for start in range(0, len(features), ROWS):
        found[start : start + ROWS] = (features[start : start + ROWS] - centre) * scale
    return found


def _columns(features: Features) -> Iterator[Floats]:
    for start in range(0, features.shape[1], COLUMNS):
        yield features[:, start : start + COLUMNS].astype(np.float64)
