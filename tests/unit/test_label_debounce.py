"""When finished labels are announced: once per heap, and none forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from restar_lib.retraining.label_debounce import LONGEST_DELAY, LabelDebounce

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ENOUGH = 10


def announced(looks: list[int], *, every: timedelta = SECOND) -> list[int]:
    """Which of these counts, seen one after the other, were announced."""
    return [looks[number] for number in announcements(looks, every=every)]


def announcements(looks: list[int], *, every: timedelta = SECOND) -> list[int]:
    """At which looks something was announced."""
    state, said = LabelDebounce(enough=ENOUGH), []
    for number, finished in enumerate(looks):
        state, is_due = state.count(finished, now=NOON + number * every)
        said += [number] if is_due else []
    return said


def test_too_few_labels_are_never_announced() -> None:
    """Nine of ten wait for ever."""
    assert announced([9] * 1000, every=timedelta(hours=1)) == []


def test_a_burst_is_let_finish_and_announced_once() -> None:
    """While labels pour in, one training of all of them is better than one of the first ten."""
    assert announced([4, 12, 25, 40, 40, 40, 41, 41]) == [40]


def test_labels_that_never_stop_are_announced_after_some_minutes() -> None:
    """The wait for the last of them has an end."""
    looks = list(range(10, 500))
    assert announced(looks)[0] == 10 + LONGEST_DELAY.seconds


def test_after_a_merge_the_next_heap_is_news() -> None:
    """Fewer than announced means that those were merged, even when no look saw the empty queue."""
    assert announced([20, 20, 0, 5, 12, 12]) == [20, 12]
    assert announced([30, 30, 12, 12]) == [30, 12]


def test_growing_by_as_many_as_are_enough_is_news() -> None:
    """Labels that come during a training are announced for the next one."""
    assert announced([10, 10, 15, 15, 20, 20]) == [10, 20]


def test_an_announcement_that_led_to_nothing_is_repeated_after_an_hour() -> None:
    """A paused DAG or a failed run must not make labels wait for the next ones."""
    assert announced([10] * 130, every=timedelta(minutes=1)) == [10, 10, 10]


@given(st.lists(st.integers(min_value=0, max_value=100), max_size=60))
def test_nobody_is_stormed_and_nothing_small_is_announced(looks: list[int]) -> None:
    """Between two announcements the heap was merged, or grew by as many as are enough."""
    said = announcements(looks)
    assert all(looks[number] >= ENOUGH for number in said)
    for earlier, later in pairwise(said):
        was_merged = min(looks[earlier + 1 : later + 1]) < looks[earlier]
        assert was_merged or looks[later] >= looks[earlier] + ENOUGH
