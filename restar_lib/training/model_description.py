"""The files of a model folder beside the network: its description, the drift reference, the metrics, the probe's texts.

Written by `train` before the folder is sealed; read by the engine, by the drift watch and by people. Decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.artifacts.reference import Observation, Reference, columns_of, vocabulary_of, write_reference
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import SENTIMENTS, Example, Sentiment, Side
from restar_lib.evaluation.absent_classes import absent_in_words
from restar_lib.evaluation.ordinal import stars_of_classes
from restar_lib.inference.engine import InferenceEngine, ModelInfo
from restar_lib.settings import Settings
from restar_lib.training.encoder import Encoder
from restar_lib.training.parents import TrainedClasses
from restar_lib.training.trained_model import TrainedModel

METRICS, HISTORY = "metrics.json", "history.json"
REFERENCE_ROWS: Final = 1000
"""Rows that later windows are compared with; validation rows first, they are predicted anyway."""
USUAL_STARS: Final = (1.5, 3.0, 4.6)
"""Mean stars of a class without a rated training row (its labels all came from people, on feedback)."""
PROBE_TEXTS: Final = (
    "Works exactly as described and arrived a day early. I would buy it again without thinking twice.",
    "Stopped working after two weeks and nobody answers my messages. A complete waste of money.",
    "It is fine for the price, nothing special, does what it should most of the time.",
    "I wanted to love this, the colour is beautiful, but the handle broke the first time I used it.",
    "Not bad at all! I expected much less from something this cheap.",
    "The courier left the parcel in the rain, still the product itself is excellent and well made.",
    "Three of the five bulbs were dead on arrival, the other two are very bright and look great. " * 12,
    "ok",
)
"""Written for this project: short, long, mixed, negated. One is longer than most windows, so that truncation is
probed."""


def describe(
    snapshot: Snapshot,
    settings: Settings,
    encoder: Encoder,
    *,
    temperature: float,
    class_stars: Sequence[float],
    simulated: bool,
    classes: TrainedClasses,
) -> ModelInfo:
    """The content of `model.json`."""
    return ModelInfo(
        labels=tuple(sentiment.value for sentiment in SENTIMENTS),
        max_tokens=settings.training.max_tokens,
        temperature=temperature,
        abstain_below=settings.scoring.abstain_below,
        class_stars=tuple(class_stars),
        mode=settings.training.mode,
        encoder=encoder.name,
        encoder_sha256=encoder.sha256,
        snapshot_hash=snapshot.snapshot_hash,
        simulated=simulated,
        created_at=snapshot.frozen_at,
        long_texts=settings.training.long_texts,
        reads_titles=snapshot.titles,
        languages=settings.training.languages,
        learned=tuple(sentiment.value for sentiment in classes.learned),
        rated=tuple(sentiment.value for sentiment in classes.rated),
    )


def class_stars(
    train: Sequence[Example], validation: Sequence[Example], probabilities: NDArray[np.float64]
) -> tuple[float, ...]:
    """The stars of each class, [3], by which expected stars come nearest to those of the rated validation rows.

    Around the mean stars of each class in training. `probabilities` are those of the validation rows, [n, 3].
    """
    means = np.array([_mean_stars(train, sentiment) for sentiment in SENTIMENTS])
    rated = np.array([row.rating is not None for row in validation], dtype=np.bool_)
    stars = np.array([row.rating for row in validation if row.rating is not None], dtype=np.float64)
    return tuple(round(float(one), 4) for one in stars_of_classes(probabilities[rated], stars, means=means))


def write_drift_reference(
    folder: Path,
    rows: Mapping[Side, Sequence[Example]],
    validation_probabilities: NDArray[np.float64],
    *,
    engine: InferenceEngine,
) -> None:
    """Write `reference.json`: newest rows that the model has not learned from, with its predictions."""
    validation = rows[Side.VALIDATION][-REFERENCE_ROWS:]
    missing = REFERENCE_ROWS - len(validation)
    test = rows[Side.TEST][-missing:] if missing else ()
    of_test = engine.predict([row.text for row in test]).probabilities
    probabilities = np.concatenate([validation_probabilities[-REFERENCE_ROWS:], of_test])
    vocabulary = vocabulary_of(row.text for row in rows[Side.TRAIN])
    observations = (_observation(row, of_row) for row, of_row in zip([*validation, *test], probabilities, strict=True))
    columns = columns_of(observations, frozenset(vocabulary))
    write_reference(folder, Reference(columns=columns, vocabulary=vocabulary))


def write_metrics(folder: Path, trained: TrainedModel) -> None:
    """Write `metrics.json`; against the consensus of people (else stars) and against the stars alone.

    No duration is in it: the same training must give the same folder.
    """
    content = {
        "train_rows": trained.train_rows,
        "validation": trained.validation.to_dict(),
        "validation_against_stars": trained.validation_against_stars.to_dict(),
        "temperature": trained.info.temperature,
    }
    (folder / METRICS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_history(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write `history.json`: the curves of a training in steps; a head that was fitted in one go has none."""
    if history:
        (folder / HISTORY).write_text(json.dumps(list(history), indent=1) + "\n", encoding="utf-8")


def summary(trained: TrainedModel) -> str:
    """One line for the log."""
    found = trained.validation
    recalls = ", ".join(f"{one.sentiment} {one.recall:.2f}" for one in found.per_class if one.recall is not None)
    absent = f" ({absent_in_words(found.absent)})" if found.absent else ""
    simulated = " (simulated reviews)" if trained.info.simulated else ""
    return (
        f"trained on {trained.train_rows:,} reviews{simulated} in {sum(trained.seconds.values()):.0f} s:"
        f" {found.rows:,} validation rows: accuracy {found.accuracy:.3f} (majority {found.majority_accuracy:.3f}),"
        f" macro-F1 {found.macro_f1:.3f} (majority {found.majority_macro_f1:.3f}), recall {recalls}{absent};"
        f" calibration error {found.ece:.3f} at temperature {trained.info.temperature:.2f};"
        f" seconds: {', '.join(f'{step} {seconds:.0f}' for step, seconds in trained.seconds.items())}"
    )


def _mean_stars(rows: Sequence[Example], sentiment: Sentiment) -> float:
    of_class = [(row.rating, row.weight) for row in rows if row.truth == sentiment and row.rating is not None]
    if not of_class:
        return USUAL_STARS[sentiment.position]
    stars, weights = zip(*of_class, strict=True)
    return round(float(np.average(stars, weights=weights)), 4)


def _observation(row: Example, probabilities: NDArray[np.float64]) -> Observation:
    return Observation(
        text=row.text,
        product_category=row.product_category,
        rating=row.rating,
        predicted=SENTIMENTS[int(probabilities.argmax())],
        confidence=float(probabilities.max()),
    )
