"""The evaluation report as one HTML page that loads nothing from anywhere: drawn from the report alone.

Texts are customers' and hostile: the template escapes everything but the pictures. Writes no file: `report_store`
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from markupsafe import Markup

from restar_lib.evaluation.report.report_text import text_of
from restar_lib.evaluation.report_contents import MODEL, EvaluationReport, TruthView
from restar_lib.evaluation.slices import is_judged
from restar_lib.reports import plots
from restar_lib.reports.templates import page_template

TITLES: Final = {
    "truth": "People where they answered, else stars (the gate's truth)",
    "stars": "The stars alone",
    "people": "People alone",
    "stars of the people's rows": "The stars, on the rows that people answered",
}
LEFT: Final = 0.4
FEWEST_SHOWN: Final = 10
"""Slices of fewer rows are one line at the foot."""


@dataclass(frozen=True, kw_only=True)
class TitledView:
    """A table and what stands above it."""

    title: str
    view: TruthView
    classes: tuple[int, ...]
    """Places of the classes that its tables show."""


def draw(report: EvaluationReport) -> str:
    """The page."""
    return page_template("evaluation.html").render(
        report=report,
        words=text_of(report),
        shown_views=_shown_views(report),
        slices=[(name, list(rows)) for name, rows in groupby(report.slices, key=lambda one: one.slice)],
        plots=_plots(report),
        judged=sum(is_judged(one.rows, of=report.rows) for one in report.slices),
        place=_place,
        whole=report.model.accuracy.value,
        fewest=FEWEST_SHOWN,
    )


def _shown_views(report: EvaluationReport) -> list[TitledView]:
    """Without an answer of people the gate's truth is the stars: one table, not two equal ones."""
    views = report.views if report.people_rows else report.views[:1]
    names = TITLES if report.people_rows else {**TITLES, "truth": "The stars"}
    return [
        TitledView(title=names[view.name], view=view, classes=report.shown_classes(view.system(MODEL)))
        for view in views
    ]


def _plots(report: EvaluationReport) -> Mapping[str, Any]:
    return {
        "roc": _roc(report),
        "reliability": _reliability(report),
        "risk": _risk(report),
    }


def _roc(report: EvaluationReport) -> Markup:
    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=plots.LINE, linewidth=1)
        for curve in report.roc:
            axes.plot(curve.x, curve.y, color=plots.CLASS_COLOURS[curve.name], linewidth=1.6, label=curve.name)
        axes.set_xlabel("false alarms among the others")
        axes.set_ylabel("found of the class")
        plots.percent(axes, "x", "y")
        axes.legend(loc="lower right")

    areas = ", ".join(f"{one.sentiment} {one.roc_auc.value:.2f}" for one in report.model.per_class if one.roc_auc)
    return plots.svg(paint, alt=f"ROC curves; area under them: {areas}")


def _reliability(report: EvaluationReport) -> Markup:
    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=plots.LINE, linewidth=1)
        x = [one.confidence for one in report.reliability]
        rows = [one.rows / report.rows for one in report.reliability]
        axes.bar([(one.low + one.high) / 2 for one in report.reliability], rows, width=0.06, color=plots.TINT)
        axes.vlines(
            x, [one.accuracy.low for one in report.reliability], [one.accuracy.high for one in report.reliability],
            color=plots.SECOND, linewidth=1.6,
        )  # fmt: skip
        axes.plot(x, [one.accuracy.value for one in report.reliability], "o", color=plots.FIRST, markersize=4)
        axes.set_xlim(min((one.low for one in report.reliability), default=0.3) - 0.03, 1.02)
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right")
        plots.percent(axes, "x", "y")

    error = report.model.calibration_error
    return plots.svg(paint, alt=f"Reliability diagram; calibration error {error.value:.3f}")


def _risk(report: EvaluationReport) -> Markup:
    found = report.abstention

    def paint(axes: Any) -> None:
        axes.axhline(1 - report.model.accuracy.value, color=plots.LINE, linewidth=1)
        axes.plot(found.curve.x, found.curve.y, color=plots.FIRST, linewidth=1.6)
        if found.answered is not None:
            at = (found.coverage.value, 1 - found.answered.value)
            axes.plot(*at, "o", color=plots.THIRD, markersize=5)
            axes.annotate(
                f"at {found.below:g}", at, textcoords="offset points", xytext=(-6, 8), ha="right", color=plots.THIRD
            )
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, None)
        axes.set_xlabel("answered")
        axes.set_ylabel("wrong among the answered")
        plots.percent(axes, "x", "y")

    return plots.svg(paint, alt=f"Risk-coverage curve; area under it {found.area.value:.4f}")


def _place(share: float) -> str:
    """Where a share stands in the small pictures of the slices, which show everything from 40 % on."""
    return f"{4 + 172 * max(0.0, share - LEFT) / (1 - LEFT):.1f}"
