"""The gate's error rates, by simulation: populations where it is known how good both models are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from restar_lib.evaluation.paired_tests import compare_cells, macro_f1_difference, swap_test
from restar_lib.gate.criteria.against_champion import holds
from restar_lib.settings import PROJECT_ROOT, GateSettings

BETTER, NOT_WORSE = GateSettings(policy="better", resamples=400), GateSettings(policy="not_worse", resamples=400)
EVERY_SIZE = (250, 500, 1000, 2000, 5000, 10_000)


@pytest.fixture
def populations(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The populations of the benchmark; its modules are siblings in one folder."""
    monkeypatch.syspath_prepend(str(PROJECT_ROOT / "benchmarks"))
    import gate_populations

    yield gate_populations
    sys.modules.pop("gate_populations", None)


def rng() -> np.random.Generator:
    """The same draws in every run of the tests."""
    return np.random.default_rng(20261121)


def test_the_populations_are_what_they_say(populations: ModuleType) -> None:
    """Equal, five points worse and three points better, exactly; and they are populations."""
    same = populations.equal()
    for population, points in (
        (same, 0.0),
        (populations.worse(0.05, same), -0.05),
        (populations.better(0.03, same), 0.03),
    ):
        assert float(macro_f1_difference(population)) == pytest.approx(points, abs=1e-9)
        assert (population.sum(), population.min() >= 0) == (pytest.approx(1), True)


@pytest.mark.parametrize("rows", [1000, 2000])
def test_two_equal_models_are_seldom_promoted_as_better(populations: ModuleType, rows: int) -> None:
    """At most 5 % of the time."""
    assert populations.promoted(populations.equal(), BETTER, rows=rows, runs=250, rng=rng()) <= 0.05


def test_a_model_five_points_worse_is_refused(populations: ModuleType) -> None:
    """At least 95 % of the time at 2,000 rows, though `not_worse` allows a margin."""
    lost = populations.worse(0.05, populations.equal())
    assert populations.promoted(lost, NOT_WORSE, rows=2000, runs=200, rng=rng()) <= 0.05


def test_the_gate_does_not_refuse_everything(populations: ModuleType) -> None:
    """With enough rows equal models pass `not_worse`, and one that is three points better passes `better`."""
    same = populations.equal()
    assert populations.promoted(same, NOT_WORSE, rows=10_000, runs=60, rng=rng()) >= 0.9
    assert populations.promoted(populations.better(0.03, same), BETTER, rows=10_000, runs=60, rng=rng()) >= 0.9


def test_a_model_that_answers_the_same_is_not_better_and_not_worse() -> None:
    """No gain at all is above no `min_gain`, zero included; and nothing was lost."""
    cells = np.zeros((3, 3, 3), dtype=int)
    cells[[0, 0, 1, 2, 2], [0, 2, 1, 2, 1], [0, 2, 1, 2, 1]] = [60, 30, 70, 800, 40]
    found = compare_cells(cells.ravel(), resamples=400, rng=rng())
    assert (found.difference, found.lower, found.swap_p) == (0, 0, 1)
    assert [holds(found, config) for config in (BETTER, NOT_WORSE)] == [False, True]


def test_swapping_finds_a_plain_gain_and_has_no_side() -> None:
    """Ten rows gained and none lost: one in 1,024; the other way round it is the rule."""
    cells = np.zeros((3, 3, 3), dtype=int)
    cells[[0, 1, 2], [0, 1, 2], [0, 1, 2]] = 50
    gained, lost = cells.copy(), cells.copy()
    gained[0, 2, 0] = lost[0, 0, 2] = 10
    assert swap_test(gained.ravel(), resamples=4000, rng=rng()) == pytest.approx(2**-10, abs=0.0015)
    assert swap_test(lost.ravel(), resamples=400, rng=rng()) == 1


@pytest.mark.soak
@pytest.mark.parametrize("rows", EVERY_SIZE)
def test_the_error_rates_hold_at_every_size(populations: ModuleType, rows: int) -> None:
    """The long version: 2,000 samples of each size; what is five points worse is refused from 2,000 rows on."""
    same, draws = populations.equal(), rng()
    better, not_worse = GateSettings(policy="better"), GateSettings(policy="not_worse")
    assert populations.promoted(same, better, rows=rows, runs=2000, rng=draws) <= 0.05
    lost = populations.promoted(populations.worse(0.05, same), not_worse, rows=rows, runs=2000, rng=draws)
    assert lost <= 0.05 or rows < 2000
