"""What trainings are tried on: a tiny encoder, settings for it, and a snapshot whose tone is in one word."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import SENTIMENTS, Example, Sentiment, Side, TruthSource
from restar_lib.settings import Settings
from restar_lib.settings import load as load_settings
from restar_lib.training.train import train
from restar_lib.training.trained_model import TrainedModel
from tests.tiny_encoder import make_tiny_encoder

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
TONES = {
    Sentiment.NEGATIVE: (1, ["broken", "awful", "useless", "refund"]),
    Sentiment.NEUTRAL: (3, ["okay", "average", "decent", "ordinary"]),
    Sentiment.POSITIVE: (5, ["great", "lovely", "perfect", "sturdy"]),
}
THINGS = ["lamp", "chair", "kettle", "rope", "drill", "towel", "radio", "shovel"]
Trained = tuple[TrainedModel, list[str]]
FILLERS = ["the", "is", "and", "it", "was", "very", "thing"]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights and a vocabulary of some words, in a local folder."""
    words = [*FILLERS, *THINGS, *(word for _, tone in TONES.values() for word in tone)]
    return make_tiny_encoder(tmp_path_factory.mktemp("encoder"), words)


@pytest.fixture(scope="session")
def settings(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The smoke profile with that encoder."""
    home = tmp_path_factory.mktemp("home")
    smoke = load_settings(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(home)}).settings
    return with_training(smoke, encoder=str(encoder), max_tokens=32, epochs=2, batch_size=8, learning_rate=1e-3)


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Reviews whose tone is in one word, as a frozen snapshot."""
    rng = np.random.default_rng(2)
    rows = [example(number, rng) for number in range(420)]
    sides = {Side.TRAIN: rows[:240], Side.VALIDATION: rows[240:320], Side.TEST: rows[320:]}
    return load(write_folder(tmp_path_factory.mktemp("snapshots"), sides, now=NOON))


def example(number: int, rng: np.random.Generator) -> Example:
    """One review; two in three are positive."""
    sentiment = SENTIMENTS[int(rng.choice(3, p=[0.2, 0.15, 0.65]))]
    rating, tone = TONES[sentiment]
    words = [str(rng.choice(FILLERS)) for _ in range(6)]
    return Example(
        review_id=f"r{number}",
        text=f"{words[0]} {rng.choice(THINGS)} {' '.join(words)} {rng.choice(tone)} number {number}",
        truth=sentiment,
        truth_source=TruthSource.STARS,
        weight=1.0,
        rating=rating,
        product_category="Home",
        reviewed_at=NOON + timedelta(hours=number),
    )


def with_training(settings: Settings, **changes: object) -> Settings:
    """The settings with other training keys."""
    return settings.model_copy(update={"training": settings.training.model_copy(update=changes)})


def trained(snapshot: Snapshot, settings: Settings, out: Path, **options: Any) -> Trained:
    """A trained model and the lines that the person who waited has seen."""
    lines: list[str] = []
    return train(snapshot, settings, out=out, progress=lines.append, **options), lines
