"""Classes that are left out of the figures: neither the truth of the held-out rows nor the training's stars have them.

A source may know likes and dislikes alone. Nothing is asked of neutral then: macro-F1 is the mean of the classes that
the truth has, no recall is demanded of the others, and no behaviour case that expects one is counted. As soon as one
held-out review is neutral, because people said so, the rules of three classes apply: with a few neutral labels among
the training rows alone there is nothing to measure yet. Pure; the words stand wherever the figures do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import SENTIMENTS

ALL: Final = tuple(sentiment.value for sentiment in SENTIMENTS)
NUMBERS: Final = {1: "one class", 2: "two classes"}


def absent_classes(truth: NDArray[np.int64], rated: Collection[str]) -> tuple[str, ...]:
    """The classes that no row of `truth` [n] has, and that are not among those `rated` by the training's stars."""
    return tuple(name for place, name in enumerate(ALL) if name not in rated and place not in truth)


def absent_in_words(absent: Sequence[str]) -> str:
    """What that means for the figures; empty where no class is absent."""
    if not absent:
        return ""
    left = [name for name in ALL if name not in absent]
    return (
        f"{NUMBERS[len(left)]}: no review of the truth is {' or '.join(absent)}; macro-F1 is the mean of "
        f"{' and '.join(left)}"
    )
