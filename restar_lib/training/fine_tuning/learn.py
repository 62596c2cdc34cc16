"""One process that fine-tunes: the Hugging Face Trainer over one `FineTuningJob`, from its last checkpoint on.

How many processes there are is decided in `fine_tune`, and how several of them cooperate in `multi_device`. It saves no
model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding, EvalPrediction, PreTrainedTokenizerBase, PrinterCallback, set_seed

from restar_lib.evaluation.metrics import confusion_matrix, macro_f1
from restar_lib.settings import TrainingSettings
from restar_lib.training.fine_tuning.callbacks import EarlyStopping, ProgressReporter
from restar_lib.training.fine_tuning.job import FineTuningJob, History
from restar_lib.training.fine_tuning.trainer import WeightedTrainer, trainer_arguments
from restar_lib.training.network import Progress, SentimentModel, tokens_of

LORA_DROPOUT: Final = 0.05
_LOGGED: Final = {"loss": "loss", "validation_macro_f1": "eval_macro_f1"}

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabeledTexts:
    """Texts with their classes, [n]."""

    texts: Sequence[str]
    truth: Integers


def learn(
    model: SentimentModel, tokenizer: PreTrainedTokenizerBase, job: FineTuningJob, *, progress: Progress
) -> History:
    """`fine_tune` in this process, which may be one of several that do the same. Leaves a plain network."""
    config = job.config
    set_seed(config.seed)
    if config.mode == "lora":
        _add_adapters(model, config)
    trainer = WeightedTrainer(
        model=model,
        offset=torch.tensor(job.offset, dtype=torch.float32),
        config=config,
        args=trainer_arguments(job.checkpoints, rows=job.rows, config=config),
        train_dataset=job.train,
        eval_dataset=job.validation,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=_macro_f1,
        callbacks=[EarlyStopping(config.early_stopping_patience), ProgressReporter(progress)],
    )
    trainer.remove_callback(PrinterCallback)
    # The Trainer compares its evaluations with each other only: whether any beats the fitted head is decided here.
    fitted = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    start = trainer.evaluate()["eval_macro_f1"]
    _unprepare(trainer)
    trainer.train(resume_from_checkpoint=job.resume and str(job.resume))
    if trainer.state.best_metric is None or trainer.state.best_metric <= start:
        progress(f"fine-tuning found nothing better than the fitted head (macro-F1 {start:.3f}): it is taken")
        model.load_state_dict(fitted)
    _unprepare(trainer)
    if config.mode == "lora":
        model.encoder = model.encoder.merge_and_unload()
        model.requires_grad_(requires_grad=True)
    return [{"step": 0, "epoch": 0.0, "validation_macro_f1": start}, *_history(trainer.state.log_history)]


def dataset_of(
    tokenizer: PreTrainedTokenizerBase, rows: LabeledTexts, weights: NDArray[np.float64], *, config: TrainingSettings
) -> Dataset:
    """The rows in the form that the Trainer takes: tokens cut at the window, classes, weights [n]."""
    ids = tokens_of(tokenizer, rows.texts, long_texts=config.long_texts)
    return Dataset.from_dict(
        {
            "input_ids": ids,
            "attention_mask": [[1] * len(row) for row in ids],
            "labels": rows.truth.tolist(),
            "weights": weights.tolist(),
        }
    )


def _unprepare(trainer: WeightedTrainer) -> None:
    """Take off what `accelerate` put around the network.

    Half precision is wrapped around `forward`, and would be exported with it. And what was prepared for a look at the
    validation rows is taken for prepared when the training begins: several processes would learn each for itself.
    """
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    model._is_accelerate_prepared = False  # noqa: SLF001 - no public way


def _add_adapters(model: SentimentModel, config: TrainingSettings) -> None:
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
