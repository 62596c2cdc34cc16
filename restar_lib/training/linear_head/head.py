"""Mode `head`: the encoder stays as it is, a linear head is fitted on its features, in about a minute.

Logistic regression on standardised features (convex: the same rows give the same head); its coefficients move into the
torch head, so nothing of scikit-learn is in a model. How rare classes are weighted is decided in `imbalance`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from restar_lib.feature_scaling import Features, centre_of, scale_of, scaled
from restar_lib.training.imbalance import ClassWeighting
from restar_lib.training.network import SentimentModel

MAX_ITERATIONS: Final = 1000
Floats = NDArray[np.float64]


def fit_head(
    model: SentimentModel,
    features: Features,
    truth: NDArray[np.int64],
    weighting: ClassWeighting,
    *,
    regularisation: float,
) -> None:
    """Fit the head of `model` on `features` [n, d] and `truth` [n] by the weights of those n rows."""
    from sklearn.linear_model import LogisticRegression

    centre, scale = centre_of(features), scale_of(features)
    features = scaled(features, centre, scale)
    regression = LogisticRegression(C=regularisation, max_iter=MAX_ITERATIONS)
    regression.fit(features, truth, sample_weight=weighting.weights)
    weight = regression.coef_ * scale
    _set_head(model, weight=weight, bias=regression.intercept_ - weight @ centre - weighting.offset)


def _set_head(model: SentimentModel, *, weight: Floats, bias: Floats) -> None:
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight))
        model.head.bias.copy_(torch.from_numpy(bias))
