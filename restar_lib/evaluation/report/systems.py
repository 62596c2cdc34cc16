"""The tables of a report: every system on the same rows, against each notion of truth.

Pure: arrays in, `TruthView`s out. The seed is passed in, and every system starts from it, so that the figures of a
baseline do not depend on the model that it is compared with. Which rows and which systems is decided by
`evaluation.report.evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from restar_lib.dataset.arrays import truth_of
from restar_lib.domain import SENTIMENTS, Example, TruthSource, weak_label
from restar_lib.evaluation.curves import mean_of, roc_auc
from restar_lib.evaluation.intervals import (
    Measure,
    calibration_error_interval,
    difference,
    macro_f1_interval,
    measured,
    wilson,
)
from restar_lib.evaluation.metrics import Floats, Integers, confusion_matrix, f1_by_class, log_loss
from restar_lib.evaluation.report_contents import (
    MODEL,
    ClassFigures,
    PeopleAndStars,
    SystemDifference,
    SystemFigures,
    TruthView,
)

AUC_RESAMPLES = 200
"""Fewer than elsewhere: each one ranks all rows anew."""

Answers = Mapping[str, Floats]
"""Probabilities [n, 3] by the name of the system."""


def truth_views(
    rows: Sequence[Example], answers: Answers, *, resamples: int, seed: int
) -> tuple[tuple[TruthView, ...], PeopleAndStars | None]:
    """Every table, and what the stars are worth where people answered too.

    The first one is the gate's truth. The stars have a table of their own wherever there are any; people where they
    answered one of these rows, beside the stars of the same rows.
    """
    truth = truth_of(rows)
    stars = np.array([-1 if row.rating is None else weak_label(row.rating).position for row in rows], dtype=np.int64)
    people = np.array([row.truth_source is TruthSource.PEOPLE for row in rows], dtype=np.bool_)
    wanted = [
        ("truth", truth, np.ones(len(rows), dtype=np.bool_)),
        ("stars", stars, stars >= 0),
        ("people", truth, people),
        ("stars of the people's rows", stars, people & (stars >= 0)),
    ]
    tables = tuple(
        _view(name, of_view[kept], {one: found[kept] for one, found in answers.items()}, resamples=resamples, seed=seed)
        for name, of_view, kept in wanted
        if kept.any()
    )
    both = people & (stars >= 0)
    return tables, _people_and_stars(truth[both], stars[both], answers[MODEL][both].argmax(axis=1))


def differences_to_baselines(
    rows: Sequence[Example], answers: Answers, *, resamples: int, seed: int
) -> tuple[SystemDifference, ...]:
    """This model minus each baseline, row by row."""
    truth, ours = truth_of(rows), answers[MODEL].argmax(axis=1)
    rivals = {name: of.argmax(axis=1) for name, of in answers.items() if name != MODEL}
    return tuple(
        SystemDifference(
            system=name,
            difference=difference(truth, ours, theirs, resamples=resamples, rng=np.random.default_rng(seed)),
        )
        for name, theirs in rivals.items()
    )


def system_figures(system: str, truth: Integers, probabilities: Floats, *, resamples: int, seed: int) -> SystemFigures:
    """Every figure of one system, n > 0 rows."""
    rng = np.random.default_rng(seed)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right, confusion = predicted == truth, confusion_matrix(truth, predicted)
    error = calibration_error_interval(confidence, right, resamples=resamples, rng=rng)
    areas = _areas(truth, probabilities, resamples=min(resamples, AUC_RESAMPLES), rng=rng)
    return SystemFigures(
        system=system,
        accuracy=wilson(int(right.sum()), len(truth)),
        macro_f1=macro_f1_interval(confusion, resamples=resamples, rng=rng),
        roc_auc=areas[-1],
        calibration_error=error,
        log_loss=log_loss(truth, probabilities),
        per_class=_per_class(confusion, areas),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def _view(name: str, truth: Integers, answers: Answers, *, resamples: int, seed: int) -> TruthView:
    return TruthView(
        name=name,
        rows=len(truth),
        systems=tuple(
            system_figures(one, truth, found, resamples=resamples, seed=seed) for one, found in answers.items()
        ),
    )


def _areas(
    truth: Integers, probabilities: Floats, *, resamples: int, rng: np.random.Generator
) -> tuple[Measure | None, ...]:
    """Area under the ROC curve of each class, and last the mean over them: four figures from one ranking.

    A class that vanished in a resample counts with its area on all rows, in the mean as well.
    """
    whole = roc_auc(truth, probabilities)

    def of_rows(at: NDArray[np.int64]) -> tuple[float | None, ...]:
        areas = zip(roc_auc(truth[at], probabilities[at]), whole, strict=True)
        by_class = [ours if one is None else one for one, ours in areas]
        return (*by_class, mean_of(by_class))

    drawn = [of_rows(rng.integers(0, len(truth), size=len(truth))) for _ in range(resamples)]
    return tuple(measured(value, column) for value, *column in zip((*whole, mean_of(whole)), *drawn, strict=True))


def _per_class(confusion: NDArray[np.int64], areas: Sequence[Measure | None]) -> tuple[ClassFigures, ...]:
    hits, rows, said, f1 = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0), f1_by_class(confusion)
    return tuple(
        ClassFigures(
            sentiment=sentiment.value,
            rows=int(rows[place]),
            precision=wilson(int(hits[place]), int(said[place])) if said[place] else None,
            recall=wilson(int(hits[place]), int(rows[place])) if rows[place] else None,
            f1=float(f1[place]) if rows[place] else None,
            roc_auc=areas[place],
        )
        for place, sentiment in enumerate(SENTIMENTS)
    )


def _people_and_stars(people: Integers, stars: Integers, ours: Integers) -> PeopleAndStars | None:
    if len(people) == 0:
        return None
    return PeopleAndStars(
        rows=len(people),
        stars_agree=wilson(int((stars == people).sum()), len(people)),
        model_agrees_with_people=wilson(int((ours == people).sum()), len(people)),
        model_agrees_with_stars=wilson(int((ours == stars).sum()), len(people)),
    )
