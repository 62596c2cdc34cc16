"""A verdict as a page: the answer and the line that gave it first, then every line and what stands behind it.

One HTML file that loads nothing from anywhere and runs no script, written so that a reader sees all of it or none:
beside the model folder with the verdict as JSON, and among the reports. A pure function of the stored verdict, so it
can be written again at any time. It measures and judges nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Final

from restar_lib.artifacts import sealed_folder
from restar_lib.gate.remedies import remedy_of
from restar_lib.gate.verdict import Verdict, VerdictLine
from restar_lib.reports.page_store import ReportFiles, report_files, write_file
from restar_lib.reports.templates import page_template
from restar_lib.settings import Settings

KIND: Final = "verdicts"
"""The folder below the reports folder."""
WIDTH: Final = 640
"""Of the picture of the interval, in its own units."""
DRAWN: Final = ("difference", "lower", "upper", "threshold")
"""The numbers of the comparison that the picture needs."""
TITLES: Final = {
    "leakage": "Leakage",
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "recall_negative": "Recall of negative",
    "recall_neutral": "Recall of neutral",
    "recall_positive": "Recall of positive",
    "calibration_error": "Calibration error",
    "comparison": "Against the champion",
    "slice_category": "Slice: category",
    "slice_length": "Slice: length",
    "slice_rating": "Slice: stars",
    "slice_year": "Slice: year",
    "behaviour": "Behaviour cases",
    "behaviour_drop": "Behaviour against the champion",
    "fresh_rows": "Fresh rows",
    "artifact": "Artifact",
    "clean_process": "Probe from a clean process",
    "size": "Size",
    "latency": "Latency",
}
"""What people read; the keys are the names of the lines."""


def write(settings: Settings, verdict: Verdict, *, withdrawal: str | None = None) -> Path:
    """Write JSON and page beside the model folder, and the page among the reports; returns the last one.

    `withdrawal` says who said no to the challenger before.
    """
    return _write(settings, verdict, withdrawal=withdrawal, again=True)


def write_missing(settings: Settings, verdict: Verdict) -> None:
    """Write what a kill between the table and the files has lost; what is there may be a newer verdict's."""
    _write(settings, verdict, withdrawal=None, again=False)


def _write(settings: Settings, verdict: Verdict, *, withdrawal: str | None, again: bool) -> Path:
    html = render(verdict, notice=settings.simulated_notice, withdrawal=withdrawal)
    beside = sealed_folder.sibling(settings.models_dir, verdict.challenger, "verdict.json")
    report = verdict_page(settings, verdict).html
    # No page is removed first: all three are drawn from the verdict in the table, and hold no text of a review.
    contents = {
        beside: json.dumps(verdict.to_dict(), indent=1) + "\n",
        beside.with_suffix(".html"): html,
        report: html,
    }
    for path, content in contents.items():
        if again or not path.exists():
            write_file(path, content)
    return report


def verdict_page(settings: Settings, verdict: Verdict) -> ReportFiles:
    """The page among the reports, and where Airflow shows it."""
    return report_files(settings, KIND, f"{verdict.challenger}-verdict-{verdict.verdict_id}")


def render(verdict: Verdict, *, notice: str | None, withdrawal: str | None = None) -> str:
    """The page."""
    lines = {line.name: line for line in verdict.lines}
    behaviour = lines.get("behaviour")
    table = behaviour.table if behaviour else ()
    return page_template("verdict.html").render(
        verdict=verdict,
        answer=_answer(verdict),
        reason=_reason(verdict),
        remedy="" if verdict.passed else remedy_of(verdict.refusing[0].name),
        titles=TITLES,
        judged_at=f"{verdict.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        notice=notice,
        withdrawal=withdrawal,
        interval=_interval(lines.get("comparison")),
        slices=[line for line in verdict.lines if line.name.startswith("slice_") and line.table],
        groups=[row for row in table if "case" not in row],
        failed=[row for row in table if "case" in row and "outcome" not in row],
        uncounted=[row for row in table if "outcome" in row],
        # Older verdicts have ids of reviews there instead of counts; those are not repeated.
        leaks=[row for row in lines["leakage"].table if "rows" in row] if "leakage" in lines else [],
    )


def _answer(verdict: Verdict) -> str:
    match verdict.word:
        case "passed":
            return f"Passed all {len(verdict.lines)} lines"
        case "provisional":
            return "Provisional: under the floors, better than the commonest class"
        case _:
            return f"Refused by: {TITLES.get(verdict.refusing[0].name, verdict.refusing[0].name)}"


def _reason(verdict: Verdict) -> str:
    """The first line that says no, else the comparison."""
    if verdict.refusing:
        return verdict.refusing[0].detail
    return next((line.detail for line in verdict.lines if line.name == "comparison"), "")


@dataclass(frozen=True, kw_only=True)
class IntervalPicture:
    """Where to draw the difference, its interval, zero and the threshold, in units of the picture."""

    lower: float
    upper: float
    difference: float
    zero: float
    threshold: float
    words: str
    threshold_words: str
    holds: bool


def _interval(line: VerdictLine | None) -> IntervalPicture | None:
    numbers = line.numbers if line else {}
    found = {name: float(value) for name in DRAWN if isinstance(value := numbers.get(name), int | float)}
    if line is None or len(found) < len(DRAWN):  # no champion, or a verdict of before there was an upper end
        return None
    reach = 1.15 * max(0.01, *(abs(value) for value in found.values()))
    at = {name: round(WIDTH / 2 * (1 + value / reach), 1) for name, value in found.items()}
    return IntervalPicture(
        **at,
        zero=WIDTH / 2,
        words=f"{found['difference']:+.3f} ({found['lower']:+.3f} to {found['upper']:+.3f})",
        threshold_words=f"{found['threshold']:+g}",
        holds=line.passed,
    )
