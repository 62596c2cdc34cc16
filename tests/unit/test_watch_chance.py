"""How far two samples lie apart, and how far they would by chance."""

import random

import pytest

from restar_lib.artifacts.reference import columns_of
from restar_lib.monitoring.drift.evidently_comparison import compare
from restar_lib.monitoring.drift.sampling_noise import binned, kolmogorov_smirnov
from restar_lib.settings import MonitoringSettings
from tests.watched import OTHER, USUAL, WORDS, draw

VOCABULARY = frozenset(WORDS)


@pytest.mark.parametrize("kind", [USUAL, OTHER])
def test_our_bins_are_evidentlys(kind: object) -> None:
    """The chance limit is about the very index that Evidently reports, to the last digit, ratings that lack included."""
    reference = columns_of(draw(800, kind=USUAL, seed=1), VOCABULARY)
    window = columns_of(draw(120, kind=kind, seed=2), VOCABULARY)  # type: ignore[arg-type]
    ratings = tuple(None if number % 7 == 0 else rating for number, rating in enumerate(window.rating))
    window = type(window)(**{**vars(window), "rating": ratings})
    for distance in compare(reference, window, MonitoringSettings()).distances.values():
        assert distance.psi == pytest.approx(distance.binned.psi, abs=1e-9)


def test_small_samples_of_one_stream_stay_within_the_chance_limit() -> None:
    """Two hundred pairs from one stream: many are over 0.25, almost none over what chance explains."""
    chance = random.Random(3)
    over_limit = over_chance = 0
    for _ in range(200):
        before, now = ([chance.gauss(20, 5) for _ in range(rows)] for rows in (200, 40))
        counted = binned(before, now, numbers=True)
        over_limit += counted.psi > 0.25
        over_chance += counted.psi > counted.psi_by_chance(0.01)
    assert over_limit > 40
    assert over_chance <= 8


def test_a_real_shift_is_far_beyond_chance() -> None:
    """Half a standard deviation in samples of the usual size."""
    chance = random.Random(4)
    before, now = ([chance.gauss(mean, 5) for _ in range(1000)] for mean in (20, 22.5))
    assert binned(before, now, numbers=True).psi > 2 * binned(before, now, numbers=True).psi_by_chance(0.001)
    distance, p = kolmogorov_smirnov(before, now)
    assert distance == pytest.approx(0.2, abs=0.05)
    assert p < 0.001


def test_the_same_samples_have_the_same_chance_limit() -> None:
    """Dealing is seeded: a run that is repeated says the same."""
    counted = binned(list("aabbbc"), list("abbcc"), numbers=False)
    assert counted.psi_by_chance(0.01) == counted.psi_by_chance(0.01)


def test_larger_samples_leave_less_to_chance() -> None:
    """The limit falls with the rows, for the index and for a class's share."""
    limits = []
    for times in (1, 10):
        counted = binned(list("aaabbc") * 10 * times, list("aaabbc") * 5 * times, numbers=False)
        limits.append((counted.psi_by_chance(0.001), counted.shift_by_chance(0.001)))
    assert limits[1][0] < limits[0][0] / 5
    assert limits[1][1] < limits[0][1] / 2


def test_values_are_counted_by_name_and_missing_ones_not_at_all() -> None:
    """Few distinct numbers are taken value by value."""
    counted = binned([1, 5, 5, None], [5, 3, None, None], numbers=True)
    assert (counted.labels, counted.before, counted.now) == (("1", "3", "5"), (1, 0, 2), (0, 1, 1))
    assert counted.shares() == ((1 / 3, 0.0, 2 / 3), (0.0, 0.5, 0.5))
