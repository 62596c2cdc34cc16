"""A comparison in words for a terminal, and as one HTML page that loads nothing from anywhere. Pure; writes no file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from markupsafe import Markup

from restar_lib.evaluation.absent_classes import absent_in_words
from restar_lib.evaluation.intervals import Measure
from restar_lib.reports import plots
from restar_lib.reports.templates import page_template
from restar_lib.tracking.compare import LabelDifference, SharedRows, SideBySide

KIND: Final = "comparison"
"""The folder below the reports folder."""
SHOWN_IDS: Final = 20


def headline(found: SideBySide) -> str:
    """The answer in one line."""
    gain = found.difference.macro_f1
    around = f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    points = f"{100 * abs(gain.value):.1f} points of macro-F1 {around}"
    if gain.low > 0:
        return f"{found.second} is better than {found.first} by {points}"
    if gain.high < 0:
        return f"{found.second} is worse than {found.first} by {points}"
    return (
        f"{found.second} and {found.first} cannot be told apart on {found.rows:,} rows: "
        f"{100 * gain.value:+.1f} points of macro-F1 {around}"
    )


def lines(found: SideBySide) -> Iterator[str]:
    """The comparison for a terminal."""
    paired = found.paired
    yield headline(found)
    yield f"on {found.rows:,} test rows of snapshot {found.snapshot_hash}; {learned(found)}"
    yield from ("", f"{'':<20}{found.first:>26}{found.second:>26}")
    for name, before, now in measures(found):
        yield f"{name:<20}{before!s:>26}{now!s:>26}"
    gains = (_signed(measure) for measure in (found.difference.accuracy, found.difference.macro_f1))
    yield f"{'difference':<20}" + "accuracy {}, macro-F1 {}".format(*gains)
    yield (
        f"{'row by row':<20}only {found.second} right: {paired.better_rows:,}; only {found.first} right: "
        f"{paired.worse_rows:,}; McNemar p = {paired.mcnemar_p:.2g}; a true difference of "
        f"{100 * paired.detectable:.1f} points of macro-F1 would have shown (80 % of the time)"
    )
    yield from ("", "behaviour cases passed")
    for group in found.behaviour:
        name = f"{group.name}{' (hard)' if group.hard else ''}"
        yield f"  {name:<34}{group.first:>4} and {group.second:>3} of {group.cases:>3}"
    yield from ("", "what differs in how they were made" if found.changed else "nothing differs in how they were made")
    for one in found.changed:
        yield f"  {one.name:<34}{one.first}  ->  {one.second}"
    if found.labels is not None:
        counts = f"{found.labels.first}  ->  {found.labels.second}"
        yield f"  {'labels of people':<34}{counts}: {labels_in_words(found.labels)}"


def learned(found: SideBySide) -> str:
    """Which of the two has learned from the rows that they are compared on."""
    if is_fresh(found):
        return "neither has learned from them"
    return "; ".join(map(_learned, found.seen))


def is_fresh(found: SideBySide) -> bool:
    """Whether it is known that neither has learned from any of the rows."""
    return all(one.rows == 0 for one in found.seen)


def _learned(one: SharedRows) -> str:
    if one.rows is None:
        return (
            f"how many of them were seen by {one.version} is unknown: its training set {one.learned_from} is not here"
        )
    if one.rows:
        return f"{one.rows:,} of them were seen by {one.version} in training: its figures flatter it"
    return f"{one.version} has learned from none of them"


def labels_in_words(labels: LabelDifference) -> str:
    """Which labels only one of the two learned from."""
    parts = [
        f"{len(ids):,} only in the {word} ({_ids(ids)})"
        for word, ids in (("first", labels.only_first), ("second", labels.only_second))
        if ids
    ]
    return "; ".join(parts) or "the same ones"


def measures(found: SideBySide) -> list[tuple[str, Measure | None, Measure | None]]:
    """The figures of both, by name."""
    first, second = found.of_first, found.of_second
    named: list[tuple[str, Measure | None, Measure | None]] = [
        ("accuracy", first.accuracy, second.accuracy),
        ("macro-F1", first.macro_f1, second.macro_f1),
        ("ROC AUC", first.roc_auc, second.roc_auc),
        ("calibration error", first.calibration_error, second.calibration_error),
    ]
    by_class = zip(first.per_class, second.per_class, strict=True)
    recalls = [(f"recall {one.sentiment}", one.recall, other.recall) for one, other in by_class if one.rows]
    return named + recalls


def draw(found: SideBySide) -> str:
    """The page."""
    return page_template("comparison.html").render(
        found=found,
        headline=headline(found),
        measures=measures(found),
        labels_in_words=labels_in_words,
        learned=learned(found),
        is_fresh=is_fresh(found),
        absent=absent_in_words(found.absent),
        picture=_picture(found),
    )


def _picture(found: SideBySide) -> Markup:
    shown = [(name, before, now) for name, before, now in measures(found) if before is not None and now is not None]
    of_first, of_second = [before for _, before, _ in shown], [now for _, _, now in shown]

    def paint(axes: Any) -> None:
        _dots(axes, of_first, label=found.first, colour=plots.SECOND, offset=-0.14)
        _dots(axes, of_second, label=found.second, colour=plots.FIRST, offset=0.14)
        axes.set_yticks(range(len(shown)), [name for name, _, _ in shown])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.legend(loc="best")

    return plots.svg(paint, alt="Figures of both versions with their intervals", size=(6.4, 3.6))


def _dots(axes: Any, measures: list[Measure], *, label: str, colour: str, offset: float) -> None:
    places = [row + offset for row in range(len(measures))]
    axes.hlines(places, [one.low for one in measures], [one.high for one in measures], color=colour, linewidth=2)
    axes.plot([one.value for one in measures], places, "o", color=colour, markersize=5, label=label)


def _signed(measure: Measure) -> str:
    return f"{measure.value:+.3f} ({measure.low:+.3f} to {measure.high:+.3f})"


def _ids(ids: tuple[int, ...]) -> str:
    more = f" and {len(ids) - SHOWN_IDS:,} more" if len(ids) > SHOWN_IDS else ""
    return ", ".join(map(str, ids[:SHOWN_IDS])) + more
