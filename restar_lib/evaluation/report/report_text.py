"""The sentences of an evaluation page: the result first, then what limits it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from restar_lib.evaluation.absent_classes import absent_in_words
from restar_lib.evaluation.intervals import Measure
from restar_lib.evaluation.report_contents import (
    MAJORITY,
    TFIDF,
    TFIDF_BALANCED,
    EvaluationReport,
    ForeignRows,
    SystemDifference,
)

FEW_ROWS: Final = 300
"""On fewer rows an accuracy is known to about five points at best."""
POORLY_CALIBRATED: Final = 0.05
NO_TENDENCY: Final = 0.02
"""Mean confidence this close to accuracy is neither too sure nor too shy."""
POOR_LANGUAGE: Final = 0.7
"""A group of behaviour cases of which fewer hold is named above all else."""


@dataclass(frozen=True, kw_only=True)
class ReportNote:
    """One thing to know."""

    kind: Literal["good", "bad", "plain"]
    text: str


@dataclass(frozen=True, kw_only=True)
class ReportText:
    """Every sentence that depends on the figures."""

    headline: str
    beside: str
    points: tuple[ReportNote, ...]
    calibration: str
    threshold: str
    withheld: str
    target: str
    slices: str
    behaviour: str


def text_of(report: EvaluationReport) -> ReportText:
    """The sentences of a report."""
    return ReportText(
        headline=headline(report),
        beside=_beside(report),
        points=tuple(_points(report)),
        calibration=_calibration(report),
        threshold=_threshold(report),
        withheld=_withheld(report),
        target=_target(report),
        slices=_slices(report),
        behaviour=_behaviour(report),
    )


def headline(report: EvaluationReport) -> str:
    """The answer in one line."""
    return f"{report.version} reads {_share(report.model.accuracy)} of {report.rows:,} reviews right"


def titles_mismatch(version: str, *, titles: bool) -> str:
    """A sentence for rows that differ in having `titles` in front of their texts from those that a version learned."""
    apart = (
        "learned from texts without titles, and these rows have them in front"
        if titles
        else "learned from texts with their titles in front, and these rows have none"
    )
    return f"{version} {apart}: it serves otherwise than it is measured here"


def share(measure: Measure) -> str:
    """A share in words, with its interval."""
    return f"{_share(measure)} ({100 * measure.low:.1f} to {100 * measure.high:.1f})"


def _share(measure: Measure) -> str:
    return f"{100 * measure.value:.1f} %"


def _beside(report: EvaluationReport) -> str:
    ours, majority = report.model, report.truth.system(MAJORITY)
    return (
        f"{100 * ours.accuracy.low:.1f} to {100 * ours.accuracy.high:.1f} % with 95 % confidence; always saying "
        f"\u201c{_commonest(report)}\u201d gets {_share(majority.accuracy)}. Macro-F1 {ours.macro_f1} against "
        f"{majority.macro_f1.value:.3f}."
    )


def _commonest(report: EvaluationReport) -> str:
    said = report.truth.system(MAJORITY)
    return next(one.sentiment for place, one in enumerate(said.per_class) if any(row[place] for row in said.confusion))


def _points(report: EvaluationReport) -> Iterator[ReportNote]:
    for warning in report.warnings:
        yield ReportNote(kind="bad", text=f"{warning}.")
    bags = [one for one in report.against if one.system in {TFIDF, TFIDF_BALANCED}]
    if report.elsewhere is not None:
        yield _elsewhere(report.elsewhere)
    elif bags:
        yield _against(min(bags, key=lambda one: one.difference.macro_f1.value))
    if report.rows < FEW_ROWS:
        yield ReportNote(kind="bad", text=f"Only {report.rows:,} rows: read the intervals, not the figures.")
    if report.absent:
        yield ReportNote(kind="plain", text=_sentence(absent_in_words(report.absent)))
    recalls = [(one.sentiment, one.recall) for one in report.model.per_class if one.recall]
    weakest, recall = min(recalls, key=lambda one: one[1].value)
    kind: Literal["bad", "plain"] = "bad" if recall.value < 0.5 else "plain"
    yield ReportNote(kind=kind, text=f"Weakest class: of the {weakest} reviews it finds {share(recall)}.")
    yield ReportNote(
        kind="good" if report.model.calibration_error.value <= POORLY_CALIBRATED else "bad",
        text=f"{_calibration(report)}.",
    )
    yield ReportNote(kind="plain", text=f"{_threshold(report)}.")
    worse = [f"{one.slice} {one.value}" for one in report.slices if one.worse and one.slice != "rating"]
    if worse:
        yield ReportNote(kind="bad", text=f"Worse than elsewhere by more than chance: {', '.join(worse)}.")
    weak = [one for one in report.behaviour if not one.hard and one.rate.value < POOR_LANGUAGE]
    if weak:
        groups = ", ".join(f"{one.name} ({one.passed} of {one.cases} cases hold)" for one in weak)
        yield ReportNote(kind="bad", text=f"Language that it does not cope with: {groups}.")
    if report.simulated:
        yield ReportNote(kind="bad", text="It learned from made-up reviews: nothing here says how it reads real ones.")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _elsewhere(found: ForeignRows) -> ReportNote:
    """The baselines are not compared then: they learned from this snapshot, the model from another."""
    rows = f"These rows are of another training set than the model's own ({found.learned_from}), "
    if found.seen is None:
        unknown = "which is not on this disk: nobody knows how many of them it has learned from."
        return ReportNote(kind="bad", text=rows + unknown)
    if found.seen:
        return ReportNote(
            kind="bad", text=f"{rows}and it has learned from {found.seen:,} of them: the figures flatter it."
        )
    told = ", by their ids: texts with titles and without cannot be compared" if found.by_review else ""
    return ReportNote(kind="plain", text=f"{rows}and it has learned from none of them{told}.")


def _against(one: SystemDifference) -> ReportNote:
    gain = one.difference.macro_f1
    name = f"{one.system} (a bag of words)"
    numbers = f"macro-F1 {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    if gain.low > 0:
        return ReportNote(kind="good", text=f"Better than {name}, the stronger of the two simple rivals: {numbers}.")
    if gain.high < 0:
        return ReportNote(kind="bad", text=f"Worse than {name}: {numbers}. The simple model would serve better.")
    return ReportNote(kind="bad", text=f"These rows cannot tell it from {name}: {numbers}.")


def _calibration(report: EvaluationReport) -> str:
    error = report.model.calibration_error
    gap = sum(one.rows * (one.confidence - one.accuracy.value) for one in report.reliability) / report.rows
    tendency = "says as much as it knows" if abs(gap) < NO_TENDENCY else "is too sure" if gap > 0 else "is too shy"
    return f"It {tendency}: calibration error {error.value:.3f} ({error.low:.3f} to {error.high:.3f})"


def _threshold(report: EvaluationReport) -> str:
    found = report.abstention
    if found.answered is None:
        return f"At {found.below:g} it abstains on every review"
    return (
        f"At {found.below:g} it answers {_share(found.coverage)} of the reviews and is right on {share(found.answered)}"
    )


def _withheld(report: EvaluationReport) -> str:
    found = report.abstention
    if found.withheld is None:
        return "It abstains on none of these reviews."
    return f"On the reviews that it hands to people its best guess would have been right {share(found.withheld)}."


def _target(report: EvaluationReport) -> str:
    found = report.abstention
    wanted = f"For {100 * found.target:g} % accuracy on what it answers"
    if found.target_threshold is None or found.target_accuracy is None or found.target_coverage is None:
        return f"{wanted} no threshold is high enough: on the validation rows none reaches it for 50 reviews or more."
    kept = "held" if found.target_accuracy.value >= found.target else "missed"
    return (
        f"{wanted} the threshold must be {found.target_threshold:.3f} (chosen on the {report.validation_rows:,} "
        f"validation rows); on these rows that answers {_share(found.target_coverage)} and the target is {kept}: "
        f"{share(found.target_accuracy)}."
    )


def _slices(report: EvaluationReport) -> str:
    worse = sum(one.worse for one in report.slices if one.slice != "rating")
    if not worse:
        return "No kind of review is read worse than the others by more than chance"
    return f"{worse} {'kind' if worse == 1 else 'kinds'} of review {'is' if worse == 1 else 'are'} read worse"


def _behaviour(report: EvaluationReport) -> str:
    judged = [one for one in report.behaviour if not one.hard]
    cases, passed = sum(one.cases for one in judged), sum(one.passed for one in judged)
    uncounted = sum(one.uncounted for one in report.behaviour)
    apart = f" and {uncounted} that expect {' or '.join(report.absent)}" if uncounted else ""
    return f"{passed} of {cases} behaviour cases hold, the hard ones{apart} apart"


def summary(report: EvaluationReport) -> list[str]:
    """A few lines for a terminal or a task's log."""
    marks = {"good": "+", "bad": "!", "plain": "-"}
    found = text_of(report)
    return [f"{found.headline}: {found.beside}", *(f" {marks[point.kind]} {point.text}" for point in found.points)]
