"""The pictures of a run in MLflow: confusion, reliability, and what abstaining buys, from the evaluation report.

Small PNG files, because that is what MLflow shows; the report page has the full set. Draws, measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from restar_lib.domain import SENTIMENTS
from restar_lib.evaluation.report_contents import EvaluationReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pictures(report: EvaluationReport) -> Iterator[tuple[str, Figure]]:
    """File name and figure."""
    yield "plots/confusion.png", _figure(lambda axes: _confusion(axes, report))
    yield "plots/reliability.png", _figure(lambda axes: _reliability(axes, report))
    yield "plots/risk_coverage.png", _figure(lambda axes: _risk_coverage(axes, report))


def _figure(draw: Callable[[Any], None]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    return figure


def _confusion(axes: Any, report: EvaluationReport) -> None:
    shown = list(report.shown_classes(report.model))
    counts = np.array(report.model.confusion)[np.ix_(shown, shown)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for truth, row in enumerate(counts):
        for answer, count in enumerate(row):
            colour = "white" if shares[truth, answer] > 0.5 else "black"
            text = f"{count:,}\n{100 * shares[truth, answer]:.0f} %"
            axes.text(answer, truth, text, ha="center", va="center", color=colour)
    names = [SENTIMENTS[place].value for place in shown]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer", ylabel="truth", title=f"{report.rows:,} test rows of {report.snapshot_hash}")


def _reliability(axes: Any, report: EvaluationReport) -> None:
    bins = [one for one in report.reliability if one.rows]
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for one in bins:
        axes.plot([one.confidence] * 2, [one.accuracy.low, one.accuracy.high], color="tab:blue", linewidth=1)
    axes.plot([one.confidence for one in bins], [one.accuracy.value for one in bins], "o-", color="tab:blue")
    error = report.model.calibration_error
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0.3, 1.01), ylim=(0, 1.02))
    axes.set_title(f"calibration error {error.value:.3f} ({error.low:.3f} to {error.high:.3f})")


def _risk_coverage(axes: Any, report: EvaluationReport) -> None:
    curve = report.abstention.curve
    axes.plot([100 * x for x in curve.x], [100 * y for y in curve.y], color="tab:blue")
    axes.axvline(100 * report.abstention.coverage.value, color="grey", linewidth=1, linestyle="--")
    axes.set(xlabel="answered, % (dashed: the model's own threshold)", ylabel="wrong among those, %")
    axes.set(title=f"area under the curve {report.abstention.area.value:.4f}", ylim=(0, None))
