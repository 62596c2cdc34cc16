"""Rare classes: how training weights them, and how predictions are corrected for the class mix of the stream.

Streams are 80 to 95 % positive. A network that learns as if classes were more even finds more of the rare ones; what it
says is then wrong by a known factor, the ratio of two priors, which is added to the logits (King & Zeng 2001, "Logistic
Regression in Rare Events Data"; Menon et al. 2021, "Long-tail learning via logit adjustment", equation 9). Both
ways aim at the same mix, the natural shares to the power of `1 - power`: 0 is the natural one.

- `reweight`: each row's loss is weighted by its class; nothing is added.
- `logit_adjustment`: the rows as they are, the difference of the priors added to the logits while learning.

Pure arithmetic; knows no network. Instance weights of one class keep their proportions in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import SENTIMENTS
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
    """What is added to the logits while learning, [3], and to nothing afterwards."""


def class_weighting(truth: Integers, weights: Floats, *, method: Method, power: float) -> ClassWeighting:
    """How to learn from rows with class `truth` [n] and instance weights [n] whose weighted mix is the natural one.

    Raises `SnapshotError` where a class has no row.
    """
    refuse_missing_classes(truth)
    natural = _shares(np.bincount(truth, weights=weights, minlength=CLASSES))
    target = _shares(natural ** (1.0 - power))
    if method == "reweight":
        scaled = weights * (target / natural)[truth]
        return ClassWeighting(weights=scaled / scaled.mean(), offset=np.zeros(CLASSES))
    relative = weights / _class_means(truth, weights)[truth]
    learned = _shares(np.bincount(truth, weights=relative, minlength=CLASSES))
    return ClassWeighting(weights=relative / relative.mean(), offset=np.log(learned / target))


def refuse_missing_classes(truth: Integers) -> None:
    """Raise `SnapshotError` where a class has no training row: it could never be said."""
    missing = [sentiment for sentiment in SENTIMENTS if sentiment.position not in truth]
    if missing:
        raise SnapshotError(
            f"no training row is {' or '.join(missing)}: ingest more reviews, or label some, before training"
        )


def _class_means(truth: Integers, weights: Floats) -> Floats:
    return np.asarray(np.bincount(truth, weights=weights, minlength=CLASSES) / np.bincount(truth, minlength=CLASSES))


def _shares(amounts: NDArray[Any]) -> Floats:
    return np.asarray(amounts / amounts.sum())
