"""Reviews, predictions and a champion as the watch finds them, written straight into the tables.

Texts are drawn from a seed, so that a window can be like the champion's reference or unlike it. The champion is the
tiny model with a reference of our own; nothing here scores anything.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, insert

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.reference import Observation, Reference, columns_of, vocabulary_of, write_reference
from restar_lib.artifacts.release_log import ANY, ChampionChange, append
from restar_lib.domain import Outcome, ReleaseKind, Sentiment, Side
from restar_lib.settings import Settings
from restar_lib.store.tables import IngestRun, PredictionRow, ReviewRow
from tests.tiny_model import make_tiny_model

WORDS = [
    "the",
    "kettle",
    "is",
    "very",
    "good",
    "and",
    "works",
    "well",
    "every",
    "day",
    "my",
    "family",
    "likes",
    "it",
    "a",
    "lot",
    "for",
    "tea",
    "so",
    "far",
]
STRANGE = ["frobnicator", "quuxed", "gizmo", "plugh", "xyzzy", "wibble"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of reviews to draw from."""

    categories: tuple[str, ...] = ("Kitchen", "Garden")
    strange: float = 0.02
    """Share of words that the training split did not have."""
    negative: float = 0.15
    """Share of negative predictions; the others are positive."""
    confidence: float = 0.92
    """Mean confidence."""


USUAL = Kind()
OTHER = Kind(categories=("Kitchen", "Toys"), strange=0.5, negative=0.6, confidence=0.7)
BASE = datetime.fromisoformat("2026-02-01T00:00:00+00:00")


def draw(rows: int, *, kind: Kind, seed: int) -> list[Observation]:
    """Some reviews with predictions; the same seed gives the same ones."""
    chance = random.Random(seed)
    return [_observation(chance, kind) for _ in range(rows)]


def release_champion(engine: Engine, settings: Settings, *, now: datetime, kind: Kind = USUAL) -> str:
    """Seal a model whose reference is `kind` and make it the champion; returns its version."""
    work = make_tiny_model(sealed_folder.new_work_folder(settings.models_dir))
    vocabulary = vocabulary_of([" ".join(WORDS)])
    columns = columns_of(draw(800, kind=kind, seed=1), frozenset(vocabulary))
    write_reference(work, Reference(columns=columns, vocabulary=vocabulary))
    version = sealed_folder.seal(work, settings.models_dir)
    change = ChampionChange(
        model_version=version,
        kind=ReleaseKind.RELEASE,
        provisional=False,
        released_by="test",
        reason="a test",
        released_at=now,
    )
    append(engine, change, expected_previous=ANY)
    return version


def store_scored(
    engine: Engine,
    observations: list[Observation],
    *,
    version: str,
    prefix: str = "r",
    since: datetime = BASE,
    scored_at: datetime = BASE,
    ingested_at: datetime = BASE,
) -> list[str]:
    """Write reviews, one an hour from `since` on, with predictions by `version`; returns their ids, oldest first."""
    ids = [f"{prefix}{number:05d}" for number in range(len(observations))]
    with engine.begin() as connection:
        run = connection.execute(
            insert(IngestRun)
            .values(source="test", run_key="test", rows_read=len(ids), **{str(Outcome.NEW): len(ids)})
            .returning(IngestRun.ingest_run_id)
        ).scalar_one()
        connection.execute(
            insert(ReviewRow),
            [
                _review(it, name, run, since + timedelta(hours=n)) | {"ingested_at": ingested_at}
                for n, (name, it) in enumerate(zip(ids, observations, strict=False))
            ],
        )
        connection.execute(
            insert(PredictionRow),
            [_prediction(it, name, version, scored_at) for name, it in zip(ids, observations, strict=True)],
        )
    return ids


def _observation(chance: random.Random, kind: Kind) -> Observation:
    words = [chance.choice(STRANGE if chance.random() < kind.strange else WORDS) for _ in range(chance.randint(12, 30))]
    negative = chance.random() < kind.negative
    return Observation(
        text=" ".join(words),
        product_category=chance.choice(kind.categories),
        rating=chance.choice((1, 2) if negative else (4, 5)),
        predicted=Sentiment.NEGATIVE if negative else Sentiment.POSITIVE,
        confidence=min(1.0, max(0.4, chance.gauss(kind.confidence, 0.03))),
    )


def _review(it: Observation, name: str, run: int, reviewed_at: datetime) -> dict[str, object]:
    return {
        "review_id": name,
        "source": "test",
        "text": it.text,
        "rating": it.rating,
        "product_category": it.product_category,
        "reviewed_at": reviewed_at,
        "words": len(it.text.split()),
        "text_hash": name,
        "side": Side.TRAIN,
        "ingest_run_id": run,
    }


def _prediction(it: Observation, name: str, version: str, scored_at: datetime) -> dict[str, object]:
    rest = 1 - it.confidence
    return {
        "review_id": name,
        "model_version": version,
        "p_negative": it.confidence if it.predicted is Sentiment.NEGATIVE else rest,
        "p_neutral": 0.0,
        "p_positive": rest if it.predicted is Sentiment.NEGATIVE else it.confidence,
        "sentiment": it.predicted,
        "confidence": it.confidence,
        "abstained": it.confidence < 0.65,
        "scored_at": scored_at,
    }
