"""Rare classes: how they get their say in training, and how the answer is set right for the mix that the stream has.

Streams are 80 to 95 % positive. A network that learns as if classes were more even finds more of the rare ones; what it
says is then wrong by a known factor, the ratio of two priors, which is added to the logits (King & Zeng 2001, "Logistic
Regression in Rare Events Data"; Menon et al. 2021, "Long-tail learning via logit adjustment", equation 9). All three
ways aim at the same mix, the natural shares to the power of `1 - power`: 0 is the natural one.

- `reweight`: each row's loss is weighted by its class; nothing is added.
- `balanced_sampling`: rows are drawn so that all classes are equally common; the difference of the priors is taken off
  the bias afterwards.
- `logit_adjustment`: the rows as they are, the difference of the priors added to the logits while learning.

Pure arithmetic; knows no network. Instance weights of one class keep their proportions in all three.
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
Method = Literal["reweight", "balanced_sampling", "logit_adjustment"]
CLASSES: Final = len(SENTIMENTS)


@dataclass(frozen=True, kw_only=True)
class ClassWeighting:
    """What is learned from n rows."""

    rows: Integers
    """Indices into the n rows, some of them perhaps twice: [m]."""
    weights: Floats
    """Weight of each of them in the loss, [m], mean 1."""
    offset: Floats
    """What is added to the logits while learning, [3], and to nothing afterwards."""


def plan(truth: Integers, weights: Floats, *, method: Method, power: float, seed: int) -> ClassWeighting:
    """How to learn from rows with class `truth` [n] and instance weights [n] whose weighted mix is the natural one.

    Raises `SnapshotError` where a class has no row.
    """
    refuse_missing_classes(truth)
    natural = _shares(np.bincount(truth, weights=weights, minlength=CLASSES))
    target = _shares(natural ** (1.0 - power))
    if method == "reweight":
        scaled = weights * (target / natural)[truth]
        return ClassWeighting(rows=np.arange(len(truth)), weights=scaled / scaled.mean(), offset=np.zeros(CLASSES))
    relative = weights / _class_means(truth, weights)[truth]
    rows = np.arange(len(truth)) if method == "logit_adjustment" else _balanced(truth, seed=seed)
    learned = _shares(np.bincount(truth[rows], weights=relative[rows], minlength=CLASSES))
    return ClassWeighting(rows=rows, weights=relative[rows] / relative[rows].mean(), offset=np.log(learned / target))


def refuse_missing_classes(truth: Integers) -> None:
    """Raise `SnapshotError` where a class has no training row: it could never be said."""
    missing = [sentiment for sentiment in SENTIMENTS if sentiment.position not in truth]
    if missing:
        raise SnapshotError(
            f"no training row is {' or '.join(missing)}: ingest more reviews, or label some, before training"
        )


def _balanced(truth: Integers, *, seed: int) -> Integers:
    """A third of as many rows as there are from each class: all of its rows equally often, give or take one."""
    rng = np.random.default_rng(seed)
    size = -(-len(truth) // CLASSES)
    return np.concatenate([np.resize(rng.permutation(np.flatnonzero(truth == one)), size) for one in range(CLASSES)])


def _class_means(truth: Integers, weights: Floats) -> Floats:
    return np.asarray(np.bincount(truth, weights=weights, minlength=CLASSES) / np.bincount(truth, minlength=CLASSES))


def _shares(amounts: NDArray[Any]) -> Floats:
    return np.asarray(amounts / amounts.sum())
