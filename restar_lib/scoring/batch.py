"""Batch scoring: the champion reads every new review once, and the doubtful ones go to the labeling queue.

`scoring.pending` says what is new: a new champion reads what arrives from then on, and nothing twice. The predictions
and tasks of a chunk are one transaction: killed anywhere, run again, or two runs at once, the tables end the same.
While the model reads one chunk, the next one is fetched and the previous one is stored. It trains nothing and chooses
no champion; `selection` chooses the reviews for people. Called by the DAG `score_reviews` and by `restar score`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql import insert

from restar_lib import settings as config
from restar_lib.artifacts.model_loading import load_verified
from restar_lib.domain import AbstainReason, Reason, Review
from restar_lib.inference.abstaining import abstain_reasons
from restar_lib.inference.engine import InferenceEngine, Predictions
from restar_lib.labeling.queue import enqueue
from restar_lib.scoring import pending
from restar_lib.selection import Selected, is_asked_in
from restar_lib.selection import select as select_for_people
from restar_lib.store.tables import PredictionRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ScoreCounts:
    """What one scoring run did."""

    model_version: str
    scored: int
    abstained: int
    queued_uncertain: int
    """Tasks that are there because the model is unsure (some are audits as well)."""
    queued_audit: int
    """Tasks that the random draw alone put there."""
    seconds: float

    def __str__(self) -> str:
        """One line for the log."""
        return (
            f"{self.model_version} scored {self.scored:,} reviews in {self.seconds:.0f} s"
            f" ({self.scored / max(self.seconds, 1e-9):.0f}/s): {100 * self.abstained / max(self.scored, 1):.1f} %"
            f" abstained, {self.queued_uncertain + self.queued_audit:,} queued ({self.queued_audit:,} as audits)"
        )


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """What one transaction did."""

    read: int
    scored: int
    """Fewer than were read where another run scores as well."""
    abstained: int
    uncertain: int
    audits: int


def score_new(
    engine: Engine,
    settings: config.Settings,
    *,
    model_folder: Path,
    now: datetime,
    progress: Callable[[str], None] = logger.info,
) -> ScoreCounts:
    """Score what is new with the model in `model_folder`; `now` is stored with each prediction.

    Raises `ArtifactError` or `ProbeFailed` before the first row is written.
    """
    began = time.monotonic()
    model = load_verified(model_folder, threads=settings.scoring.threads)
    runs = pending.runs(engine, settings, now=now)
    total = min(pending.count(engine, runs), settings.scoring.max_rows)
    done: list[_Chunk] = []
    for chunk in _scored(engine, model, settings, runs=runs, total=total, now=now):
        done.append(chunk)
        progress(f"{model.version} has read {sum(one.read for one in done):,} of {total:,} new reviews")
    pending.close_runs(engine, runs, now=now)
    return _summed(model.version, done, seconds=time.monotonic() - began)


def _scored(
    engine: Engine, model: InferenceEngine, settings: config.Settings, *, runs: pending.Runs, total: int, now: datetime
) -> Iterator[_Chunk]:
    """Each chunk once it is stored. The database works beside the model, one thing at a time and in order."""
    with ThreadPoolExecutor(1, thread_name_prefix="database") as database:

        def fetch(after: pending.ReadPosition, left: int) -> Future[pending.UnreadReviews]:
            limit = min(settings.scoring.chunk_rows, left)
            return database.submit(pending.following, engine, runs, after=after, limit=limit)

        coming = fetch(pending.START, total)
        storing: Future[_Chunk] | None = None
        share = _Share(engine, settings, runs=runs)
        read = 0
        while read < total and (reviews := coming.result().reviews):  # none left: another run scores as well
            read += len(reviews)
            coming = fetch(coming.result().end, total - read)
            texts = [review.model_text(titles=model.info.reads_titles) for review in reviews]
            predictions = model.predict(texts, batch_size=settings.scoring.batch_size)
            reasons = abstain_reasons(model, texts, predictions)
            if storing is not None:
                share.note(storing.result())
                yield storing.result()
            budget = share.of_next(len(reviews))
            storing = database.submit(
                _store, engine, model, reviews, predictions, reasons, settings=settings, budget=budget, now=now
            )
        if storing is not None:
            yield storing.result()


class _Share:
    """How many uncertain tasks the next chunk may open: its share of `selection.max_tasks`.

    The ids in a chunk are hashes, so it is a random sample. Counted over all tries: a run that was killed and begins
    again, or a second one beside it, opens no more tasks than one undisturbed run.
    """

    def __init__(self, engine: Engine, settings: config.Settings, *, runs: pending.Runs) -> None:
        self._engine, self._runs = engine, runs
        self._tasks = settings.selection.max_tasks
        self._before = pending.scoring_state(engine, runs)
        # Of all reviews, read or not: a second run that begins meanwhile has the same share.
        self._total = max(1, min(self._before.reviews, settings.scoring.max_rows))
        self._read = self._queued = 0

    def note(self, stored: _Chunk) -> None:
        """A chunk was stored."""
        self._read, self._queued = self._read + stored.read, self._queued + stored.uncertain
        if stored.scored < stored.read:  # another run scores as well: what it has queued counts
            self._before = pending.scoring_state(self._engine, self._runs)
            self._read = self._queued = 0

    def of_next(self, reviews: int) -> int:
        """The share of a chunk of so many reviews."""
        read = self._before.read + self._read + reviews
        return max(0, round(self._tasks * read / self._total) - self._before.queued_uncertain - self._queued)


def _store(
    engine: Engine,
    model: InferenceEngine,
    reviews: Sequence[Review],
    predictions: Predictions,
    reasons: Sequence[AbstainReason | None],
    *,
    settings: config.Settings,
    budget: int,
    now: datetime,
) -> _Chunk:
    rows = prediction_rows(model, [review.review_id for review in reviews], predictions, reasons, now=now)
    with engine.begin() as connection:
        # Only what this run has inserted is its to queue: the rest is in another run's transaction.
        inserted = insert_predictions(connection, rows)
        fresh = [position for position, row in enumerate(rows) if row["review_id"] in inserted]
        languages = settings.selection.languages or model.info.languages
        askable = [position for position in fresh if is_asked_in(reviews[position].language, languages)]
        selected = select_for_people(
            [rows[position]["review_id"] for position in askable],
            predictions.confidence[askable],
            predictions.probabilities[askable],
            config=settings.selection.model_copy(update={"max_tasks": budget}),
            abstain_below=model.info.abstain_below,
        )
        enqueue(connection, selected, model_version=model.version)
    return _counted([rows[position] for position in fresh], selected, read=len(reviews))


def prediction_rows(
    model: InferenceEngine,
    review_ids: Sequence[str],
    predictions: Predictions,
    reasons: Sequence[AbstainReason | None],
    *,
    now: datetime,
) -> list[dict[str, Any]]:
    """The rows of table `prediction` that say what the model answered, and why it abstained (`reasons`)."""
    columns = zip(
        review_ids,
        predictions.probabilities.tolist(),
        predictions.sentiments,
        predictions.confidence,
        reasons,
        strict=True,
    )
    return [
        {
            "review_id": review_id,
            "model_version": model.version,
            "p_negative": negative,
            "p_neutral": neutral,
            "p_positive": positive,
            "sentiment": sentiment,
            "confidence": float(confidence),
            "abstained": reason is not None,
            "abstain_reason": reason,
            "scored_at": now,
        }
        for review_id, (negative, neutral, positive), sentiment, confidence, reason in columns
    ]


def insert_predictions(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Store the predictions that are not there yet; returns the ids of their reviews."""
    if not rows:
        return set()
    statement = insert(PredictionRow).on_conflict_do_nothing().returning(PredictionRow.review_id)
    return set(connection.execute(statement, rows).scalars())


def _counted(rows: Sequence[dict[str, Any]], selected: Sequence[Selected], *, read: int) -> _Chunk:
    uncertain = sum(Reason.UNCERTAIN in one.reasons for one in selected)
    return _Chunk(
        read=read,
        scored=len(rows),
        abstained=sum(row["abstained"] for row in rows),
        uncertain=uncertain,
        audits=len(selected) - uncertain,
    )


def _summed(model_version: str, done: Sequence[_Chunk], *, seconds: float) -> ScoreCounts:
    counts = ScoreCounts(
        model_version=model_version,
        scored=sum(chunk.scored for chunk in done),
        abstained=sum(chunk.abstained for chunk in done),
        queued_uncertain=sum(chunk.uncertain for chunk in done),
        queued_audit=sum(chunk.audits for chunk in done),
        seconds=round(seconds, 1),
    )
    logger.info("%s", counts)
    return counts
