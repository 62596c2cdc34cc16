"""Puts what benchmarks found into docs/benchmarks.md, between marks, and draws plots into docs/images.

A mark is `<!-- name -->` and `<!-- /name -->`, each on a line of its own; what stands around them is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/benchmarks.md"
IMAGES = ROOT / "docs/images"


def fill(name: str, content: str) -> None:
    """Replace what stands between the marks `name`. Raises `ValueError` where the page has none."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE}: no marks {begin.strip()} and {end}")
    PAGE.write_text(f"{before}{begin}{content.strip()}\n{end}{after}", encoding="utf-8")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column on the left, the others on the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def picture(name: str, draw: Callable[[Any], None], *, size: tuple[float, float] = (7.0, 4.0)) -> Path:
    """Draw on one pair of axes and write `docs/images/<name>`, an SVG: the same numbers give the same bytes."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"svg.hashsalt": name, "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        IMAGES.mkdir(parents=True, exist_ok=True)
        figure.savefig(IMAGES / name, format="svg", facecolor="white", metadata={"Date": None})
        plt.close(figure)
    return IMAGES / name
