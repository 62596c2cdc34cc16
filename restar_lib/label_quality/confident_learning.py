"""How much each star rating is to be doubted, by confident learning (Northcutt, Jiang and Chuang 2021, `cleanlab`).

A logistic regression on the frozen encoder's features answers for rows that it has not learned from (out of fold).
Where such answers contradict the given label with more confidence than is usual for that class, the label is doubted.
Pure functions on arrays, the same rows give the same answer. They change no label: a training takes `doubt_weights`,
the audit (`label_audit.audit`) takes `doubt`. Loads scikit-learn and cleanlab (seconds) when called, not when imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import SENTIMENTS, Sentiment
from restar_lib.feature_scaling import Features, centre_of, scale_of, scaled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Groups = NDArray[np.int64] | NDArray[np.str_]
"""[n]: rows with the same value belong together."""

FOLDS: Final = 5
DOUBTED_WEIGHT: Final = 0.25
"""What is left of the weight of a doubted label: confident learning is wrong often enough to keep some."""
EVENNESS: Final = 0.35
"""How far a training evens the classes out before it doubts; as `training.class_weight_power`, and measured with it."""
INVERSE_L2: Final = 2.0
"""scikit-learn's C on features of unit norm; `training.regularisation` has the same default."""
MAX_ITERATIONS: Final = 300


@dataclass(frozen=True, kw_only=True)
class LabelDoubt:
    """What out-of-sample answers say about given labels, row by row."""

    probabilities: Floats
    """[n, 3], of a model that has not learned from the row."""
    quality: Floats
    """[n], in [0, 1]: low where the label most likely lies."""
    doubted: Flags
    """[n]: confident learning takes the label for wrong."""


def doubt(features: Features, truth: Integers, weights: Floats, *, folds: int = FOLDS, seed: int) -> LabelDoubt:
    """Judge the labels `truth` [n] (class positions) by `features` [n, d]; `weights` [n] are row weights.

    Raises `ValueError` where a class has fewer rows than there are folds.
    """
    return judge(truth, out_of_sample(features, truth, weights, folds=folds, seed=seed))


def judge(given: Integers, probabilities: Floats) -> LabelDoubt:
    """Judge the labels `given` [n] by `probabilities` [n, 3] of a model that has not learned from these rows."""
    from cleanlab.rank import get_label_quality_scores

    quality = get_label_quality_scores(given, probabilities, method="normalized_margin")
    doubted = _issues(given, probabilities, filter_by="prune_by_noise_rate")
    return LabelDoubt(probabilities=probabilities, quality=np.asarray(quality), doubted=doubted)


def doubt_weights(
    features: Features,
    truth: Integers,
    weights: Floats,
    people: Flags,
    *,
    folds: int = FOLDS,
    seed: int,
    groups: Groups | None = None,
) -> Floats:
    """The row weights [n] of a training with partly wrong stars: lower for labels that are doubted.

    `people` [n] marks labels that people gave: they keep their weight whatever the features say. Where a class has
    fewer rows than there are folds, nothing is judged and every weight stays. `groups`: see `out_of_sample`.
    """
    if _fewest(truth, groups) < folds:
        return weights
    probabilities = out_of_sample(features, truth, weights, folds=folds, seed=seed, groups=groups)
    return reduced_weights(truth, probabilities, weights, people)


def reduced_weights(given: Integers, probabilities: Floats, weights: Floats, people: Flags) -> Floats:
    """The row weights after doubted labels were reduced, by out-of-sample `probabilities` [n, 3]."""
    doubted = _issues(given, _evened(probabilities), filter_by="confident_learning")
    return np.where(doubted & ~people, weights * DOUBTED_WEIGHT, weights)


def _issues(given: Integers, probabilities: Floats, *, filter_by: str) -> Flags:
    """The labels that cleanlab takes for wrong, [n]; it is not asked about a class that nothing stands for."""
    from cleanlab.filter import find_label_issues

    classes = np.union1d(given, np.flatnonzero(probabilities.any(axis=0)))
    place = np.searchsorted(classes, given)
    found = find_label_issues(place, probabilities[:, classes], filter_by=filter_by, n_jobs=1)
    return np.asarray(found, dtype=bool)


def _evened(probabilities: Floats) -> Floats:
    """As if rare classes were less rare, so that a training does not lose the few rows that it has of them."""
    shares = probabilities.mean(axis=0)
    raised = probabilities * np.where(shares > 0, shares, 1.0) ** -EVENNESS  # a class without a row stays at 0
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def out_of_sample(
    features: Features, truth: Integers, weights: Floats, *, folds: int, seed: int, groups: Groups | None = None
) -> Floats:
    """Class probabilities [n, classes] by cross-validation: no row is judged by a model that has seen its label.

    Rows of one group [n] (the sentences of a review, which have its label) are never on both sides of a fold. Raises
    `ValueError` where a class has fewer rows, or groups, than there are folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    fewest = _fewest(truth, groups)
    if fewest < folds:
        raise ValueError(f"a class has {fewest} {'rows' if groups is None else 'groups'}, too few for {folds} folds")
    rows = scaled(features, centre_of(features), scale_of(features), dtype=np.float32)
    found = np.zeros((len(truth), int(truth.max()) + 1))
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    for learn, judge in kind(folds, shuffle=True, random_state=seed).split(rows, truth, groups):
        regression = LogisticRegression(C=INVERSE_L2, max_iter=MAX_ITERATIONS)
        regression.fit(rows[learn], truth[learn], sample_weight=weights[learn] / weights[learn].mean())
        found[np.ix_(judge, regression.classes_)] = regression.predict_proba(rows[judge])
    return found


def rarest_class(truth: Integers) -> tuple[Sentiment, int]:
    """The class with the fewest rows, and how many; where no row is neutral there are two classes."""
    counts = np.bincount(truth, minlength=len(SENTIMENTS))
    judged = [one for one in SENTIMENTS if counts[one.position] or one is not Sentiment.NEUTRAL]
    rarest = min(judged, key=lambda one: counts[one.position])
    return rarest, int(counts[rarest.position])


def _fewest(truth: Integers, groups: Groups | None) -> int:
    """How many rows, or groups where there are some, the rarest class has."""
    if groups is None:
        return int(np.unique(truth, return_counts=True)[1].min())
    return min(len(np.unique(groups[truth == one])) for one in np.unique(truth))
