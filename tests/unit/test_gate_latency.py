"""Latency at batch size 1: real requests, and no refusal for what other processes did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from restar_lib.gate.judge import LATENCY_ATTEMPTS, LATENCY_REQUESTS, measure_latency
from restar_lib.inference.engine import InferenceEngine
from tests.tiny_model import make_tiny_model

TEXTS = [f"an excellent lamp number {number}" for number in range(300)]


@pytest.fixture
def model(tmp_path: Path) -> InferenceEngine:
    """A loaded model."""
    return InferenceEngine.load(make_tiny_model(tmp_path / "model"))


def clock(milliseconds: Iterable[float]) -> Iterator[float]:
    """Readings before and after requests that take so long."""
    now = 0.0
    for spent in milliseconds:
        yield now
        now += spent / 1000
        yield now


def measured(model: InferenceEngine, *milliseconds: Iterable[float]) -> tuple[int, float, float]:
    """Requests, mean and p99 where requests take the given times."""
    readings = clock(chain(*milliseconds))
    found = measure_latency(model, TEXTS, ceiling_ms=300, clock=lambda: next(readings))
    assert next(readings, None) is None, "every given request was made"
    return found.requests, found.mean_ms, found.p99_ms


def test_the_slow_requests_count_and_not_the_mean(model: InferenceEngine) -> None:
    """Six slow requests of two hundred are more than one of a hundred."""
    slow = [*repeat(10.0, LATENCY_REQUESTS - 6), *repeat(400.0, 6)]
    requests, mean, p99 = measured(model, *[slow] * LATENCY_ATTEMPTS)
    assert (requests, round(p99)) == (LATENCY_REQUESTS, 400)
    assert mean == pytest.approx(21.7)


def test_a_fast_model_is_measured_once(model: InferenceEngine) -> None:
    """Within the ceiling there is nothing to repeat."""
    assert measured(model, repeat(10.0, LATENCY_REQUESTS))[2] == pytest.approx(10)


def test_a_busy_moment_does_not_refuse_a_model(model: InferenceEngine) -> None:
    """The best of up to three measurements counts."""
    busy, quiet = repeat(500.0, LATENCY_REQUESTS), repeat(20.0, LATENCY_REQUESTS)
    assert measured(model, busy, quiet)[2] == pytest.approx(20)


def test_few_texts_are_measured_as_they_are(model: InferenceEngine) -> None:
    """A small gate set is no reason to fail."""
    assert measure_latency(model, TEXTS[:7], ceiling_ms=300).requests == 7
