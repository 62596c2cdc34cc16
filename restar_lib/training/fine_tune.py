"""The thorough modes: the whole network learns, or adapters in a frozen one (LoRA), by the Hugging Face Trainer.

It starts from a fitted head, because a random one would first destroy what the encoder knows (Kumar et al. 2022,
"Fine-Tuning can Distort Pretrained Features"). Early stopping on the macro-F1 of the validation rows, batches of like
length, half precision where the hardware computes in it; where the machine has several devices, each takes its part of
every batch (`together`), so the steps are the same on any machine.

What it has learned so far lies in a folder of checkpoints: a training that is killed goes on from there. It saves no
model (`train` does) and does not choose the rows or their weights (`imbalance` does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding, EvalPrediction, PreTrainedTokenizerBase, PrinterCallback, set_seed

from restar_lib.evaluation.metrics import confusion_matrix, macro_f1
from restar_lib.settings import Training
from restar_lib.training.callbacks import EarlyStopping, Reporter
from restar_lib.training.checkpoints import last_checkpoint
from restar_lib.training.imbalance import Plan
from restar_lib.training.lesson import History, Lesson
from restar_lib.training.model import Progress, SentimentModel, tokens_of
from restar_lib.training.together import learn_together, processes_for
from restar_lib.training.trainer import PlannedTrainer, trainer_arguments

LORA_DROPOUT: Final = 0.05
_LOGGED: Final = {"loss": "loss", "validation_macro_f1": "eval_macro_f1"}

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts with their classes, [n]."""

    texts: Sequence[str]
    truth: Integers


def fine_tune(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    train: Texts,
    plan: Plan,
    validation: Texts,
    config: Training,
    checkpoints: Path,
    progress: Progress,
    processes: int | None = None,
) -> History:
    """Train `model` on `train` by `plan`; the best state on `validation` stays in it. Goes on from `checkpoints`.

    By one process for each CUDA device, or by as many as `processes` says; each step learns from the same rows then.
    Raises `WorkLost` where one of several failed.
    """
    learned = Texts(texts=[train.texts[row] for row in plan.rows], truth=train.truth[plan.rows])
    lesson = Lesson(
        train=dataset_of(tokenizer, learned, plan.weights, config=config),
        rows=len(plan.rows),
        validation=dataset_of(tokenizer, validation, np.ones(len(validation.texts)), config=config),
        offset=plan.offset.tolist(),
        config=config,
        checkpoints=checkpoints,
        resume=last_checkpoint(checkpoints, progress=progress),
    )
    count = processes_for(config, devices=torch.cuda.device_count() if processes is None else processes)
    if count > 1:
        history = learn_together(model, lesson, processes=count, progress=progress)
    else:
        history = learn(model, tokenizer, lesson, progress=progress)
    # Whatever hardware it learned on, calibration and export run on the CPU.
    model.cpu().eval()
    return history


def learn(model: SentimentModel, tokenizer: PreTrainedTokenizerBase, lesson: Lesson, *, progress: Progress) -> History:
    """`fine_tune` in this process, which may be one of several that do the same. Leaves a plain network."""
    config = lesson.config
    set_seed(config.seed)
    if config.mode == "lora":
        _add_adapters(model, config)
    trainer = PlannedTrainer(
        model=model,
        offset=torch.tensor(lesson.offset, dtype=torch.float32),
        config=config,
        args=trainer_arguments(lesson.checkpoints, rows=lesson.rows, config=config),
        train_dataset=lesson.train,
        eval_dataset=lesson.validation,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=_macro_f1,
        callbacks=[EarlyStopping(config.early_stopping_patience), Reporter(progress)],
    )
    trainer.remove_callback(PrinterCallback)
    # The Trainer compares its looks with each other alone: whether any is better than the fitted head is decided here.
    fitted = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    start = trainer.evaluate()["eval_macro_f1"]
    _unprepare(trainer)
    trainer.train(resume_from_checkpoint=lesson.resume and str(lesson.resume))
    if trainer.state.best_metric is None or trainer.state.best_metric <= start:
        progress(f"fine-tuning found nothing better than the fitted head (macro-F1 {start:.3f}): it is taken")
        model.load_state_dict(fitted)
    _unprepare(trainer)
    if config.mode == "lora":
        model.encoder = model.encoder.merge_and_unload()
        model.requires_grad_(requires_grad=True)
    return [{"step": 0, "epoch": 0.0, "validation_macro_f1": start}, *_history(trainer.state.log_history)]


def dataset_of(
    tokenizer: PreTrainedTokenizerBase, rows: Texts, weights: NDArray[np.float64], *, config: Training
) -> Dataset:
    """The rows as the Trainer eats them: tokens cut at the window, classes, weights [n]."""
    ids = tokens_of(tokenizer, rows.texts, long_texts=config.long_texts)
    return Dataset.from_dict(
        {
            "input_ids": ids,
            "attention_mask": [[1] * len(row) for row in ids],
            "labels": rows.truth.tolist(),
            "weights": weights.tolist(),
        }
    )


def _unprepare(trainer: PlannedTrainer) -> None:
    """Take off what `accelerate` put around the network.

    Half precision is wrapped around `forward`, and would be exported with it. And what was prepared for a look at the
    validation rows is taken for prepared when the training begins: several processes would learn each for itself.
    """
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    model._is_accelerate_prepared = False  # noqa: SLF001 - no public way


def _add_adapters(model: SentimentModel, config: Training) -> None:
    from peft import LoraConfig, get_peft_model

    # Beside every linear layer, not in the attention alone: so it reaches full fine-tuning (Dettmers et al. 2023).
    adapters = LoraConfig(
        r=config.lora_rank, lora_alpha=2 * config.lora_rank, lora_dropout=LORA_DROPOUT, target_modules="all-linear"
    )
    model.encoder = get_peft_model(model.encoder, adapters)


def _macro_f1(outcome: EvalPrediction) -> dict[str, float]:
    predicted = np.asarray(outcome.predictions).argmax(axis=1)
    return {"macro_f1": float(macro_f1(confusion_matrix(np.asarray(outcome.label_ids), predicted)))}


def _history(entries: Sequence[dict[str, float]]) -> History:
    """The Trainer's log, one entry a step; its durations are left out, as the same training gives the same file."""
    steps: dict[int, dict[str, float]] = {}
    for entry in entries:
        step = steps.setdefault(int(entry["step"]), {"step": int(entry["step"]), "epoch": round(entry["epoch"], 4)})
        step |= {ours: entry[theirs] for ours, theirs in _LOGGED.items() if theirs in entry}
    return list(steps.values())
