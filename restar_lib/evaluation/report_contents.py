"""The evaluation report as data: what the JSON holds and the page is drawn from.

Plain values, so that the file can be read back, compared with another version's, and drawn again. Figures that somebody
decides by are `Measure`s with a 95 % interval. It measures nothing (`evaluation.report.evaluate` does)
and draws nothing (`evaluation.report.page` does).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

from restar_lib.evaluation.intervals import Difference, Measure

FORMAT: Final = 1
MODEL, MAJORITY, TFIDF, TFIDF_BALANCED = "this model", "commonest class", "TF-IDF + LR", "TF-IDF + LR, balanced"
"""The systems, in the order of the tables."""


class ReportPart(BaseModel):
    """A frozen piece of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassFigures(ReportPart):
    """One class against the rest."""

    sentiment: str
    rows: int
    precision: Measure | None
    """None where no row was called so."""
    recall: Measure | None
    """None where no row is of the class."""
    f1: float | None
    """None where no row is of the class."""
    roc_auc: Measure | None
    """None where these rows do not define it."""


class SystemFigures(ReportPart):
    """One system on the rows of a view."""

    system: str
    accuracy: Measure
    macro_f1: Measure
    roc_auc: Measure | None
    """One against the rest, the plain mean over the classes."""
    calibration_error: Measure
    log_loss: float
    per_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the truth, columns the answer."""


class TruthView(ReportPart):
    """One notion of truth, and every system measured against it."""

    name: str
    """`truth` (people where they answered, else stars), `stars`, `people`, `stars of the people's rows`."""
    rows: int
    systems: tuple[SystemFigures, ...]

    def system(self, name: str) -> SystemFigures:
        """The figures of a system. Raises `KeyError` where it is not in the table."""
        found = next((one for one in self.systems if one.system == name), None)
        if found is None:
            raise KeyError(name)
        return found


class SystemDifference(ReportPart):
    """This model minus another system, on the same rows and the gate's truth."""

    system: str
    difference: Difference


class ReliabilityBin(ReportPart):
    """Rows of about the same confidence."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: Measure


class CoveragePoint(ReportPart):
    """What answering only the surest share gives."""

    coverage: float
    threshold: float
    accuracy: Measure


class Curve(ReportPart):
    """Points of a curve, thinned."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class Abstention(ReportPart):
    """What the model's own threshold means, and which one a target needs."""

    below: float
    """It abstains where its confidence is lower."""
    coverage: Measure
    answered: Measure | None
    """Accuracy on the rows that it answers; None where there are none."""
    withheld: Measure | None
    """What its best guess would have scored on the others."""
    curve: Curve
    """Coverage and risk."""
    area: Measure
    """Under the risk-coverage curve."""
    area_best: float
    """Of an oracle that withholds the errors first; without any order it would be the error rate."""
    at: tuple[CoveragePoint, ...]
    target: float
    target_threshold: float | None
    """Chosen on the validation rows; None where no threshold reaches the target there."""
    target_coverage: Measure | None
    """On the test rows, at that threshold."""
    target_accuracy: Measure | None


class SliceFigures(ReportPart):
    """The rows that share one value."""

    slice: str
    value: str
    rows: int
    accuracy: Measure
    macro_f1: Measure | None
    """None on fewer than 30 rows, and where all of them are of one class."""
    coverage: float
    worse: bool
    """Its accuracy is below that of all other rows by more than chance (Fisher's exact test, Holm)."""


class StarsFigures(ReportPart):
    """Expected stars against the customers' stars."""

    rows: int
    mean_absolute_error: Measure
    rank_correlation: Measure
    """Spearman's rho."""
    baseline: float
    """Mean absolute error of always saying the median of these rows."""


class BehaviourGroup(ReportPart):
    """Cases of one kind of language."""

    name: str
    hard: bool
    cases: int
    passed: int
    rate: Measure
    failures: tuple[str, ...]
    """Some of the cases that fail, each as a line."""
    uncounted: int = 0
    """Further cases, which expect a class that is absent."""


class Mistake(ReportPart):
    """A confident wrong answer."""

    review_id: str
    text: str
    truth: str
    truth_source: str
    rating: int | None
    category: str | None
    predicted: str
    confidence: float


class PeopleAndStars(ReportPart):
    """What the stars themselves are worth on the rows that people answered."""

    rows: int
    stars_agree: Measure
    model_agrees_with_people: Measure
    model_agrees_with_stars: Measure


class ForeignRows(ReportPart):
    """The rows are of another training set than the model's own."""

    learned_from: str
    """Hash of the snapshot that the model learned from."""
    seen: int | None
    """Rows that stood in it, or whose text did; None where it is not on this disk, so that nobody knows."""
    by_review: bool = False
    """Only one of the two has titles, so that texts could not be compared."""


class EvaluationReport(ReportPart):
    """One model version on the test side of one snapshot."""

    format: int = FORMAT
    version: str
    snapshot_hash: str
    evaluated_at: datetime
    encoder: str
    mode: str
    simulated: bool
    rows: int
    people_rows: int
    """Rows whose truth comes from people."""
    validation_rows: int
    views: tuple[TruthView, ...]
    people: PeopleAndStars | None
    against: tuple[SystemDifference, ...]
    roc: tuple[Curve, ...]
    reliability: tuple[ReliabilityBin, ...]
    abstention: Abstention
    slices: tuple[SliceFigures, ...]
    stars: StarsFigures | None
    behaviour: tuple[BehaviourGroup, ...]
    mistakes: tuple[Mistake, ...]
    mistakes_in_all: int
    warnings: tuple[str, ...] = ()
    """Why these figures differ from those that the version has in service; shown first."""
    elsewhere: ForeignRows | None = None
    """None on the model's own snapshot, whose test rows it has not learned from."""
    notes: tuple[str, ...]
    """What was left out or capped, in words."""
    absent: tuple[str, ...] = ()
    """Classes that neither the truth nor the stars of the training have (`evaluation.absent_classes`)."""

    @property
    def truth(self) -> TruthView:
        """The view that the gate judges by."""
        return self.views[0]

    @property
    def model(self) -> SystemFigures:
        """This model in that view."""
        return self.truth.system(MODEL)

    def shown_classes(self, figures: SystemFigures) -> tuple[int, ...]:
        """The places of the classes that a table shows: without one that is absent, and that nothing was called."""
        said = [sum(column) for column in zip(*figures.confusion, strict=True)]
        return tuple(
            place
            for place, one in enumerate(figures.per_class)
            if one.sentiment not in self.absent or one.rows or said[place]
        )
