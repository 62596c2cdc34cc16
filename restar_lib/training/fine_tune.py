"""The thorough mode: the whole network learns, by the Hugging Face Trainer.

It starts from a fitted head, because a random one would first destroy what the encoder knows (Kumar et al. 2022,
"Fine-Tuning can Distort Pretrained Features"). Class and instance weights, early stopping on the macro-F1 of the
validation rows, seeds, and half precision where the hardware has it. Writes its checkpoints to a folder that is gone
afterwards; saving the model is `train`'s.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from restar_lib.domain import Example
from restar_lib.evaluation.metrics import confusion_matrix, macro_f1
from restar_lib.settings import Training
from restar_lib.training.model import PROGRESS_SECONDS, Progress, SentimentModel

logger = logging.getLogger(__name__)

EVALUATIONS_PER_EPOCH: Final = 2
"""Two, so that a network that overfits within an epoch is caught."""
WARMUP_SHARE: Final = 0.06
"""Share of the steps in which the learning rate rises (Liu et al. 2019, RoBERTa)."""
WEIGHT_DECAY: Final = 0.01


def fine_tune(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    train: Sequence[Example],
    weights: NDArray[np.float64],
    validation: Sequence[Example],
    config: Training,
    progress: Progress,
) -> None:
    """Train all of `model` on `train` with row `weights`; the best state on `validation` stays in it."""
    set_seed(config.seed)
    with tempfile.TemporaryDirectory(prefix="restar-fine-tune-") as folder:
        trainer = WeightedTrainer(
            model=model,
            args=_arguments(folder, rows=len(train), config=config),
            train_dataset=_dataset(tokenizer, train, weights / weights.mean()),
            eval_dataset=_dataset(tokenizer, validation, np.ones(len(validation))),
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=_macro_f1,
            callbacks=[EarlyStoppingCallback(config.early_stopping_patience), Reporter(progress)],
        )
        trainer.train()
    # Whatever hardware it learned on, calibration and export run on the CPU.
    model.cpu().eval()


class WeightedTrainer(Trainer):  # type: ignore[misc]  # transformers is Any to mypy here (pyproject)
    """The Trainer with one loss weight a row."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Weighted mean of the cross-entropy; `weights` have mean 1 over the training rows."""
        logits = model(inputs["input_ids"], inputs["attention_mask"])
        losses = torch.nn.functional.cross_entropy(logits, inputs["labels"], reduction="none")
        loss = (losses * inputs["weights"]).mean()
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss


class Reporter(TrainerCallback):  # type: ignore[misc]  # transformers is Any to mypy here (pyproject)
    """Tells the person who waits how far it is, and what each evaluation found."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._reported = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A line every ten seconds."""
        del args, control
        if time.monotonic() - self._reported > PROGRESS_SECONDS:
            self._reported = time.monotonic()
            self._progress(f"fine-tuning: step {state.global_step:,} of {state.max_steps:,}")

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> None:
        """A line for each evaluation."""
        del args, control
        self._progress(
            f"fine-tuning: epoch {state.epoch or 0:.1f}: macro-F1 {metrics['eval_macro_f1']:.3f} on the validation rows"
        )


def _arguments(folder: str, *, rows: int, config: Training) -> TrainingArguments:
    steps = -(-rows // config.batch_size)
    every = max(1, steps // EVALUATIONS_PER_EPOCH)
    cuda = torch.cuda.is_available()
    bf16 = cuda and torch.cuda.is_bf16_supported()
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        warmup_steps=round(WARMUP_SHARE * steps * config.epochs),
        weight_decay=WEIGHT_DECAY,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        train_sampling_strategy="group_by_length",
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,
        save_only_model=True,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        # At step 0 as well: fine-tuning that only does harm gives back the fitted head.
        eval_on_start=True,
        bf16=bf16,
        fp16=cuda and not bf16,
        dataloader_pin_memory=cuda,
        seed=config.seed,
        data_seed=config.seed,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to=[],
        logging_strategy="no",
        disable_tqdm=True,
    )


def _dataset(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], weights: NDArray[np.float64]) -> Dataset:
    encoded = tokenizer([example.text for example in examples], truncation=True, return_token_type_ids=False)
    return Dataset.from_dict(
        {
            **encoded,
            "labels": [example.truth.position for example in examples],
            "weights": weights.tolist(),
        }
    )


def _macro_f1(outcome: EvalPrediction) -> dict[str, float]:
    predicted = np.asarray(outcome.predictions).argmax(axis=1)
    return {"macro_f1": float(macro_f1(confusion_matrix(np.asarray(outcome.label_ids), predicted)))}
