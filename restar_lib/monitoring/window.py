"""The newest reviews that the champion has not learned from, with what it says about them.

Mostly that is stored: scoring has read them. A champion that came into service a moment ago has read nothing yet
(scoring reads nothing twice), and would be watched by nobody until it has; so where its own predictions are too few,
it reads the newest reviews here. These answers are not stored. It compares nothing. Called by `monitoring.drift`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine

from restar_lib.dataset.snapshot_folder import read_side
from restar_lib.domain import Side
from restar_lib.errors import SnapshotError
from restar_lib.ingest.reviews import StoredReview, newest_reviews
from restar_lib.monitoring.features import Observation
from restar_lib.scoring.engine import InferenceEngine, ModelInfo
from restar_lib.scoring.predictions import Window, newest_window
from restar_lib.settings import Settings

log = logging.getLogger(__name__)


def newest_unlearned(engine: Engine, settings: Settings, folder: Path) -> Window:
    """At most `monitoring.window_rows` reviews, newest first, with the answers of the model in `folder`.

    Fewer than `monitoring.min_rows` only where there are no more; those are not worth reading, and come unread.
    """
    limits, learned = settings.monitoring, _learned_from(settings, folder)
    with engine.connect() as connection:
        stored = newest_window(connection, model_version=folder.name, without=learned, rows=limits.window_rows)
        if stored.rows >= limits.min_rows:
            return stored
        newest = newest_reviews(connection, limit=limits.window_rows + len(learned))
    unlearned = [review for review in newest if review.review_id not in learned][: limits.window_rows]
    return _read(unlearned, settings, folder) if len(unlearned) >= limits.min_rows else stored


def _learned_from(settings: Settings, folder: Path) -> frozenset[str]:
    """The reviews of the snapshot that the model in `folder` comes from: it is surer there than anywhere else."""
    snapshot = settings.snapshots_dir / ModelInfo.read(folder).snapshot_hash
    try:
        return frozenset(row.review_id for side in Side for row in read_side(snapshot, side))
    except SnapshotError as error:
        log.warning("cannot leave out the reviews that %s learned from: %s", folder.name, error)
        return frozenset()


def _read(reviews: Sequence[StoredReview], settings: Settings, folder: Path) -> Window:
    started = time.monotonic()
    model = InferenceEngine.load(folder, threads=settings.scoring.threads)
    answers = model.predict([review.text for review in reviews], batch_size=settings.scoring.batch_size)
    log.info(
        "%s has scored too few reviews since its release: read the newest %s that it has not learned from in %.0f s",
        folder.name,
        f"{len(reviews):,}",
        time.monotonic() - started,
    )
    return Window(
        observations=tuple(
            Observation(
                text=review.text,
                product_category=review.product_category,
                rating=review.rating,
                predicted=sentiment,
                confidence=float(confidence),
            )
            for review, sentiment, confidence in zip(reviews, answers.sentiments, answers.confidence, strict=True)
        ),
        start=reviews[-1].reviewed_at,
        end=reviews[0].reviewed_at,
    )
