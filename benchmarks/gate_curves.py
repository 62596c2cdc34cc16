"""How often the gate's comparison errs, over the number of test rows.

    .venv/bin/python benchmarks/gate_curves.py                   # curves: about 3 minutes
    .venv/bin/python benchmarks/gate_curves.py --measure A B --snapshot FOLDER

The second form asks two model folders for the test rows of a snapshot and prints their cells for
`gate_populations.MEASURED`. The first writes results/gate_curves.json and docs/images/gate_curves.svg. `min_rows` is
left out: the curves show why it is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import gate_populations as populations
import numpy as np
from measuring import read, save, table

from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.snapshot import load
from restar_lib.domain import Side
from restar_lib.inference.engine import InferenceEngine
from restar_lib.settings import PROJECT_ROOT, GateSettings

ROWS: Final = (250, 500, 1000, 2000, 3000, 5000, 10_000)
RUNS: Final = 1000
RESAMPLES: Final = 1000
PICTURE: Final = PROJECT_ROOT / "docs" / "images" / "gate_curves.svg"
SEED: Final = 20261121
QUIET: Final = "#808080"
LINES: Final = (
    ("equal_promoted_by_better", "two equal models: promoted by `better`", "#c0504d", "o", 0),
    ("equal_interval_above_zero", "the same by the interval alone", "#a080c0", "v", 0),
    ("worse_refused_by_not_worse", "5 points worse: refused by `not_worse`", "#2a7fba", "s", 1),
    ("equal_refused_by_not_worse", "two equal models: refused by `not_worse`", "#d08a1d", "^", 1),
    ("gain_promoted_by_better", "3 points better: promoted by `better`", "#3a9a5b", "D", 1),
)
"""Key, words, colour, marker and panel of each curve."""


def curves(runs: int) -> list[dict[str, Any]]:
    """One row for each number of test rows: what is promoted or refused in each population."""
    rng, same = np.random.default_rng(SEED), populations.equal()
    not_worse, better = GateSettings(policy="not_worse"), GateSettings(policy="better")
    lost, gained = populations.worse(0.05, same), populations.better(0.03, same)
    found = []
    for rows in ROWS:
        of_equal, of_worse, of_better = (
            populations.comparisons(population, rows=rows, runs=runs, resamples=RESAMPLES, rng=rng)
            for population in (same, lost, gained)
        )
        found.append(
            {
                "rows": rows,
                "equal_promoted_by_better": populations.share_promoted(of_equal, better),
                "equal_interval_above_zero": sum(one.lower > 0 for one in of_equal) / runs,
                "worse_refused_by_not_worse": 1 - populations.share_promoted(of_worse, not_worse),
                "equal_refused_by_not_worse": 1 - populations.share_promoted(of_equal, not_worse),
                "gain_promoted_by_better": populations.share_promoted(of_better, better),
                "gain_promoted_by_not_worse": populations.share_promoted(of_better, not_worse),
            }
        )
        print(found[-1], flush=True)
    return found


def slices(runs: int) -> list[dict[str, Any]]:
    """How often some slice of two equal models refuses: models that are twins in their errors, and strangers."""
    rng, found = np.random.default_rng(SEED), []
    for name, population in (("twins", populations.equal()), ("strangers", populations.strangers())):
        for rows in (1000, 2000, 5000):
            plain, beyond = populations.slices_refused(population, GateSettings(), rows=rows, runs=runs, rng=rng)
            found.append({"models": name, "rows": rows, "by_tolerance_alone": plain, "beyond_chance_too": beyond})
            print(found[-1], flush=True)
    return found


def measure(first: Path, second: Path, snapshot: Path) -> None:
    """Print the cells of two models on the test rows of a snapshot."""
    rows = load(snapshot).examples(Side.TEST)
    texts = [row.text for row in rows]
    truth = truth_of(rows)
    one, other = (InferenceEngine.load(folder).predict(texts).classes for folder in (first, second))
    print("cells", np.bincount((truth * 3 + one) * 3 + other, minlength=27).tolist())


def draw(found: list[dict[str, Any]], *, runs: int) -> None:
    """The curves as a picture that is the same for the same numbers, readable on light and dark."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "gate_curves"
    mpl.rcParams["svg.fonttype"] = "none"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 5))
    rows = [one["rows"] for one in found]
    for key, label, colour, marker, panel in LINES:
        shares = np.array([one[key] for one in found])
        spread = 1.96 * np.sqrt(shares * (1 - shares) / runs)
        axes[panel].errorbar(
            rows, 100 * shares, yerr=100 * spread, marker=marker, color=colour, label=label, capsize=2, linewidth=1.6
        )
    for axis, limit, top, title in ((axes[0], 5, 10, "wrongly promoted"), (axes[1], 95, 103, "what else it does")):
        axis.axhline(limit, color=QUIET, linestyle="--", linewidth=1)
        axis.text(rows[0], limit - top / 50, f"aim {limit} %", color=QUIET, va="top", fontsize=9)
        axis.axvline(1000, color=QUIET, linestyle=":", linewidth=1)
        axis.text(1030, top / 60, "min_rows", color=QUIET, fontsize=9)
        axis.set(xscale="log", ylim=(0, top), title=title, xlabel="test rows", ylabel="% of samples")
        axis.set_xticks(rows, [f"{count:,}" for count in rows], rotation=30)
        axis.minorticks_off()
        axis.legend(frameon=False, fontsize=9, labelcolor=QUIET, loc="upper center", bbox_to_anchor=(0.5, -0.24))
        axis.tick_params(colors=QUIET)
        for part in (axis.title, axis.xaxis.label, axis.yaxis.label):
            part.set_color(QUIET)
        for spine in axis.spines.values():
            spine.set_color(QUIET)
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, transparent=True, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs=2, type=Path, metavar=("A", "B"))
    parser.add_argument("--snapshot", type=Path)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--draw", action="store_true", help="draw the kept result again")
    asked = parser.parse_args()
    if asked.measure:
        first, second = asked.measure
        measure(first, second, asked.snapshot)
        return
    if not asked.draw:
        found = {"runs": asked.runs, "seed": SEED, "cells": list(populations.MEASURED), "slices": slices(asked.runs)}
        save("gate_curves", {**found, "curves": curves(asked.runs)})
    kept = read("gate_curves")
    for name in ("curves", "slices"):
        header = list(kept[name][0])
        print(table(name, header, [[one[key] for key in header] for one in kept[name]]))
    draw(kept["curves"], runs=kept["runs"])


if __name__ == "__main__":
    main()
