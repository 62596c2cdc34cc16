"""The small picture in a drift mail: the columns that moved most, at training and now, as a PNG.

It travels inside the mail and is shown by its Content-ID, so nothing is loaded and no program asks about remote
pictures; where pictures are off altogether, the bars of the mail (drawn as a table) say the same. Pure: shapes in,
bytes out, through matplotlib without any display. Chooses no column and no colour by meaning other than before and now.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from restar_lib.monitoring.alerts.alert_log import ColumnShape

BEFORE, NOW = "#b4bccb", "#1f5fd0"
INK, SOFT = "#14181f", "#6b7280"
WIDTH, HEIGHT, DPI = 6.0, 2.1, 170
LABEL_LENGTH = 12


def draw(shapes: Sequence[ColumnShape]) -> bytes:
    """A PNG, about 1,000 pixels wide, with a panel for each shape."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, shape in zip(figure.subplots(1, len(shapes), squeeze=False)[0], shapes, strict=True):
        _panel(axes, shape)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2, fontsize=6, frameon=False, labelcolor=INK)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def in_words(shapes: Sequence[ColumnShape]) -> str:
    """The picture for those who cannot see it: for each column, the value that moved most."""
    return "; ".join(_moved_most(shape) for shape in shapes)


def _panel(axes: Any, shape: ColumnShape) -> None:
    places = range(len(shape.labels))
    axes.bar([at - 0.2 for at in places], [100 * it for it in shape.before], width=0.4, color=BEFORE, label="training")
    axes.bar([at + 0.2 for at in places], [100 * it for it in shape.now], width=0.4, color=NOW, label="now")
    axes.set_title(shape.name, fontsize=8, color=INK, loc="left")
    axes.set_xticks(list(places), [_short(label) for label in shape.labels], rotation=60, ha="right", fontsize=5.5)
    axes.tick_params(axis="y", labelsize=6)
    axes.tick_params(colors=SOFT, length=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _short(label: str) -> str:
    """Labels come from the source: `$` would be read as mathematics, and refused."""
    cut = label if len(label) <= LABEL_LENGTH else f"{label[: LABEL_LENGTH - 1]}\u2026"
    return cut.replace("$", r"\$")


def _moved_most(shape: ColumnShape) -> str:
    at = max(range(len(shape.labels)), key=lambda place: abs(shape.now[place] - shape.before[place]))
    return (
        f"{shape.name} {shape.labels[at]}: {100 * shape.before[at]:.0f} % at training, {100 * shape.now[at]:.0f} % now"
    )
