"""How often the gate's comparison errs, over the number of gate rows.

    .venv/bin/python benchmarks/gate_curves.py                   # curves: about 3 minutes
    .venv/bin/python benchmarks/gate_curves.py --measure A B --snapshot FOLDER

The second form asks two model folders for the gate rows of a snapshot, prints their cells for `gate_worlds.MEASURED`,
and counts how often the slices of two equal models (their answers swapped on a fair coin, row by row) refuse. Writes
results/gate_curves.json and docs/images/gate_curves.svg. `min_rows` is left out: the curves show why it is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import gate_worlds as worlds
import numpy as np
from measuring import read, save, table

from restar_lib.dataset.snapshot import load
from restar_lib.domain import Side
from restar_lib.gate.paired_lines import SLICE_LEVEL, refuses
from restar_lib.gate.slices import gate_slices, slice_changes
from restar_lib.scoring.engine import InferenceEngine
from restar_lib.settings import PROJECT_ROOT, Gate

ROWS: Final = (250, 500, 1000, 2000, 3000, 5000, 10_000)
RUNS: Final = 1000
RESAMPLES: Final = 1000
SWAPS: Final = 300
PICTURE: Final = PROJECT_ROOT / "docs" / "images" / "gate_curves.svg"
SEED: Final = 20261121


def curves(runs: int) -> list[dict[str, Any]]:
    """One row for each number of gate rows: what is promoted or refused in each population."""
    rng, same = np.random.default_rng(SEED), worlds.equal()
    not_worse, better = Gate(policy="not_worse"), Gate(policy="better")
    lost, gained = worlds.worse(0.05, same), worlds.better(0.03, same)
    found = []
    for rows in ROWS:
        of_equal, of_worse, of_better = (
            worlds.comparisons(world, rows=rows, runs=runs, resamples=RESAMPLES, rng=rng)
            for world in (same, lost, gained)
        )
        found.append(
            {
                "rows": rows,
                "equal_promoted_by_better": worlds.share_promoted(of_equal, better),
                "equal_interval_above_zero": sum(one.lower > 0 for one in of_equal) / runs,
                "worse_refused_by_not_worse": 1 - worlds.share_promoted(of_worse, not_worse),
                "equal_refused_by_not_worse": 1 - worlds.share_promoted(of_equal, not_worse),
                "gain_promoted_by_better": worlds.share_promoted(of_better, better),
                "gain_promoted_by_not_worse": worlds.share_promoted(of_better, not_worse),
            }
        )
        print(found[-1], flush=True)
    return found


def measure(first: Path, second: Path, snapshot: Path) -> dict[str, Any]:
    """The cells of two models on the gate rows, and how often slices refuse where both are equally good."""
    rows = load(snapshot).examples(Side.TEST)
    texts = [row.text for row in rows]
    truth = np.array([row.truth.position for row in rows])
    one, other = (InferenceEngine.load(folder).predict(texts).classes for folder in (first, second))
    cells = np.bincount((truth * 3 + one) * 3 + other, minlength=27)
    print("cells", cells.tolist())
    return {"cells": cells.tolist(), "slices": slice_refusals(truth, one, other, gate_slices(rows))}


def slice_refusals(truth: Any, one: Any, other: Any, slices: Any) -> dict[str, float]:
    """Share of swaps after which some slice refuses: by its tolerance alone, and beyond chance as the gate does."""
    config, rng = Gate(), np.random.default_rng(SEED)
    plain = beyond = 0
    for _ in range(SWAPS):
        coin = rng.random(len(truth)) < 0.5
        changes = slice_changes(truth, np.where(coin, one, other), np.where(coin, other, one), slices)
        judged = [change for change in changes if change.rows >= config.slice_min_rows]
        plain += any(change.drop > config.slice_tolerance for change in judged)
        beyond += any(refuses(change, config, level=SLICE_LEVEL / len(judged)) for change in judged)
    return {
        "rows": len(truth),
        "judged": len(judged),
        "tolerance_alone": plain / SWAPS,
        "beyond_chance": beyond / SWAPS,
    }


def draw(found: list[dict[str, Any]]) -> None:
    """The curves as a picture that is the same for the same numbers, readable on light and dark."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "gate_curves"
    mpl.rcParams["svg.fonttype"] = "none"
    import matplotlib.pyplot as plt

    quiet = "#808080"
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2))
    rows = [one["rows"] for one in found]
    curves_of = (
        ("equal_promoted_by_better", "two equal models: promoted by `better`", "#c0504d", "o", 0),
        ("worse_refused_by_not_worse", "5 points worse: refused by `not_worse`", "#2a7fba", "s", 1),
        ("equal_refused_by_not_worse", "two equal models: refused by `not_worse`", "#d08a1d", "^", 1),
        ("gain_promoted_by_better", "3 points better: promoted by `better`", "#3a9a5b", "D", 1),
    )
    for key, label, colour, marker, panel in curves_of:
        axes[panel].plot(rows, [100 * one[key] for one in found], marker=marker, color=colour, label=label)
    for axis, limit, top, title in ((axes[0], 5, 8, "wrongly promoted"), (axes[1], 95, 102, "refused or promoted")):
        axis.axhline(limit, color=quiet, linestyle="--", linewidth=1)
        axis.text(rows[-1], limit, f"aim {limit} %", color=quiet, ha="right", va="bottom", fontsize=9)
        axis.axvline(1000, color=quiet, linestyle=":", linewidth=1)
        axis.set(xscale="log", ylim=(0, top), title=title, xlabel="gate rows", ylabel="% of samples")
        axis.set_xticks(rows, [f"{count:,}" for count in rows], rotation=30)
        axis.minorticks_off()
        axis.legend(frameon=False, fontsize=9, labelcolor=quiet)
        axis.tick_params(colors=quiet)
        for part in (axis.title, axis.xaxis.label, axis.yaxis.label):
            part.set_color(quiet)
        for spine in axis.spines.values():
            spine.set_color(quiet)
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
    if asked.draw:
        draw(read("gate_curves")["curves"])
    elif asked.measure:
        save("gate_cells", measure(*asked.measure, asked.snapshot))
    else:
        found = curves(asked.runs)
        header = list(found[0])
        print(table("shares of samples", header, [[one[key] for key in header] for one in found]))
        save("gate_curves", {"runs": asked.runs, "seed": SEED, "cells": list(worlds.MEASURED), "curves": found})
        draw(found)


if __name__ == "__main__":
    main()
