"""The result of a training: a model folder that is complete but not sealed, and what is known about it so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from restar_lib.evaluation.metrics import Metrics
from restar_lib.inference.engine import ModelInfo
from restar_lib.label_quality.doubted_labels import DoubtedLabels


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model folder that is complete but not sealed, and what is known about it so far."""

    folder: Path
    info: ModelInfo
    train_rows: int
    validation: Metrics
    """On the validation rows, which also chose the temperature: slightly optimistic; the gate uses the test rows."""
    validation_against_stars: Metrics
    """The same predictions with the stars alone as truth."""
    doubted: DoubtedLabels
    """Which stars of the training rows it doubts; no part of the folder, for it names reviews."""
    seconds: Mapping[str, float]
    """How long each step took."""
