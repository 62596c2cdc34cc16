"""How features are scaled before a linear model is fitted on them: one rule for the head, its increment and the doubt.

Pure arithmetic, needs no torch. It centres nothing and fits nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLAT: Final = 1e-3
"""A feature that varies less than this share of the median one says nothing."""


def scale_of(features: Floats) -> Floats:
    """What each of the d features is multiplied by, so that a row of [n, d] has norm 1 on average.

    So the strength of a regularisation means the same for every encoder. A feature that hardly varies is not blown up:
    the last bits of its rounding would get weights of 1e29, and a network with such a head cannot be fine-tuned.
    """
    deviation = features.std(axis=0)
    floor = FLAT * np.median(deviation) or 1.0
    return np.asarray(1.0 / (np.maximum(deviation, floor) * np.sqrt(features.shape[1])))
