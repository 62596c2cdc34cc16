"""How good ours is on real reviews, beside what everybody would try first.

Aims, ours within 30 minutes of two cores, newest tenth of each source: macro-F1 at least 0.66 with accuracy at least
0.90, accuracy at 90 % coverage at least 0.94, expected calibration error at most 0.02; with everything 0.70 and 0.92.
A second table splits the pool by time, which is a shift of sources.

Every system and seed is a file in `results/quality/`, written when it is done: a run that was killed goes on with the
others (--again repeats them). Its clock and processor seconds are in it.

    python benchmarks/quality.py --reviews FOLDER [--systems tfidf ours] [--splits within_sources] [--seeds 3]
        [--work FOLDER] [--page]

--page writes the tables into docs/benchmarks.md and draws the plots from the results that are there; alone, it runs
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import measuring
import quality_page
import real_reviews
from figures import figures, per_category
from quality_systems import SEEDED, SYSTEMS, Task

from restar_lib.dataset.arrays import truth_of
from restar_lib.settings import PROJECT_ROOT

WORK = PROJECT_ROOT / "var/benchmarks"


def main() -> int:
    """Measure what is missing, and print."""
    arguments = parse_arguments()
    if arguments.page:
        quality_page.write()
        return 0
    rows = real_reviews.pool(real_reviews.folder_of(arguments))
    for name in arguments.splits:
        split = real_reviews.SPLITS[name](rows)
        for system in arguments.systems:
            for seed in range(arguments.seeds if system in SEEDED else 1):
                task = Task(split=split, work=arguments.work, frozen_rows=arguments.frozen_rows, seed=seed)
                measure(name, system, task, again=arguments.again)
        print(quality_page.printed(name))
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    real_reviews.add_argument(parser)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--splits", nargs="+", choices=real_reviews.SPLITS, default=list(real_reviews.SPLITS))
    parser.add_argument("--seeds", type=int, default=1, help="of the systems to which a seed makes a difference")
    parser.add_argument("--frozen-rows", type=int, default=20_000, help="for the frozen encoder; 0: all")
    parser.add_argument("--work", type=Path, default=PROJECT_ROOT / "var/benchmarks", help="models stay here")
    parser.add_argument("--again", action="store_true", help="measure what has a result as well")
    parser.add_argument("--page", action="store_true", help="only write docs/benchmarks.md from the results")
    return parser.parse_args()


def measure(split: str, system: str, task: Task, *, again: bool) -> None:
    """Write the result of a system and seed unless it is there."""
    name = f"quality/{split}-{system}-{task.seed}"
    if (measuring.RESULTS / f"{name}.json").exists() and not again:
        return
    began, used = time.perf_counter(), _processor_seconds()
    answers = SYSTEMS[system](task)
    seconds = {"clock": time.perf_counter() - began, "processor": _processor_seconds() - used}
    result: dict[str, Any] = {"split": split, "system": system, "seed": task.seed} | task.notes
    result["seconds"] = {kind: round(value, 1) for kind, value in seconds.items()}
    result |= figures(truth_of(task.split.test), answers)
    result["categories"] = per_category(task.split.test, answers)
    measuring.save(name, result)
    print(f"{name}: {json.dumps(result['values'])} in {seconds['clock']:.0f} s", flush=True)


def _processor_seconds() -> float:
    return sum(os.times()[:4])


if __name__ == "__main__":
    sys.exit(main())
