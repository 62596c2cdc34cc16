"""Paired statistics: known answers, and properties that hold for every pair of models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restar_lib.evaluation.metrics import confusion_matrix, macro_f1
from restar_lib.evaluation.paired_tests import compare, mcnemar


def answers(truth: np.ndarray, accuracy: float, rng: np.random.Generator) -> np.ndarray:
    """Classes that are right at the given rate."""
    wrong = rng.random(len(truth)) >= accuracy
    return np.where(wrong, (truth + rng.integers(1, 3, len(truth))) % 3, truth)


def test_the_bootstrap_is_that_of_drawing_rows() -> None:
    """The multinomial over cells gives the interval that drawing whole rows with replacement gives."""
    rng = np.random.default_rng(1)
    truth = rng.choice(3, 600, p=[0.15, 0.1, 0.75])
    before, now = answers(truth, 0.80, rng), answers(truth, 0.84, rng)
    found = compare(truth, before, now, resamples=20_000, rng=np.random.default_rng(2))
    drawn = []
    for _ in range(4_000):
        rows = rng.integers(0, 600, 600)
        old = macro_f1(confusion_matrix(truth[rows], before[rows]))
        new = macro_f1(confusion_matrix(truth[rows], now[rows]))
        drawn.append(float(new - old))
    assert found.lower == pytest.approx(np.quantile(drawn, 0.05), abs=0.004)
    assert found.detectable == pytest.approx(2.4865 * np.std(drawn), rel=0.08)


def test_the_lower_end_covers_the_truth_in_95_of_100_samples() -> None:
    """Two equally good models: the interval lies above zero in about one sample of twenty."""
    rng = np.random.default_rng(3)
    above = 0
    for _ in range(300):
        truth = rng.choice(3, 400, p=[0.2, 0.2, 0.6])
        found = compare(truth, answers(truth, 0.8, rng), answers(truth, 0.8, rng), resamples=400, rng=rng)
        above += found.lower > 0
    assert 0.02 <= above / 300 <= 0.09


def test_the_detectable_difference_is_detected_in_80_of_100_samples() -> None:
    """A true difference of that size is shown with the promised power."""
    rng = np.random.default_rng(4)
    shown, sizes, gains = 0, [], []
    for _ in range(300):
        truth = rng.integers(0, 3, 500)
        found = compare(truth, answers(truth, 0.75, rng), answers(truth, 0.8145, rng), resamples=400, rng=rng)
        shown += found.lower > 0
        sizes.append(found.detectable)
        gains.append(found.difference)
    assert np.mean(gains) == pytest.approx(np.mean(sizes), rel=0.06), "the sample was made to have that difference"
    assert 0.74 <= shown / 300 <= 0.87


@given(
    rows=st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=60),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_swapping_the_models_mirrors_the_comparison(rows: list[tuple[int, int, int]], seed: int) -> None:
    """The difference changes its sign, the counts their places; the interval never starts above the difference."""
    truth, one, other = (np.array(column) for column in zip(*rows, strict=True))
    there = compare(truth, one, other, resamples=300, rng=np.random.default_rng(seed))
    back = compare(truth, other, one, resamples=300, rng=np.random.default_rng(seed))
    assert there.difference == pytest.approx(-back.difference)
    assert (there.better_rows, there.worse_rows) == (back.worse_rows, back.better_rows)
    assert there.mcnemar_p == back.mcnemar_p


def test_the_same_model_twice_differs_by_nothing() -> None:
    """No difference, no interval, no evidence."""
    truth = np.array([0, 1, 2, 2, 2] * 20)
    found = compare(truth, truth, truth, resamples=300, rng=np.random.default_rng(0))
    assert (found.difference, found.lower, found.detectable, found.mcnemar_p) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (0, 1, 1.0),
        (0, 6, 0.03125),  # 2 / 2**6
        (6, 0, 0.03125),
        (2, 8, 0.109375),  # 2 * (1 + 10 + 45) / 2**10
        (900, 1100, pytest.approx(8.5e-6, rel=0.1)),  # the normal approximation says 7.7e-6 to 8.7e-6
    ],
)
def test_mcnemar_is_exact(better: int, worse: int, p: float) -> None:
    """Values that can be worked out by hand, and thousands of rows without an overflow."""
    assert mcnemar(better, worse) == p
