"""Mode `increment`: the champion's head is updated by the newest rows; the encoder stays as it is.

Logistic regression with a Gaussian prior around the champion's head: the loss of the new rows plus `strength` times
half the squared distance from where the head stood, so few labels change little, and directions that they do not cover
stay as they were. Convex: the same rows give the same head. It takes seconds, because only the new rows are read. It
does not see the old rows again, so it can forget them where `strength` is small; `benchmarks/loop.py` compares it with
training on everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from restar_lib.domain import SENTIMENTS, Example
from restar_lib.feature_scaling import Features, centre_of, scale_of, scaled
from restar_lib.training.network import SentimentModel

MAX_ITERATIONS: Final = 500
CLASSES: Final = len(SENTIMENTS)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def update_head(
    model: SentimentModel, features: Features, truth: Integers, weights: Floats, *, strength: float
) -> None:
    """Move the head of `model` (the champion's) by `features` [n, d], `truth` [n] and row `weights` [n], n > 0.

    `strength` is the precision of the prior for features of norm 1, in rows of weight 1. The weights are taken as they
    are: they say how much these rows count beside the prior. A class without a row is no error, it stays where it was.
    """
    prior_weight = model.head.weight.detach().double().numpy()
    prior_bias = model.head.bias.detach().double().numpy()
    weight, bias = updated(prior_weight, prior_bias, features, truth, weights, strength=strength)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))


def start_class(model: SentimentModel, position: int, *, share: float) -> None:
    """Give a class that the head has never learned a start: `share` of the rows, whatever the text says.

    Its logit was a constant that no update could move from.
    """
    with torch.no_grad():
        model.head.weight[position] = 0.0
        model.head.bias[position] = math.log(share)


def updated(
    weight: Floats, bias: Floats, features: Features, truth: Integers, weights: Floats, *, strength: float
) -> tuple[Floats, Floats]:
    """`update_head` on plain arrays: a head's weight [3, d] and bias [3] in, the moved ones out."""
    from scipy.optimize import minimize

    centre, scale = centre_of(features), scale_of(features)
    rows = np.column_stack([scaled(features, centre, scale), np.ones(len(features))])
    prior = np.column_stack([weight / scale, bias + weight @ centre])
    wanted = np.eye(CLASSES)[truth]

    def loss(flat: Floats) -> tuple[float, Floats]:
        moved = flat.reshape(prior.shape) - prior
        logits = rows @ flat.reshape(prior.shape).T
        normaliser = _log_sum_exp(logits)
        surprise = weights @ (normaliser - (logits * wanted).sum(axis=1))
        gradient = (weights[:, None] * (np.exp(logits - normaliser[:, None]) - wanted)).T @ rows + strength * moved
        return float(surprise + strength / 2 * (moved**2).sum()), gradient.ravel()

    found = minimize(loss, prior.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS})
    moved = found.x.reshape(prior.shape)
    new_weight = moved[:, :-1] * scale
    return new_weight, moved[:, -1] - new_weight @ centre


def fresh_rows(train: Sequence[Example], seen: Iterable[Example]) -> NDArray[np.bool_]:
    """Which rows of `train` the champion has not learned from, [n]: new ones, and those whose truth has changed.

    `seen` are the training rows of the champion's snapshot.
    """
    known = {(row.review_id, row.truth, row.truth_source) for row in seen}
    return np.array([(row.review_id, row.truth, row.truth_source) not in known for row in train], dtype=np.bool_)


def _log_sum_exp(logits: Floats) -> Floats:
    largest = logits.max(axis=1)
    return np.asarray(largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)))
