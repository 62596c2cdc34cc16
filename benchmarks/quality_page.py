"""The tables and plots of `quality.py`, from the results that are there; measures nothing.

Rows are systems; figures are the means over seeds. An interval spans the lowest and the highest end that any seed's
bootstrap has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import measuring
import numpy as np
import pages

NAMES: Final = {
    "majority": "always the commonest class",
    "vader": "VADER",
    "tfidf": "TF-IDF + logistic regression",
    "tfidf_balanced": "the same, balanced weights",
    "frozen": "frozen encoder + logistic regression",
    "frozen_balanced": "the same, balanced weights",
    "head": "ours, mode `head` (a minute)",
    "ours": "**ours, 30 minutes of two cores**",
    "ours_everything": "**ours, with everything**",
}
COLUMNS: Final = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "recall_negative": "recall negative",
    "recall_neutral": "recall neutral",
    "recall_positive": "recall positive",
    "ece": "ECE",
    "accuracy_90%": "accuracy at 90 % coverage",
}
WITH_INTERVAL: Final = frozenset({"accuracy", "macro_f1", "ece", "accuracy_90%"})
DRAWN: Final = ("majority", "vader", "tfidf", "frozen", "head", "ours", "ours_everything")
BY_CATEGORY: Final = ("tfidf", "frozen", "ours", "ours_everything")

Result = dict[str, Any]


def results(split: str) -> dict[str, list[Result]]:
    """What was measured on a split: the results of each system, one for each seed."""
    found: dict[str, list[Result]] = {}
    for system in NAMES:
        files = sorted((measuring.RESULTS / "quality").glob(f"{split}-{system}-[0-9]*.json"))
        if files:
            found[system] = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return found


def printed(split: str) -> str:
    """The main table for the terminal."""
    header = ("", "seeds", *COLUMNS, "clock s", "processor s")
    rows = [
        (system, len(runs), *(mean(runs, name) for name in COLUMNS), *(seconds(runs, kind) for kind in KINDS))
        for system, runs in results(split).items()
    ]
    return measuring.table(f"{split}: newest tenth, text only", header, rows)


SIDES: Final = ("validation", "test")
TOLD: Final = ("accuracy", "macro_f1", "ece")
AT_LEAST, AT_MOST = "at least", "at most"
AIMS: Final = (
    ("ours", "accuracy", AT_LEAST, 0.90),
    ("ours", "macro_f1", AT_LEAST, 0.66),
    ("ours", "accuracy_90%", AT_LEAST, 0.94),
    ("ours", "ece", AT_MOST, 0.02),
    ("ours_everything", "accuracy", AT_LEAST, 0.92),
    ("ours_everything", "macro_f1", AT_LEAST, 0.70),
)
KINDS: Final = ("clock", "processor")


def write() -> None:
    """Write docs/benchmarks.md between its marks, and the plots."""
    for split in ("within_sources", "by_time"):
        found = results(split)
        if found:
            pages.fill(f"quality {split}", main_table(found))
    found = results("within_sources")
    pages.fill("quality categories", category_table(found))
    pages.fill("quality powers", power_table(found))
    pages.fill("quality aims", aim_table(found))
    pages.picture("quality_risk_coverage.svg", lambda axes: _risk_coverage(axes, found))


def main_table(found: Mapping[str, Sequence[Result]]) -> str:
    """Systems by figures, as Markdown."""
    header = ["", "seeds", *COLUMNS.values(), "minutes (clock / processor)"]
    rows = [
        [
            NAMES[system],
            str(len(runs)),
            *(_cell(runs, name) for name in COLUMNS),
            " / ".join(_minutes(seconds(runs, kind)) for kind in KINDS),
        ]
        for system, runs in found.items()
    ]
    rows_tested = next(iter(found.values()))[0]["rows"]
    note = f"{rows_tested:,} test rows; 95 % intervals by bootstrap over the rows, over all seeds."
    return f"{pages.markdown(header, rows)}\n\n{note}"


def category_table(found: Mapping[str, Sequence[Result]]) -> str:
    """Categories by systems, as Markdown: accuracy (interval) / macro-F1."""
    systems = [system for system in BY_CATEGORY if system in found]
    if not systems:
        return "Not measured yet."
    reference = found[systems[-1]][0]["categories"]
    header = ["category", "rows", "commonest class", *(NAMES[system] for system in systems)]
    rows = [
        [name, f"{one['rows']:,}", f"{one['majority']:.3f}", *(_of_category(found[system], name) for system in systems)]
        for name, one in reference.items()
    ]
    return pages.markdown(header, rows)


def power_table(found: Mapping[str, Sequence[Result]]) -> str:
    """What other priors would have given, as Markdown: accuracy / macro-F1 / ECE on validation and test rows."""
    runs = [run for run in found.get("ours", ()) if "powers" in run]
    if not runs:
        return "Not measured yet."
    header = ["power", *(f"{side}: accuracy / macro-F1 / ECE" for side in SIDES), "test: recall of neutral"]
    rows = []
    for place, first in enumerate(runs[0]["powers"]):
        cells = [
            " / ".join(f"{np.mean([run['powers'][place][side][key] for run in runs]):.3f}" for key in TOLD)
            for side in SIDES
        ]
        neutral = np.mean([run["powers"][place]["test"]["recall_neutral"] for run in runs])
        rows.append([f"{first['power']}", *cells, f"{neutral:.3f}"])
    return pages.markdown(header, rows)


def aim_table(found: Mapping[str, Sequence[Result]]) -> str:
    """Each aim with what was measured and its interval, as Markdown."""
    rows = []
    for system, name, sign, aim in AIMS:
        runs = found.get(system)
        if not runs:
            rows.append([NAMES[system], f"{COLUMNS[name]} {sign} {aim:.2f}", "", "not measured yet"])
            continue
        value = float(mean(runs, name))
        met = value >= aim if sign == AT_LEAST else value <= aim
        rows.append(
            [NAMES[system], f"{COLUMNS[name]} {sign} {aim:.2f}", _cell(runs, name), "met" if met else "**missed**"]
        )
    return pages.markdown(["", "aim", "measured", ""], rows)


def mean(runs: Sequence[Result], name: str) -> float | str:
    """A figure over the seeds; empty where the system has none."""
    values = [run["values"][name] for run in runs if name in run["values"]]
    return float(np.mean(values)) if values else ""


def seconds(runs: Sequence[Result], kind: str) -> float:
    """Seconds of one run, the mean over the seeds; not a number where a training was read from disk."""
    kept = [run["seconds"][kind] for run in runs]
    return float("nan") if None in kept else float(np.mean(kept))


def _minutes(seconds: float) -> str:
    return "not kept" if np.isnan(seconds) else f"{seconds / 60:.1f}"


def _cell(runs: Sequence[Result], name: str) -> str:
    value = mean(runs, name)
    if isinstance(value, str):
        return value
    if name not in WITH_INTERVAL:
        return f"{value:.3f}"
    ends = np.array([run["intervals"][name] for run in runs])
    return f"{value:.3f} ({ends[:, 0].min():.3f} to {ends[:, 1].max():.3f})"


def _of_category(runs: Sequence[Result], name: str) -> str:
    found = [run["categories"][name] for run in runs]
    accuracy, macro = (np.mean([one[key] for one in found]) for key in ("accuracy", "macro_f1"))
    ends = np.array([one["interval"] for one in found])
    return f"{accuracy:.3f} ({ends[:, 0].min():.3f} to {ends[:, 1].max():.3f}) / {macro:.3f}"


def _risk_coverage(axes: Any, found: Mapping[str, Sequence[Result]]) -> None:
    for system in DRAWN:
        if system in found:
            curves = np.array([run["curve"] for run in found[system]])
            axes.plot(curves[0, :, 0], curves[:, :, 1].mean(axis=0), label=NAMES[system].replace("*", ""))
    axes.axhline(0.94, linestyle=":", linewidth=1, color="0.5")
    axes.axvline(0.90, linestyle=":", linewidth=1, color="0.5")
    axes.set(xlabel="coverage: share of the rows that is answered, the surest first", ylabel="accuracy on them")
    axes.set(ylim=(0.75, 1.0), xlim=(0.05, 1.0))
    axes.legend(frameon=False, fontsize=8, loc="lower left")
