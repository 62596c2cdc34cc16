"""What rows of a snapshot hold, as arrays and lists in the order of the rows. Pure; reads and writes nothing.

Called by training, evaluation, the gate and the rooms that look for doubted labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import Example


def truth_of(examples: Sequence[Example]) -> NDArray[np.int64]:
    """The truth of each row as a class index, [n]."""
    return np.array([example.truth.position for example in examples], dtype=np.int64)


def texts_of(examples: Sequence[Example]) -> list[str]:
    """The text of each row."""
    return [example.text for example in examples]
