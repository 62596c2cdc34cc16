"""Rare classes: how training weights them, and how predictions are corrected for the class mix of the stream.

Streams are 80 to 95 % positive. A network that learns as if classes were more even finds more of the rare ones; what it
says is then wrong by a known factor, the ratio of two priors, which is added to the logits (King & Zeng 2001, "Logistic
Regression in Rare Events Data"; Menon et al. 2021, "Long-tail learning via logit adjustment", equation 9). Both
ways aim at the same mix, the natural shares to the power of `1 - power`: 0 is the natural one.

- `reweight`: each row's loss is weighted by its class; nothing is added.
- `logit_adjustment`: the rows as they are, the difference of the priors added to the logits while learning.

Rows without a neutral one are learned from as two classes: a source may know only likes and dislikes. Any other missing
class is refused.

Pure arithmetic; knows no network. Instance weights of one class keep their proportions in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import SENTIMENTS, Sentiment
from restar_lib.errors import SnapshotError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Method = Literal["reweight", "logit_adjustment"]
CLASSES: Final = len(SENTIMENTS)


@dataclass(frozen=True, kw_only=True)
class ClassWeighting:
    """How n rows are weighted in training."""

    weights: Floats
    """Weight of each row in the loss, [n], mean 1."""
    offset: Floats
    """What is added to the logits while learning, [3], and to nothing afterwards; 0 for a class without a row."""


def class_weighting(truth: Integers, weights: Floats, *, method: Method, power: float) -> ClassWeighting:
    """How to learn from rows with class `truth` [n] and instance weights [n] whose weighted mix is the natural one.

    Raises `SnapshotError` where negative or positive has no row.
    """
    refuse_missing_classes(truth)
    present = np.unique(truth)
    natural = _shares(np.bincount(truth, weights=weights, minlength=CLASSES)[present])
    target = _shares(natural ** (1.0 - power))
    place = np.searchsorted(present, truth)  # of each row's class among those that are present
    offset = np.zeros(CLASSES)
    if method == "reweight":
        scaled = weights * (target / natural)[place]
        return ClassWeighting(weights=scaled / scaled.mean(), offset=offset)
    relative = weights / _class_means(place, weights)[place]
    offset[present] = np.log(_shares(np.bincount(place, weights=relative)) / target)
    return ClassWeighting(weights=relative / relative.mean(), offset=offset)


def classes_of(truth: Integers) -> tuple[Sentiment, ...]:
    """The classes that have a row, in their order."""
    return tuple(sentiment for sentiment in SENTIMENTS if sentiment.position in truth)


def refuse_missing_classes(truth: Integers) -> None:
    """Raise `SnapshotError` where negative or positive has no training row: it could never be said.

    Without a neutral row alone it is a truth of two classes.
    """
    missing = [sentiment for sentiment in SENTIMENTS if sentiment not in classes_of(truth)]
    if missing and missing != [Sentiment.NEUTRAL]:
        raise SnapshotError(
            f"no training row is {' or '.join(missing)}: ingest more reviews, or label some, before training"
        )


def _class_means(truth: Integers, weights: Floats) -> Floats:
    return np.asarray(np.bincount(truth, weights=weights) / np.bincount(truth))


def _shares(amounts: NDArray[Any]) -> Floats:
    return np.asarray(amounts / amounts.sum())
