"""The benchmarks of quality measure what they say: splits, intervals, coverage, agreement among people."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restar_lib.settings import PROJECT_ROOT

DAY = 24 * 3600 * 1000
FIRST = 1_000_000_000_000
"""Milliseconds, in 2001."""


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Benchmarks are programs of one folder: their modules are siblings."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(PROJECT_ROOT / "benchmarks"))
    yield
    for name in set(sys.modules) - before:
        if str(PROJECT_ROOT / "benchmarks") in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    with gzip.open(file, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def review(number: int, *, text: str = "", start: int = 0) -> dict[str, Any]:
    text = text or f"number {number} of {start} came and it does what a thing like that should do"
    return {"review_id": str(number), "text": text, "rating": 5, "timestamp": FIRST + (start + number) * DAY}


def test_the_newest_tenth_of_each_file_tests_and_no_text_twice(tmp_path: Path) -> None:
    """Split within sources and by time; a text that comes again is left out, in whatever file."""
    import real_reviews

    again = review(0)["text"]
    write(tmp_path / "amazon_old.jsonl.gz", [*(review(n) for n in range(100)), review(100, text=again.upper())])
    write(tmp_path / "datafiniti_new.jsonl.gz", [review(n, start=1000) for n in range(100)] + [review(200, text=again)])
    pool = real_reviews.pool(tmp_path)
    within, by_time = real_reviews.within_sources(pool), real_reviews.by_time(pool)
    assert len(pool) == 200
    assert [sum("old" in row.review_id for row in split.test) for split in (within, by_time)] == [10, 0]
    for split in (within, by_time):
        assert len(split.test) == 20
        assert len({row.review_id for row in (*split.train, *split.validation, *split.test)}) == 200
    newest = datetime.fromtimestamp(FIRST / 1000, UTC) + timedelta(days=1090)
    assert all(row.reviewed_at >= newest for row in within.test if "new" in row.review_id)


def test_confidence_that_is_tied_gains_nothing_from_the_order_of_the_rows() -> None:
    """Always saying one class is as accurate at every coverage; a sure half is better there."""
    from figures import Answers, covered_accuracy

    truth = np.array([2] * 8 + [0] * 2)
    constant = Answers(classes=np.full(10, 2), confidence=np.full(10, 0.8))
    assert covered_accuracy(truth, constant, 0.5) == pytest.approx(0.8)
    knowing = Answers(classes=np.full(10, 2), confidence=np.array([0.9] * 5 + [0.5] * 5))
    assert covered_accuracy(truth, knowing, 0.5) == 1.0
    assert covered_accuracy(truth, knowing, 1.0) == pytest.approx(0.8)


def test_an_interval_holds_the_true_accuracy_about_nineteen_times_in_twenty() -> None:
    """Bootstrap over 200 rows of a coin that is right in seven of ten."""
    from figures import Answers, figures

    rng, inside = np.random.default_rng(1), 0
    for seed in range(20):
        truth = rng.integers(0, 3, size=200)
        classes = np.where(rng.random(200) < 0.7, truth, (truth + 1) % 3)
        found = figures(truth, Answers(classes=classes, confidence=np.full(200, 0.7)), seed=seed)
        low, high = found["intervals"]["accuracy"]
        inside += low <= 0.7 <= high
    assert inside >= 17


def test_people_who_agree_have_alpha_one_and_people_who_guess_have_none() -> None:
    """Krippendorff's alpha, as published for his example with interval data and four observers: 0.849."""
    import human

    units = [[1, 1, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4], [4, 4, 4, 4]]
    units += [[1, 1, 2, 1], [2, 2, 2, 2], [5, 5, 5], [1, 1]]
    assert human.alpha_interval([np.array(one, dtype=float) for one in units]) == pytest.approx(0.849, abs=0.001)
    same = [np.full(4, n % 3) for n in range(30)]
    assert human.alpha_nominal(same) == pytest.approx(1.0)
    guesses = [np.random.default_rng(n).integers(0, 3, size=8) for n in range(400)]
    assert human.alpha_nominal(guesses) == pytest.approx(0.0, abs=0.05)


def test_a_person_is_held_against_the_mean_of_the_others_alone() -> None:
    """One who says the opposite of two who agree is right in none of the three comparisons' own third."""
    import human

    found = human.people([np.array([3.0, 3.0, -3.0]), np.array([-2.0, -2.0, -2.0])])
    # The two: the others' mean is 0, neutral, so 3 is wrong; the third: the others say 3, so -3 is wrong.
    assert found["accuracy"] == pytest.approx(0.5)


def test_a_mark_that_is_not_on_the_page_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables replace what stands between their marks, and nothing else."""
    import pages

    page = tmp_path / "page.md"
    page.write_text("before\n<!-- one -->\nold\n<!-- /one -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(pages, "PAGE", page)
    pages.fill("one", "new")
    assert page.read_text(encoding="utf-8") == "before\n<!-- one -->\nnew\n<!-- /one -->\nafter\n"
    with pytest.raises(ValueError, match="two"):
        pages.fill("two", "x")
