"""From a snapshot to a complete model folder: train, calibrate, export, describe.

Fills a work folder with everything that an artifact holds; sealing, naming, judging and logging it are done elsewhere
(`artifacts.sealed_folder`, the gate, `tracking.mlflow_log`). The test rows are neither trained nor calibrated on: they
only appear, with out-of-sample predictions, among the rows that drift is later compared with.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import SENTIMENTS, Example, Side, weak_label
from restar_lib.errors import SnapshotError
from restar_lib.evaluation.metrics import Metrics, evaluate
from restar_lib.inference.engine import TOKENIZER, InferenceEngine, ModelInfo, record_probe, softmax
from restar_lib.label_quality.doubted_labels import DoubtedLabels
from restar_lib.settings import Settings, TrainingSettings
from restar_lib.stopwatch import Stopwatch
from restar_lib.training import model_description
from restar_lib.training.encoder import find_encoder
from restar_lib.training.ensemble import average_weights, save_own_head
from restar_lib.training.export import export_onnx
from restar_lib.training.imbalance import refuse_missing_classes
from restar_lib.training.learner import Learner, TrainingOutcome
from restar_lib.training.network import Progress, SentimentModel, load_model, load_tokenizer, save_weights
from restar_lib.training.parents import (
    champion_training_rows,
    classes_of_training,
    ensemble_members,
    load_champion_weights,
    starts_from_champion,
)
from restar_lib.training.trained_model import TrainedModel

logger = logging.getLogger(__name__)

Sides = Mapping[Side, Sequence[Example]]


def train(
    snapshot: Snapshot,
    settings: Settings,
    *,
    out: Path,
    champion_folder: Path | None = None,
    checkpoints: Path | None = None,
    withdrawn: Collection[str] = (),
    progress: Progress = logger.info,
) -> TrainedModel:
    """Train a challenger on `snapshot` into the folder `out`, which is made.

    Starts from `champion_folder` where there is one and `training.start_from` says so. What a long training has
    learned lies in `checkpoints`, where the same training goes on after a kill; the caller owns it. An ensemble has no
    member that is among the versions `withdrawn` from service. Raises `SnapshotError` where there are too few rows, or
    none that is negative, or positive.
    """
    config, watch = settings.training, Stopwatch()
    rows = {side: snapshot.examples(side) for side in Side}
    _refuse_unusable(rows[Side.TRAIN], config)
    encoder = find_encoder(config.encoder)
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)
    classes = classes_of_training(rows[Side.TRAIN], settings, champion_folder)
    if len(classes.learned) < len(SENTIMENTS):
        progress(f"no training row is neutral: it learns {' and '.join(classes.learned)} alone")
    older = ensemble_members(model, settings, snapshot, encoder=encoder, classes=classes.learned, withdrawn=withdrawn)
    built_on = [ModelInfo.read(folder) for folder in older]
    if champion_folder is not None and starts_from_champion(settings):
        built_on.append(load_champion_weights(model, champion_folder, encoder=encoder))
        progress(f"starts from the champion {champion_folder.name}")
    watch.lap("load")

    unjudged = _unjudged(settings, champion_folder)
    learner = Learner(model, tokenizer, config, progress=progress, unjudged=unjudged)
    if config.mode == "increment":
        seen = champion_training_rows(champion_folder, settings, snapshot)
        learner.update_champion_head(rows[Side.TRAIN], seen=seen, learned=built_on[-1].learned)
        learned = TrainingOutcome(doubted=DoubtedLabels(unjudged=unjudged))
    else:
        with _checkpoints(checkpoints) as kept:
            learned = learner.learn(rows, checkpoints=kept)
    watch.lap("train")

    out.mkdir(parents=True, exist_ok=True)
    logits, temperature = learner.calibrate(rows[Side.VALIDATION])
    if older:
        _join_ensemble(model, older, out, temperature=temperature, progress=progress)
        logits, temperature = learner.calibrate(rows[Side.VALIDATION])
    watch.lap("calibrate")

    probabilities = softmax(logits / temperature)
    stars = model_description.class_stars(rows[Side.TRAIN], rows[Side.VALIDATION], probabilities)
    simulated = settings.simulated_notice is not None or any(parent.simulated for parent in built_on)
    info = model_description.describe(
        snapshot,
        settings,
        encoder,
        temperature=temperature,
        class_stars=stars,
        simulated=simulated,
        classes=classes,
    )
    _write_network(out, model, tokenizer, info, progress=progress)
    watch.lap("export")

    model_description.write_drift_reference(out, rows, probabilities, engine=InferenceEngine.load(out))
    watch.lap("reference")

    trained = _trained(out, info, rows, probabilities, doubted=learned.doubted, seconds=watch.laps)
    model_description.write_metrics(out, trained)
    model_description.write_history(out, learned.history)
    progress(model_description.summary(trained))
    return trained


def _join_ensemble(
    model: SentimentModel, older: Sequence[Path], out: Path, *, temperature: float, progress: Progress
) -> None:
    """Average the network with older versions of its kind."""
    save_own_head(model, out, temperature=temperature)
    kind = average_weights(older, model, own_temperature=temperature)
    progress(f"averaged with {', '.join(folder.name for folder in older)} ({kind})")


@contextmanager
def _checkpoints(folder: Path | None) -> Iterator[Path]:
    """The folder from which a killed training resumes; without one, a temporary folder."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="restar-checkpoints-") as passing:
        yield Path(passing)


def _write_network(
    out: Path, model: SentimentModel, tokenizer: PreTrainedTokenizerBase, info: ModelInfo, *, progress: Progress
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    save_weights(model, out)
    tokenizer.backend_tokenizer.save(str(out / TOKENIZER))
    info.write(out)
    gap = export_onnx(model, tokenizer, out, texts=model_description.PROBE_TEXTS)
    record_probe(out, model_description.PROBE_TEXTS)
    progress(f"exported to ONNX: largest difference of a logit from torch {gap:.1e}")


def _trained(
    out: Path,
    info: ModelInfo,
    rows: Sides,
    probabilities: NDArray[np.float64],
    *,
    doubted: DoubtedLabels,
    seconds: Mapping[str, float],
) -> TrainedModel:
    validation = rows[Side.VALIDATION]
    stars = np.array([weak_label(row.rating).position for row in validation if row.rating], dtype=np.int64)
    rated = np.array([row.rating is not None for row in validation])
    return TrainedModel(
        folder=out,
        info=info,
        train_rows=len(rows[Side.TRAIN]),
        validation=_measured(info, truth_of(validation), probabilities),
        validation_against_stars=_measured(info, stars, probabilities[rated]),
        doubted=doubted,
        seconds=seconds,
    )


def _measured(info: ModelInfo, truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Metrics:
    return evaluate(truth, probabilities, abstain_below=info.abstain_below, rated=info.rated)


def _unjudged(settings: Settings, champion_folder: Path | None) -> str:
    """Why a training does not judge stars; empty where it does."""
    if settings.selection.doubted_tasks == 0:
        return "selection.doubted_tasks is 0"
    if champion_folder is not None and starts_from_champion(settings):
        return "the training began at the champion's weights, which have learned from these stars and would excuse them"
    return ""


def _refuse_unusable(train: Sequence[Example], config: TrainingSettings) -> None:
    if len(train) < config.min_train_rows:
        raise SnapshotError(
            f"{len(train)} training rows, training.min_train_rows is {config.min_train_rows}: ingest more reviews first"
        )
    refuse_missing_classes(truth_of(train))
