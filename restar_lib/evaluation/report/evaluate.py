"""One model version on the test side of one snapshot: the report by which people judge a model.

The model answers the validation and the test rows once; everything else is arithmetic on those answers, seeded, so the
same version on the same snapshot gives the same report, byte by byte. It decides nothing (the gate does) and trains
nothing but the bag of words that the model is compared with. Needs no torch and no database; `report_store` writes the
files. Called by `restar evaluate` and by `retraining.pipeline`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.dataset.snapshot_folder import what_is_left
from restar_lib.dataset.training_overlap import TrainingSet, find_leaks
from restar_lib.domain import SENTIMENTS, Example, Side, TruthSource
from restar_lib.errors import SnapshotError
from restar_lib.evaluation import slices
from restar_lib.evaluation.absent_classes import absent_classes
from restar_lib.evaluation.abstention import ConfidenceAndTruth, abstention
from restar_lib.evaluation.baselines import baselines
from restar_lib.evaluation.behaviour import summary
from restar_lib.evaluation.curves import reliability, roc_curve, thinned
from restar_lib.evaluation.intervals import wilson
from restar_lib.evaluation.metrics import Floats, Integers, slices_of
from restar_lib.evaluation.report import report_store, stars
from restar_lib.evaluation.report.report_text import titles_mismatch
from restar_lib.evaluation.report.systems import differences_to_baselines, truth_views
from restar_lib.evaluation.report_contents import (
    MODEL,
    TFIDF,
    Curve,
    EvaluationReport,
    ForeignRows,
    Mistake,
    ReliabilityBin,
)
from restar_lib.inference.engine import InferenceEngine, ModelInfo
from restar_lib.settings import Settings
from restar_lib.stopwatch import Stopwatch

log = logging.getLogger(__name__)

SEED: Final = 23
ROC_POINTS: Final = 120
TEXT_CHARS: Final = 600
"""So much of a mistake's text is shown."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the model said about the rows of a side."""

    rows: Sequence[Example]
    truth: Integers
    probabilities: Floats

    @property
    def sure(self) -> ConfidenceAndTruth:
        """Confidence and whether it was right."""
        right = self.probabilities.argmax(axis=1) == self.truth
        return ConfidenceAndTruth(confidence=np.asarray(self.probabilities.max(axis=1)), right=right)


def evaluate_version(
    settings: Settings,
    *,
    folder: Path,
    snapshot: Snapshot,
    now: datetime,
    sources: Mapping[str, str] | None = None,
) -> EvaluationReport:
    """Measure the model in `folder` on the test rows of `snapshot`; `sources` gives the source of a review by its id.

    Raises `ArtifactError` where the model cannot be loaded, `SnapshotError` where there is no test row.
    """
    if not snapshot.test_rows:
        raise SnapshotError(f"snapshot {snapshot.snapshot_hash} has no test row: nothing to evaluate on")
    config, rng, watch = settings.evaluation, np.random.default_rng(SEED), Stopwatch()
    model = InferenceEngine.load(folder, threads=settings.scoring.threads)
    test, validation = (_answers_of(model, snapshot.examples(side), settings) for side in (Side.TEST, Side.VALIDATION))
    watch.lap("model")
    beside = baselines(snapshot, folder=report_store.baseline_folder(settings), max_rows=config.max_baseline_rows)
    answers = {MODEL: test.probabilities, **beside}
    watch.lap("baselines")
    tables, people = truth_views(test.rows, answers, resamples=config.resamples, seed=SEED)
    compared = differences_to_baselines(test.rows, answers, resamples=config.resamples, seed=SEED)
    values = _slices(test.rows, sources)
    sliced = slices.slice_figures(_answered(test, model), values, resamples=config.resamples, rng=rng)
    watch.lap("figures")
    absent = absent_classes(test.truth, model.info.rated)
    behaviour = summary.behaviour(model, absent=absent)
    watch.lap("behaviour")
    mistakes = _mistakes(test)
    log.info(
        "evaluated %s: %s", model.version, ", ".join(f"{step} {seconds:.1f} s" for step, seconds in watch.laps.items())
    )
    return EvaluationReport(
        version=model.version,
        snapshot_hash=snapshot.snapshot_hash,
        evaluated_at=now,
        encoder=model.info.encoder,
        mode=model.info.mode,
        simulated=model.info.simulated,
        rows=len(test.rows),
        people_rows=sum(row.truth_source is TruthSource.PEOPLE for row in test.rows),
        validation_rows=len(validation.rows),
        views=tables,
        people=people,
        against=compared,
        roc=_roc(test),
        reliability=_reliability(test),
        abstention=abstention(
            test.sure,
            validation.sure,
            below=model.info.abstain_below,
            target=config.target_accuracy,
            resamples=config.resamples,
            rng=rng,
        ),
        slices=sliced,
        stars=stars.stars_figures(
            model.expected_stars(test.probabilities), test.rows, resamples=config.resamples, rng=rng
        ),
        behaviour=behaviour,
        mistakes=tuple(mistakes[: config.worst]),
        mistakes_in_all=len(mistakes),
        warnings=_warnings(model, snapshot),
        elsewhere=foreign_rows(settings, model.info.snapshot_hash, snapshot, test.rows),
        notes=(*_notes(snapshot, settings, sources, model.info), *_missing(beside), *slices.left_out(values)),
        absent=absent,
    )


def _answers_of(model: InferenceEngine, rows: Sequence[Example], settings: Settings) -> Answers:
    found = model.predict([row.text for row in rows], batch_size=settings.scoring.batch_size)
    return Answers(rows=rows, truth=truth_of(rows), probabilities=found.probabilities)


def foreign_rows(
    settings: Settings, learned_from: str, snapshot: Snapshot, rows: Sequence[Example]
) -> ForeignRows | None:
    """What the model has learned of rows that are of another training set than its own.

    What is left of its own, after people in it were forgotten, is its own: no row has changed sides.
    """
    own = what_is_left(settings.snapshots_dir / learned_from)
    if snapshot.snapshot_hash in {learned_from, own.name}:
        return None
    found = find_leaks(rows, [TrainingSet(whose="challenger", folder=own)], titles=snapshot.titles)
    seen = None if found.unread else len({leak.test_id for leak in found.leaks})
    return ForeignRows(learned_from=learned_from, seen=seen, by_review=bool(found.by_review))


def _answered(test: Answers, model: InferenceEngine) -> slices.SliceRows:
    return slices.SliceRows(
        truth=test.truth,
        predicted=np.asarray(test.probabilities.argmax(axis=1)),
        covered=test.probabilities.max(axis=1) >= model.info.abstain_below,
    )


def _slices(rows: Sequence[Example], sources: Mapping[str, str] | None) -> dict[str, list[str]]:
    found = slices_of(rows)
    return found if sources is None else found | {"source": [sources.get(row.review_id, "unknown") for row in rows]}


def _roc(test: Answers) -> tuple[Curve, ...]:
    found = []
    for sentiment in SENTIMENTS:
        if 0 < (test.truth == sentiment.position).sum() < len(test.truth):
            alarms, hits = roc_curve(test.truth, test.probabilities, sentiment.position)
            x, y = thinned(alarms, hits, points=ROC_POINTS)
            found.append(Curve(name=sentiment.value, x=x, y=y))
    return tuple(found)


def _reliability(test: Answers) -> tuple[ReliabilityBin, ...]:
    return tuple(
        ReliabilityBin(
            low=one.low, high=one.high, rows=one.rows, confidence=one.confidence, accuracy=wilson(one.hits, one.rows)
        )
        for one in reliability(test.sure.confidence, test.sure.right)
    )


def _mistakes(test: Answers) -> list[Mistake]:
    """Every wrong answer, the most confident first."""
    sure, predicted = test.sure, test.probabilities.argmax(axis=1)
    order = sorted(np.flatnonzero(~sure.right).tolist(), key=lambda place: -sure.confidence[place])
    return [
        Mistake(
            review_id=row.review_id,
            text=row.text if len(row.text) <= TEXT_CHARS else f"{row.text[:TEXT_CHARS]}\u2026",
            truth=row.truth.value,
            truth_source=row.truth_source.value,
            rating=row.rating,
            category=row.product_category,
            predicted=SENTIMENTS[predicted[place]].value,
            confidence=round(float(sure.confidence[place]), 4),
        )
        for place, row in ((place, test.rows[place]) for place in order)
    ]


def _warnings(model: InferenceEngine, snapshot: Snapshot) -> tuple[str, ...]:
    if model.info.reads_titles == snapshot.titles:
        return ()
    return (titles_mismatch(model.version, titles=snapshot.titles),)


def _notes(snapshot: Snapshot, settings: Settings, sources: Mapping[str, str] | None, info: ModelInfo) -> list[str]:
    limit = settings.evaluation.max_baseline_rows
    notes = []
    if what_is_left(settings.snapshots_dir / info.snapshot_hash).name == snapshot.snapshot_hash != info.snapshot_hash:
        notes.append(
            f"people were forgotten since the training: this is what is left of its snapshot {info.snapshot_hash}"
        )
    if snapshot.train_rows > limit:
        notes.append(f"TF-IDF + LR learned from {limit:,} of {snapshot.train_rows:,} training rows")
    if sources is None:
        notes.append("no slice by source: a snapshot does not hold it, and no database was asked")
    return notes


def _missing(beside: Mapping[str, Floats]) -> tuple[str, ...]:
    if TFIDF in beside:
        return ()
    return ("no bag of words stands beside it: the training side has one class alone, or no word that two rows share",)
