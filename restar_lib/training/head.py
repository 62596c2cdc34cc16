"""The cheap mode: the encoder stays as it is, a linear head is fitted on its features, in about a minute.

Logistic regression on standardised features (convex: the same rows give the same head); its coefficients move into the
torch head, so nothing of scikit-learn is in a model. How rare classes are learned is `imbalance`'s plan.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from restar_lib.training.imbalance import Plan
from restar_lib.training.model import SentimentModel

MAX_ITERATIONS: Final = 1000
FLAT: Final = 1e-3
"""A feature that varies less than this share of the median one says nothing."""
Floats = NDArray[np.float64]


def fit_head(
    model: SentimentModel, features: Floats, truth: NDArray[np.int64], plan: Plan, *, regularisation: float
) -> None:
    """Fit the head of `model` on `features` [n, d] and `truth` [n] by a plan for those n rows."""
    from sklearn.linear_model import LogisticRegression

    features, truth = features[plan.rows], truth[plan.rows]
    centre, scale = features.mean(axis=0), scale_of(features)
    regression = LogisticRegression(C=regularisation, max_iter=MAX_ITERATIONS)
    regression.fit((features - centre) * scale, truth, sample_weight=plan.weights)
    weight = regression.coef_ * scale
    _set_head(model, weight=weight, bias=regression.intercept_ - weight @ centre - plan.offset)


def scale_of(features: Floats) -> Floats:
    """What each of the d features is multiplied by, so that a row of [n, d] has norm 1 on average.

    So the strength of a regularisation means the same for every encoder. A feature that hardly varies is not blown up:
    the last bits of its rounding would get weights of 1e29, and a network with such a head cannot be fine-tuned.
    """
    deviation = features.std(axis=0)
    floor = FLAT * np.median(deviation) or 1.0
    return np.asarray(1.0 / (np.maximum(deviation, floor) * np.sqrt(features.shape[1])))


def _set_head(model: SentimentModel, *, weight: Floats, bias: Floats) -> None:
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))
