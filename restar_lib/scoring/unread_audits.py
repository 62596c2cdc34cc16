"""The champion reads the audits that an earlier version has read: its figures begin with its release.

A new champion reads what arrives from then on, and nothing twice. Audits of reviews that arrived after its training set
was frozen and before its release have predictions of the earlier version alone, so they say nothing about the new one,
though it has learned from none of them. They are few; this stores its predictions for them, and queues nothing. Called
by `monitoring.watch` before it estimates. Killed and run again, or two at once, the table ends the same.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, exists, select

from restar_lib import settings as config
from restar_lib.artifacts.model_loading import load_verified
from restar_lib.domain import Review
from restar_lib.inference.abstaining import abstain_reasons
from restar_lib.ingest.stored_reviews import REVIEW_COLUMNS, read_reviews
from restar_lib.scoring.batch import insert_predictions, prediction_rows
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import LabelTask, PredictionRow, ReviewRow

logger = logging.getLogger(__name__)


def score_unread_audits(
    engine: Engine, settings: config.Settings, *, model_folder: Path, arrived_after: datetime, now: datetime
) -> int:
    """Let the model in `model_folder` read the audits of reviews that arrived after `arrived_after`; returns how many.

    At most `monitoring.label_window`, the newest first, answered or not. The model is loaded only where there are any.
    Raises `ArtifactError` or `ProbeFailed` before the first row is written.
    """
    limit = settings.monitoring.label_window
    with engine.connect() as connection:
        reviews = _unread(connection, version=model_folder.name, arrived_after=arrived_after, limit=limit)
    if not reviews:
        return 0
    model = load_verified(model_folder, threads=settings.scoring.threads)
    texts = [review.model_text(titles=model.info.reads_titles) for review in reviews]
    predictions = model.predict(texts, batch_size=settings.scoring.batch_size)
    reasons = abstain_reasons(model, texts, predictions)
    rows = prediction_rows(model, [review.review_id for review in reviews], predictions, reasons, now=now)
    with engine.begin() as connection:
        # A review may have been erased while the model read.
        stored_yet = select(ReviewRow.review_id).where(one_of(ReviewRow.review_id, [row["review_id"] for row in rows]))
        kept = set(connection.scalars(stored_yet.with_for_update(read=True, key_share=True)))
        stored = insert_predictions(connection, [row for row in rows if row["review_id"] in kept])
    logger.info("%s has read %s audits that were drawn before its release", model.version, f"{len(stored):,}")
    return len(stored)


def _unread(connection: Connection, *, version: str, arrived_after: datetime, limit: int) -> list[Review]:
    read = exists().where(PredictionRow.review_id == ReviewRow.review_id, PredictionRow.model_version == version)
    audits = (
        select(*REVIEW_COLUMNS)
        .join(LabelTask, LabelTask.review_id == ReviewRow.review_id)
        .where(LabelTask.audit_rate > 0, ReviewRow.ingested_at > arrived_after, ~read)
    )
    return read_reviews(connection, audits.order_by(LabelTask.created_at.desc(), LabelTask.task_id.desc()).limit(limit))
