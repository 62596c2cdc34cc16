"""The cheap mode: the encoder stays as it is, a linear head is fitted on its features, in about a minute.

Logistic regression on standardised features (convex: the same rows give the same head), with instance and class
weights; its coefficients move into the torch head, so nothing of scikit-learn is in a model.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from restar_lib.domain import SENTIMENTS
from restar_lib.errors import SnapshotError
from restar_lib.training.model import SentimentModel

MAX_ITERATIONS: Final = 1000
Floats = NDArray[np.float64]


def fit_head(
    model: SentimentModel, features: Floats, truth: NDArray[np.int64], weights: Floats, *, regularisation: float
) -> None:
    """Fit the head of `model` on `features` [n, d], `truth` [n] and row `weights` [n].

    Raises `SnapshotError` where a class has no row: a model that cannot say a class is no sentiment model.
    """
    from sklearn.linear_model import LogisticRegression

    refuse_missing_classes(truth)
    centre, scale = features.mean(axis=0), _scale(features)
    regression = LogisticRegression(C=regularisation, max_iter=MAX_ITERATIONS)
    regression.fit((features - centre) * scale, truth, sample_weight=weights / weights.mean())
    weight = regression.coef_ * scale
    _set_head(model, weight=weight, bias=regression.intercept_ - weight @ centre)


def class_weights(truth: NDArray[np.int64], weights: Floats, *, power: float) -> Floats:
    """Weight of each class, [3]: (1 / its share) ** power; shares are of row weights, so resampling does not count."""
    shares = np.bincount(truth, weights=weights, minlength=len(SENTIMENTS)) / weights.sum()
    return np.asarray(np.maximum(shares, 1e-6) ** -power)


def refuse_missing_classes(truth: NDArray[np.int64]) -> None:
    """Raise `SnapshotError` where a class has no training row."""
    missing = [sentiment for sentiment in SENTIMENTS if sentiment.position not in truth]
    if missing:
        raise SnapshotError(
            f"no training row is {' or '.join(missing)}: ingest more reviews, or label some, before training"
        )


def _scale(features: Floats) -> Floats:
    # Divided by sqrt(d) as well, so that a row has norm 1 on average and C means the same for every encoder.
    deviation = features.std(axis=0)
    return np.asarray(1.0 / (np.where(deviation > 0, deviation, 1.0) * np.sqrt(features.shape[1])))


def _set_head(model: SentimentModel, *, weight: Floats, bias: Floats) -> None:
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))
