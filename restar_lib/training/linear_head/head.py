"""Mode `head`: the encoder stays as it is, a linear head is fitted on its features, in about a minute.

Logistic regression on standardised features (convex: the same rows give the same head); its coefficients move into the
torch head, so nothing of scikit-learn is in a model. How rare classes are weighted is decided in `imbalance`. A class
without a row gets a constant logit that no text comes near, so its probability is practically 0.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from restar_lib.evaluation.metrics import CLASSES
from restar_lib.feature_scaling import Features, centre_of, scale_of, scaled
from restar_lib.training.imbalance import ClassWeighting
from restar_lib.training.network import SentimentModel

MAX_ITERATIONS: Final = 1000
NEVER: Final = -100.0
"""The logit of a class without a row. Even at the hottest temperature, 10, its probability is under 0.0001."""
Floats = NDArray[np.float64]


def fit_head(
    model: SentimentModel,
    features: Features,
    truth: NDArray[np.int64],
    weighting: ClassWeighting,
    *,
    regularisation: float,
) -> None:
    """Fit the head of `model` on `features` [n, d] and `truth` [n], two classes at least, by the weights of n rows."""
    from sklearn.linear_model import LogisticRegression

    centre, scale = centre_of(features), scale_of(features)
    features = scaled(features, centre, scale)
    regression = LogisticRegression(C=regularisation, max_iter=MAX_ITERATIONS)
    regression.fit(features, truth, sample_weight=weighting.weights)
    coefficients, intercepts = _by_class(regression.coef_, regression.intercept_)
    weight, bias = np.zeros((CLASSES, features.shape[1])), np.full(CLASSES, NEVER)
    weight[regression.classes_] = coefficients * scale
    bias[regression.classes_] = intercepts - weight[regression.classes_] @ centre
    _set_head(model, weight=weight, bias=bias - weighting.offset)


def _by_class(coefficients: Floats, intercepts: Floats) -> tuple[Floats, Floats]:
    """A row a class: of two classes scikit-learn gives the second one's log odds alone, here each gets half of them."""
    if len(coefficients) > 1:
        return coefficients, intercepts
    halves = np.array([-0.5, 0.5])
    return np.outer(halves, coefficients[0]), halves * intercepts[0]


def _set_head(model: SentimentModel, *, weight: Floats, bias: Floats) -> None:
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))
