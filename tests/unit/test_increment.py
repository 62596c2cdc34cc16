"""The nightly update moves the champion's head by what is new, and no further."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from restar_lib.domain import Example, Sentiment, TruthSource
from restar_lib.training.linear_head.increment import fresh_rows, updated

WEIGHT = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
BIAS = np.array([0.1, -0.2, 0.3])


def night(rows: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A night's features, truths and weights: feature 2 says negative, which the champion does not know yet."""
    rng = np.random.default_rng(4)
    features = rng.normal(size=(rows, 4))
    truth = np.where(features[:, 2] > 0, 0, 2)
    return features, truth, np.ones(rows)


def accuracy(weight: np.ndarray, bias: np.ndarray) -> float:
    """On a night of its own."""
    features, truth, _ = night(500)
    return float(((features @ weight.T + bias).argmax(axis=1) == truth).mean())


def test_a_strong_prior_keeps_the_head_and_a_weak_one_learns_the_night() -> None:
    """The strength decides how far the head moves."""
    held = updated(WEIGHT, BIAS, *night(), strength=1e9)
    assert held[0] == pytest.approx(WEIGHT, abs=1e-6)
    assert held[1] == pytest.approx(BIAS, abs=1e-6)
    assert accuracy(*updated(WEIGHT, BIAS, *night(), strength=0.1)) > accuracy(WEIGHT, BIAS) + 0.3


def test_the_moved_head_is_the_minimum() -> None:
    """With a prior of zeros it is scikit-learn's logistic regression on the same standardised features."""
    from sklearn.linear_model import LogisticRegression

    features, truth, weights = night()
    truth = np.where(np.arange(len(truth)) % 5 == 0, 1, truth)
    standard = (features - features.mean(axis=0)) / features.std(axis=0) / 2  # the root of four features
    # Its own intercept would have no penalty; ours has the prior's, so there it is a column like the others.
    rows = np.column_stack([standard, np.ones(len(standard))])
    expected = LogisticRegression(C=1 / 0.7, fit_intercept=False, tol=1e-8, max_iter=1000).fit(rows, truth).coef_
    weight, bias = updated(np.zeros((3, 4)), np.zeros(3), features, truth, weights, strength=0.7)
    assert features @ weight.T + bias == pytest.approx(rows @ expected.T, abs=1e-3)


def test_a_class_without_a_label_tonight_stays_known() -> None:
    """No night has everything; the prior holds what it does not speak of."""
    features, truth, weights = night()
    weight, bias = updated(WEIGHT, BIAS, features[truth == 0], truth[truth == 0], weights[truth == 0], strength=50)
    assert (np.array([[5.0, 0, 0, 0]]) @ weight.T + bias).argmax() == 2


def test_the_fresh_rows_are_new_reviews_and_new_truths() -> None:
    """What the champion has learned as it stands is not learned again."""
    old = Example(
        review_id="a",
        text="fine",
        truth=Sentiment.POSITIVE,
        truth_source=TruthSource.STARS,
        weight=1.0,
        rating=5,
        product_category=None,
        reviewed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    corrected = replace(old, review_id="b", truth=Sentiment.NEGATIVE, truth_source=TruthSource.PEOPLE)
    outvoted = replace(corrected, review_id="d", truth=Sentiment.NEUTRAL)
    seen = [old, replace(old, review_id="b"), replace(outvoted, truth=Sentiment.NEGATIVE)]
    train = [replace(old, weight=2.0), corrected, replace(old, review_id="c"), outvoted]
    assert fresh_rows(train, seen).tolist() == [False, True, True, True]
