"""Does the loop learn from people? Real reviews in yearly windows, a fifth of the training stars corrupted.

`amazon_pds_Baby` arrives year by year. Training stars are corrupted; people answer one review in ten of each new window
and so restore the true stars of those. After each window a head is trained on the frozen encoder's features, made fewer
so that it takes minutes (`loop_features.fewer`), and measured on rows with their true stars: the newest year (the same
rows each turn) and the window that comes next. Five seeds (which stars are wrong); intervals are Student's t over the
seeds, differences are paired by seed.

Beside nobody and everybody: people asked where the model is unsure, and where it most contradicts the stars (also three
times as often); from the second the ensemble of the last three heads, and the nightly update instead of training on
everything; and nobody asked, but the stars that confident learning doubts weigh less.

    RESTAR_REAL_REVIEWS=FOLDER python benchmarks/loop.py [--seeds 5] [--corrupted 0.2] [--asked 0.1] [--count 4096]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any, Final

import measuring
import numpy as np
from loop_features import Frozen, fewer, frozen_features
from loop_turns import Asking, Stream, Turns, averaged, scores

FILE: Final = "amazon_pds_Baby.jsonl.gz"
WINDOWS: Final = (tuple(range(2000, 2011)), (2011,), (2012,), (2013,), (2014,))
STRENGTHS: Final = (0.1, 1.0, 10.0, 100.0)
NOBODY, UNSURE, DOUBTED, EVERYBODY = "nobody", "people, unsure", "people, doubted stars", "all stars true"
NOBODY_DOUBTING, MORE = "nobody, doubted stars weigh less", "people, doubted stars, three times as many"
ENSEMBLE: Final = f"{DOUBTED}; ensemble of 3"
T_95: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262}
"""Student's t, two-sided 95 %, by the number of seeds."""
PICTURE: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "loop.svg"


def main() -> int:
    """Measure, print, draw."""
    arguments = parse_arguments()
    folder = os.environ.get("RESTAR_REAL_REVIEWS", "")
    if not (Path(folder) / FILE).is_file():
        print(f"no {FILE} in RESTAR_REAL_REVIEWS ({folder or 'not set'}): nothing measured")
        return 0
    whole = frozen_features(Path(folder) / FILE, count=arguments.count)
    frozen = fewer(whole, arguments.directions) if arguments.directions else whole
    found = [one_seed(frozen, arguments, seed=seed) for seed in range(arguments.seeds)]
    systems = {name: summary([seed[name] for seed in found]) for name in found[0]}
    differences = {name: difference(found, name, NOBODY) for name in systems if name != NOBODY}
    against_full = {name: difference(found, name, DOUBTED) for name in systems if name.startswith(f"{DOUBTED};")}
    print(table(systems, differences))
    result = {
        "reviews": FILE,
        "rows": {str(window[-1]): int(np.isin(frozen.year, window).sum()) for window in WINDOWS},
        "newest_rows": int((frozen.year > WINDOWS[-1][-1]).sum()),
        "corrupted": arguments.corrupted,
        "asked_share": arguments.asked,
        "directions": frozen.features.shape[1],
        "seeds": arguments.seeds,
        "systems": systems,
        "last_turn_minus_nobody": differences,
        "last_turn_minus_training_on_everything": against_full,
    }
    print(measuring.save("loop", result))
    draw(systems, arguments)
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(T_95))
    parser.add_argument("--corrupted", type=float, default=0.2)
    parser.add_argument("--asked", type=float, default=0.1, help="share of each window that people answer")
    parser.add_argument("--count", type=int, help="so many reviews, drawn at random; default: all")
    parser.add_argument("--directions", type=int, default=256, help="of the features; 0: all of them, hours")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    return parser.parse_args()


def one_seed(frozen: Frozen, arguments: argparse.Namespace, *, seed: int) -> dict[str, dict[str, Any]]:
    """Every system's scores over the turns."""
    stream = Stream.of(frozen, windows=WINDOWS, corrupted=arguments.corrupted, seed=seed)
    began = time.monotonic()

    def turns(asking: Asking, **how: Any) -> Turns:
        return Turns(stream=stream, asking=asking, **{"share": arguments.asked, **how})

    played = {
        NOBODY: turns(Asking.NOBODY),
        NOBODY_DOUBTING: turns(Asking.NOBODY, doubts=True),
        UNSURE: turns(Asking.UNSURE),
        DOUBTED: turns(Asking.DOUBTED),
        MORE: turns(Asking.DOUBTED, share=3 * arguments.asked),
        EVERYBODY: turns(Asking.EVERYBODY),
        **{increment(strength): turns(Asking.DOUBTED, strength=strength) for strength in STRENGTHS},
    }
    for one in played.values():
        one.play()
    heads = {name: one.heads for name, one in played.items()}
    heads[ENSEMBLE] = averaged(heads[DOUBTED], last=3)
    print(f"seed {seed}: {time.monotonic() - began:.0f} s", flush=True)
    return {name: scores(of_turns, stream) | restored(played.get(name), stream) for name, of_turns in heads.items()}


def restored(turns: Turns | None, stream: Stream) -> dict[str, list[float]]:
    """How many of the answers of each turn put wrong stars right: what asking was good for."""
    if turns is None:
        return {}
    wrong = stream.stars != stream.frozen.truth
    return {
        "asked": [float(len(one)) for one in turns.asked],
        "restored": [float(wrong[one].sum()) for one in turns.asked],
    }


def increment(strength: float) -> str:
    """The name of the nightly update in the tables."""
    return f"{DOUBTED}; nightly update, strength {strength:g}"


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds and the half width of their 95 % interval, turn by turn."""
    found = {}
    for figure in seeds[0]:
        values = np.array([one[figure] for one in seeds])
        found[figure] = {"mean": _rounded(values.mean(axis=0)), "half": _rounded(_half(values))}
    return found


def difference(seeds: list[dict[str, dict[str, Any]]], name: str, other: str) -> dict[str, Any]:
    """The last turn's macro-F1 and accuracy on the newest rows minus another system's, paired by seed."""
    found = {}
    for figure in ("macro_f1_newest", "accuracy_newest"):
        values = np.array([one[name][figure][-1] - one[other][figure][-1] for one in seeds])
        found[figure] = {"mean": _rounded(values.mean()), "half": _rounded(_half(values))}
    return found


def table(systems: dict[str, Any], differences: dict[str, Any]) -> str:
    """Macro-F1 on the newest rows over the turns."""
    years = [str(window[-1]) for window in WINDOWS]
    rows = []
    for name, figures in systems.items():
        gain = differences.get(name, {}).get("macro_f1_newest")
        more = f"{gain['mean']:+.3f} ± {gain['half']:.3f}" if gain else ""
        rows.append((name, *(f"{value:.3f}" for value in figures["macro_f1_newest"]["mean"]), more))
    return measuring.table("macro-F1 on the newest year, by the last window trained on", ("", *years, "gain"), rows)


def draw(systems: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Macro-F1 over the turns, with the intervals over the seeds; readable on a light and on a dark page."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    colours = {EVERYBODY: "#8a8f98", MORE: "#1b6e3f", DOUBTED: "#4fb57d", UNSURE: "#2f7fd6", NOBODY: "#d1495b"}
    style: dict[Any, Any] = {
        "svg.hashsalt": "restar",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(9, 4), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_facecolor("#ffffff")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, figures, title in zip(
            panels,
            ("macro_f1_newest", "macro_f1_next"),
            ("on the newest year, 2015", "on the year that comes next"),
            strict=True,
        ):
            for place, (name, colour) in enumerate(colours.items()):
                found = systems[name][figures]
                x = np.arange(len(WINDOWS)) + 0.06 * (place - len(colours) // 2)
                axes.plot(x, found["mean"], "o-", color=colour, label=name, markersize=4, linewidth=1.4)
                low, high = (np.array(found["mean"]) + sign * np.array(found["half"]) for sign in (-1, 1))
                axes.vlines(x, low, high, color=colour, linewidth=1, alpha=0.6)
            axes.set_xticks(range(len(WINDOWS)), [f"to {window[-1]}" for window in WINDOWS])
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("trained on reviews")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("macro-F1 against true stars")
        panels[0].legend(frameon=False, loc="upper left", fontsize=9)
        figure.suptitle(
            f"{100 * arguments.corrupted:.0f} % of the training stars wrong, people answer"
            f" {100 * arguments.asked:.0f} % of each window ({arguments.seeds} seeds)",
            fontsize=11,
        )
        arguments.picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(arguments.picture, format="svg", metadata={"Date": None, "Creator": None})
    print(arguments.picture)


def _half(values: Any) -> Any:
    return T_95[len(values)] * values.std(axis=0, ddof=1) / np.sqrt(len(values))


def _rounded(values: Any) -> Any:
    return np.round(values, 5).tolist()


if __name__ == "__main__":
    raise SystemExit(main())
