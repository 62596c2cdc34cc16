"""The page of a verdict: the answer first, everything escaped, nothing loaded from anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from restar_lib.gate import page
from restar_lib.gate.verdict import Verdict, VerdictLine
from restar_lib.settings import Settings

HOSTILE = "<script>alert(1)</script>"
NUMBERS = {"difference": -0.04, "lower": -0.06, "upper": -0.02, "threshold": -0.03}
SLICE = {
    "value": HOSTILE, "rows": 60, "champion": 0.9, "challenger": 0.5, "change": -0.4, "chance": 0.0001,
    "outcome": "refuses",
}  # fmt: skip
CASE = {"group": "plain", "case": "one", "kind": "invariance", "text": HOSTILE, "wanted": "a", "answered": "b"}
VERDICT = Verdict(
    verdict_id=7,
    challenger="rs-1111111111",
    champion="rs-0000000000",
    snapshot_hash="abc",
    run_key="manual__1",
    passed=False,
    provisional=False,
    lines=(
        VerdictLine(name="accuracy", passed=True, detail="accuracy 0.900", numbers={}),
        VerdictLine(name="comparison", passed=False, detail="macro-F1 -0.040", numbers=NUMBERS),
        VerdictLine(name="slice_category", passed=False, detail=HOSTILE, numbers={}, table=(SLICE,)),
        VerdictLine(
            name="behaviour", passed=True, detail="all", numbers={},
            table=({"group": "plain", "cases": 2, "held": 1, "share": 0.5, "floor": 0.4}, CASE),
        ),
    ),
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


def test_the_line_that_refused_first_is_the_headline() -> None:
    """And the others are named below it."""
    html = page.render(VERDICT, notice=None)
    assert re.search(r"<h1>Refused by: Against the champion</h1>\s*<p class=\"reason\">macro-F1 -0.040</p>", html)
    assert re.search(r"Also refused by: .*Slice: category", html)
    assert "<b>What to do:</b> nothing, if it is no better" in html
    assert "<h1>Passed all" in page.render(replace(VERDICT, passed=True, lines=VERDICT.lines[:1]), notice=None)


def test_words_of_reviews_are_text_and_nothing_is_loaded() -> None:
    """Categories come from reviews; the page runs nothing and asks nobody."""
    html = page.render(VERDICT, notice="simulated reviews")
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;") >= 3
    assert not re.search(r"<script|https?://|<img|@import|<link(?! rel=\"icon\" href=\"data:,\")", html)
    assert "simulated reviews" in html


def test_the_page_lies_beside_the_model_and_among_the_reports(tmp_path: Path) -> None:
    """Where people look, and where Airflow's report pages list it; what a kill lost is written again."""
    settings = Settings(home=tmp_path)
    report = page.write(settings, VERDICT)
    beside = tmp_path / "models" / "rs-1111111111.verdict.html"
    assert report == tmp_path / "reports" / "verdicts" / "rs-1111111111-verdict-7.html"
    assert report.read_text() == beside.read_text()
    for lost in (beside, report, beside.with_suffix(".json")):
        lost.unlink()
        page.write_missing(settings, VERDICT)
        assert lost.exists()
    beside.write_text("a newer verdict's")
    report.unlink()
    page.write_missing(settings, VERDICT)
    assert beside.read_text() == "a newer verdict's"


def test_an_interval_is_drawn_where_all_of_its_numbers_are_known() -> None:
    """Verdicts of before have no upper end: a picture with an end at zero would be a lie."""
    assert "-0.060 to -0.020" in page.render(VERDICT, notice=None)
    assert "<svg" in page.render(VERDICT, notice=None)
    for lost in NUMBERS:
        older = replace(VERDICT.lines[1], numbers={name: NUMBERS[name] for name in NUMBERS if name != lost})
        html = page.render(replace(VERDICT, lines=(VERDICT.lines[0], older)), notice=None)
        assert "<svg" not in html
        assert "+0.000" not in html


def test_leaks_are_counts_and_ids_of_older_verdicts_are_not_repeated() -> None:
    """A review that its author wants forgotten must not come back with a page that is written again."""
    table = ({"model": "champion", "side": "train", "rows": 41}, {"model": "m", "side": "s", "learned": "r7"})
    leakage = VerdictLine(name="leakage", passed=False, detail="42 leaks", numbers={}, table=table)
    html = page.render(replace(VERDICT, lines=(leakage,)), notice=None)
    assert "<td>champion</td><td>train</td><td>41</td>" in html
    assert "r7" not in html
