"""The pictures of a report as SVG that stands in the page itself: no file, no script, light and dark.

Drawn by matplotlib with marked colours, which are then replaced by the page's own variables, so that a picture follows
the page's colours. The same figures give the same bytes. Text stays text (it can be found and read aloud).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Final

from markupsafe import Markup

INK, QUIET, LINE, FIRST, SECOND, THIRD, TINT = (
    "#010101", "#020202", "#030303", "#040404", "#050505", "#060606", "#070707",
)  # fmt: skip
"""Marks that stand for the page's colours while matplotlib draws."""
VARIABLES: Final = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    LINE: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
    TINT: "var(--tint)",
}
CLASS_COLOURS: Final = {"negative": THIRD, "neutral": SECOND, "positive": FIRST}
STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "restar",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}
SIZE: Final = (4.6, 3.4)


def svg(draw: Callable[[Any], None], *, alt: str, size: tuple[float, float] = SIZE) -> Markup:
    """The picture that `draw` makes on matplotlib axes; `alt` says it in words."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(out.getvalue(), alt=alt)


def _inline(text: str, *, alt: str) -> Markup:
    body = text[text.index("<svg") :]
    for mark, variable in VARIABLES.items():
        body = body.replace(mark, variable)
    # Ids must be this picture's own, and the address of the metadata scheme is nothing to load.
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    head = Markup('<svg role="img" aria-label="{}"').format(alt)
    return Markup(body.replace("<svg", head, 1))  # noqa: S704 - drawn by matplotlib, which escapes what it writes


def percent(axes: Any, *names: str) -> None:
    """Show shares as per cent on the axes `x` or `y`."""
    for name in names:
        getattr(axes, f"{name}axis").set_major_formatter(lambda value, _: f"{100 * value:g} %")


def plain(label: str) -> str:
    """Labels come from the source: `$` would be read as mathematics, and refused."""
    return label.replace("$", r"\$")
