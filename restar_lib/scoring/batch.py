"""Batch scoring: the champion reads every new review once, and the doubtful ones go to the labeling queue.

New are originals that no model has read yet, from ingest runs that began after the first training set was frozen (what
came before is history: it trained the first model and would flood the queue) and within the time for which predictions
are kept (what housekeeping has deleted must not look new again). So a new champion reads what arrives from then on,
and nothing twice. Chunk by chunk, predictions and tasks in one transaction: killed anywhere, run again or twice at
once, the tables end the same. It trains nothing and chooses no champion; who deserves a person is `selection`'s.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from restar_lib import settings as config
from restar_lib.dataset.snapshot import first_frozen_at
from restar_lib.domain import Reason
from restar_lib.labeling.queue import enqueue
from restar_lib.registry import artifact
from restar_lib.scoring.engine import InferenceEngine, Predictions
from restar_lib.selection import Selected
from restar_lib.selection import select as select_for_people
from restar_lib.store.tables import IngestRun, PredictionRow, ReviewRow

logger = logging.getLogger(__name__)

Texts = dict[str, str]
"""Review id -> text, in the order of ids."""


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

    scored: int = 0
    abstained: int = 0
    uncertain: int = 0
    audits: int = 0


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
    artifact.verify(model_folder)
    model = InferenceEngine.load(model_folder, threads=settings.scoring.threads)
    model.probe()
    with engine.connect() as connection:
        since = _since(connection, settings, now=now)
        total = min(_count_new(connection, since), settings.scoring.max_rows)
    done: list[_Chunk] = []
    after, read = "", 0
    while read < total:
        with engine.connect() as connection:
            limit = min(settings.scoring.chunk_rows, total - read)
            texts = _next_new(connection, since, after=after, limit=limit)
        if not texts:  # somebody else is scoring as well
            break
        after, read = list(texts)[-1], read + len(texts)  # the last in the database's own order
        # Each chunk may fill its share of the run's tasks: ids are hashes, so a chunk is a random sample of the run.
        budget = round(settings.selection.max_tasks * read / total) - sum(chunk.uncertain for chunk in done)
        done.append(_score_chunk(engine, model, texts, settings, budget=budget, now=now))
        progress(f"{model.version} has read {read:,} of {total:,} new reviews")
    return _summed(model.version, done, seconds=time.monotonic() - began)


def _score_chunk(
    engine: Engine, model: InferenceEngine, texts: Texts, settings: config.Settings, *, budget: int, now: datetime
) -> _Chunk:
    predictions = model.predict(list(texts.values()), batch_size=settings.scoring.batch_size)
    rows = _rows(model, list(texts), predictions, now=now)
    with engine.begin() as connection:
        # Only what this run has inserted is its to queue: the rest is in another run's transaction.
        inserted = _insert(connection, rows)
        fresh = [position for position, review_id in enumerate(texts) if review_id in inserted]
        selected = select_for_people(
            [rows[position]["review_id"] for position in fresh],
            predictions.confidence[fresh],
            predictions.probabilities[fresh],
            config=settings.selection.model_copy(update={"max_tasks": budget}),
            abstain_below=model.info.abstain_below,
        )
        enqueue(connection, selected, model_version=model.version)
    return _counted([rows[position] for position in fresh], selected)


def _rows(
    model: InferenceEngine, review_ids: Sequence[str], predictions: Predictions, *, now: datetime
) -> list[dict[str, Any]]:
    columns = zip(
        review_ids, predictions.probabilities.tolist(), predictions.sentiments, predictions.confidence, strict=True
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
            "abstained": bool(confidence < model.info.abstain_below),
            "scored_at": now,
        }
        for review_id, (negative, neutral, positive), sentiment, confidence in columns
    ]


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """The ids of the predictions that were not there before."""
    statement = insert(PredictionRow).on_conflict_do_nothing().returning(PredictionRow.review_id)
    return set(connection.execute(statement, rows).scalars())


def _since(connection: Connection, settings: config.Settings, *, now: datetime) -> datetime:
    """Reviews of ingest runs that began later are new."""
    kept_since = now - timedelta(days=settings.housekeeping.prediction_days)
    frozen_at = first_frozen_at(connection)
    return kept_since if frozen_at is None else max(frozen_at, kept_since)


def _count_new(connection: Connection, since: datetime) -> int:
    return connection.execute(select(func.count()).select_from(ReviewRow).where(*_new(since))).scalar_one()


def _next_new(connection: Connection, since: datetime, *, after: str, limit: int) -> Texts:
    statement = (
        select(ReviewRow.review_id, ReviewRow.text)
        .where(*_new(since), ReviewRow.review_id > after)
        .order_by(ReviewRow.review_id)
        .limit(limit)
    )
    return {row.review_id: row.text for row in connection.execute(statement)}


def _new(since: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        ReviewRow.duplicate_of.is_(None),
        ReviewRow.ingest_run_id.in_(select(IngestRun.ingest_run_id).where(IngestRun.started_at > since)),
        ~exists().where(PredictionRow.review_id == ReviewRow.review_id),
    )


def _counted(rows: Sequence[dict[str, Any]], selected: Sequence[Selected]) -> _Chunk:
    uncertain = sum(Reason.UNCERTAIN in one.reasons for one in selected)
    return _Chunk(
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
