"""Linear heads of the cheap mode, as the benchmarks fit them on kept features of the frozen encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from restar_lib.settings import TrainingSettings
from restar_lib.training.imbalance import class_weighting

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Standardises features so that rows have norm 1 on average."""

    centre: Floats
    scale: Floats

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Self:
        """Learned from these rows."""
        deviation = features.std(axis=0)
        return cls(
            centre=features.mean(axis=0),
            scale=1.0 / (np.where(deviation > 0, deviation, 1.0) * np.sqrt(features.shape[1])),
        )

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The standardised rows."""
        return np.asarray((features - self.centre) * self.scale, dtype=np.float32)


def fit(features: NDArray[np.float32], truth: Integers, weights: Floats | None = None, *, classes: int = 3) -> Any:
    """A fitted logistic regression of the cheap mode; three classes get their weights, others none."""
    from sklearn.linear_model import LogisticRegression

    config = TrainingSettings()
    weights = np.ones(len(truth)) if weights is None else weights
    if classes == len(np.unique(truth)) == 3:
        made = class_weighting(truth, weights, method=config.imbalance, power=config.class_weight_power)
        weights = made.weights
    return LogisticRegression(C=config.regularisation, max_iter=300).fit(features, truth, sample_weight=weights)
