"""Rare classes: all three ways aim at the same mix, and undo what they changed."""

from typing import get_args

import numpy as np
import pytest

from restar_lib.errors import SnapshotError
from restar_lib.evaluation.metrics import Floats, Integers
from restar_lib.inference.engine import softmax
from restar_lib.training.imbalance import Method, class_weighting

METHODS: tuple[Method, ...] = get_args(Method)


def rows(seed: int, *, counts: tuple[int, int, int]) -> tuple[Floats, Integers]:
    """Points in a plane, one cloud a class: overlapping, so that the prior decides in between."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(3), counts)
    centres = np.array([[-1.0, 0.0], [0.0, 0.7], [1.0, 0.0]])
    return centres[truth] + rng.normal(size=(len(truth), 2)), truth


def probabilities(method: Method, *, power: float) -> Floats:
    """What a model says of a natural stream, having learned from an enriched sample whose weights undo the enriching."""
    from sklearn.linear_model import LogisticRegression

    features, truth = rows(1, counts=(1500, 1500, 3000))
    natural = np.array([0.1, 0.1, 0.8])
    weights = (natural / np.array([0.25, 0.25, 0.5]))[truth]
    how = class_weighting(truth, weights, method=method, power=power)
    model = LogisticRegression(C=100.0, max_iter=500)
    model.fit(features, truth, sample_weight=how.weights)
    seen, _ = rows(2, counts=(1000, 1000, 8000))
    return softmax(model.decision_function(seen) - how.offset)


@pytest.mark.parametrize("method", METHODS)
def test_without_tilt_every_way_says_the_natural_mix(method: Method) -> None:
    """The mean probability of each class is its share in the stream, though the sample had other shares."""
    assert probabilities(method, power=0).mean(axis=0) == pytest.approx([0.1, 0.1, 0.8], abs=0.02)


@pytest.mark.parametrize("power", [0.35, 1.0])
def test_all_ways_tilt_towards_rare_classes_alike(power: float) -> None:
    """The same power means the same mix, whichever way it is reached."""
    found = [probabilities(method, power=power).mean(axis=0) for method in METHODS]
    assert found[0][2] < 0.76
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_a_label_of_people_keeps_its_weight_beside_stars_of_its_class(method: Method) -> None:
    """Three times as much as a star before, three times as much after."""
    truth, weights = np.repeat(np.arange(3), (4, 4, 16)), np.ones(24)
    weights[0] = 3.0
    how = class_weighting(truth, weights, method=method, power=0.35)
    of_people, of_stars = how.weights[0], how.weights[1]
    assert of_people / of_stars == pytest.approx(3)
    assert how.weights.mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("truth", "missing"), [([2, 2], "negative or neutral"), ([0, 1], "positive"), ([1, 2], "negative")]
)
def test_a_missing_class_is_refused_by_name(truth: list[int], missing: str) -> None:
    """A class without a row could never be said."""
    with pytest.raises(SnapshotError, match=f"no training row is {missing}: ingest more reviews"):
        class_weighting(np.array(truth), np.ones(2), method="reweight", power=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("power", [0.0, 0.35, 1.0])
def test_likes_and_dislikes_alone_are_weighted_as_two_classes(method: Method, power: float) -> None:
    """At power 1 both weigh the same; the absent class takes no share and no offset."""
    truth = np.repeat([0, 2], (20, 80))
    how = class_weighting(truth, np.ones(100), method=method, power=power)
    aimed = np.bincount(truth, weights=how.weights, minlength=3) / 100 / np.exp(how.offset)
    wanted = np.array([0.2, 0.8]) ** (1 - power)
    assert aimed[[0, 2]] == pytest.approx(wanted / wanted.sum())
    assert how.offset[1] == 0
