"""The profile of a snapshot as a page and a JSON file in the reports folder. Draws and writes; measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from restar_lib.evaluation.profile.contents import Period, SnapshotProfile
from restar_lib.reports import plots
from restar_lib.reports.page_store import ReportFiles, report_files, write_report
from restar_lib.reports.templates import page_template
from restar_lib.settings import Settings

KIND: Final = "explore"
"""The folder below the reports folder."""


def save(settings: Settings, found: SnapshotProfile) -> ReportFiles:
    """Write page and JSON; a later profile of the same snapshot replaces them."""
    files = report_files(settings, KIND, found.snapshot_hash)
    write_report(files.html, page=draw(found), data=found)
    return files


def draw(found: SnapshotProfile) -> str:
    """The page."""
    return page_template("profile.html").render(
        found=found, headline=headline(found), points=points(found), plots=_plots(found)
    )


def headline(found: SnapshotProfile) -> str:
    """The answer in one line."""
    bad = [leak.name for leak in found.leaks if leak.bad]
    state = f"look at this first: {', '.join(bad)}" if bad else "no leak was found"
    return f"Snapshot {found.snapshot_hash}: {found.rows:,} reviews, {state}"


def points(found: SnapshotProfile) -> tuple[str, ...]:
    """What else a person should know."""
    train, *_, test = found.sides
    commonest = max(test.classes, key=lambda one: one.share.value)
    people = sum(side.people for side in found.sides)
    share = f"{100 * commonest.share.value:.1f} %"
    lines = [
        f"{train.rows:,} rows teach, {test.rows:,} test; people answered {people:,} of all.",
        f"On the test side {share} are {commonest.sentiment}, so accuracy alone proves little.",
    ]
    gap = found.disagreement
    if gap is not None:
        lines.append(
            f"Where people answered, they contradict the stars in {100 * gap.value:.1f} % ({100 * gap.low:.1f} to "
            f"{100 * gap.high:.1f}) of the reviews; most were asked because they are doubtful: it is more than usual."
        )
    correlation = found.stars_length_correlation
    if correlation is not None:
        lines.append(f"{_tendency(correlation.value)} (rank correlation {correlation.value:+.2f}).")
    return tuple(lines)


def _tendency(correlation: float) -> str:
    if abs(correlation) < 0.05:
        return "Stars and length hardly go together"
    return f"Reviews with few stars are {'longer' if correlation < 0 else 'shorter'}"


def _plots(found: SnapshotProfile) -> Mapping[str, Markup]:
    return {"lengths": _lengths(found), "periods": _periods(found.periods)}


def _lengths(found: SnapshotProfile) -> Markup:
    def paint(axes: Any) -> None:
        places = range(len(found.buckets))
        for one in found.lengths:
            axes.plot(
                places, one.shares, "o-", color=plots.CLASS_COLOURS[one.sentiment], label=one.sentiment, markersize=3
            )
        axes.set_xticks(list(places), found.buckets, rotation=45, ha="right")
        axes.set_xlabel("words")
        axes.set_ylim(0, None)
        plots.percent(axes, "y")
        axes.legend(loc="upper right")

    return plots.svg(paint, alt="Length of the texts by class")


def _periods(periods: tuple[Period, ...]) -> Markup:
    def paint(axes: Any) -> None:
        places = list(range(len(periods)))
        most = max(period.rows for period in periods)
        axes.bar(places, [period.rows / most for period in periods], color=plots.TINT, width=0.8)
        for place, name in enumerate(plots.CLASS_COLOURS):
            shares = [period.shares[place] for period in periods]
            axes.plot(places, shares, color=plots.CLASS_COLOURS[name], label=name, linewidth=1.6)
        step = max(1, len(periods) // 12)
        axes.set_xticks(places[::step], [period.name for period in periods[::step]], rotation=45, ha="right")
        axes.set_ylim(0, 1.02)
        plots.percent(axes, "y")
        axes.legend(loc="center left")

    return plots.svg(paint, alt="Shares of the classes over time, with the number of reviews behind")
