"""The thorough modes: the whole network learns, or adapters in a frozen one (LoRA), by the Hugging Face Trainer.

It starts from a fitted head, because a random one would first destroy what the encoder knows (Kumar et al. 2022,
"Fine-Tuning can Distort Pretrained Features"). Early stopping on the macro-F1 of the validation rows, batches of like
length, half precision where the hardware computes in it; several devices are the Trainer's business (`accelerate`).

What it has learned so far lies in a folder of checkpoints: a training that is killed goes on from there. It saves no
model (`train` does) and does not choose the rows or their weights (`imbalance` does).
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
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
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from restar_lib.evaluation.metrics import confusion_matrix, macro_f1
from restar_lib.settings import Training
from restar_lib.training.imbalance import Plan
from restar_lib.training.model import PROGRESS_SECONDS, Progress, SentimentModel, tokens_of

logger = logging.getLogger(__name__)

EVALUATIONS_PER_EPOCH: Final = 2
"""Two, so that a network that overfits within an epoch is caught."""
WARMUP_SHARE: Final = 0.06
"""Share of the steps in which the learning rate rises (Liu et al. 2019, RoBERTa)."""
WEIGHT_DECAY: Final = 0.01
LORA_RATE: Final = 10.0
"""The best rate of LoRA over that of full fine-tuning (Schulman et al. 2025, "LoRA Without Regret")."""
LORA_DROPOUT: Final = 0.05
CHECKPOINT: Final = "checkpoint-*"
CHECKPOINT_FILES: Final = ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")
RANDOM_STATES: Final = "rng_state*.pth"
"""One for each process."""
LAYER: Final = re.compile(r"\blayers?\.(\d+)\.")
"""Where the number of a layer stands in the names of its parameters: BERT, DistilBERT, ModernBERT."""

Integers = NDArray[np.int64]
History = list[dict[str, float]]
"""One entry for each look at the validation rows: `step`, `epoch`, `loss` since the last one, `validation_macro_f1`."""


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
) -> History:
    """Train `model` on `train` by `plan`; the best state on `validation` stays in it. Goes on from `checkpoints`."""
    set_seed(config.seed)
    if config.mode == "lora":
        _add_adapters(model, config)
    learned = Texts(texts=[train.texts[row] for row in plan.rows], truth=train.truth[plan.rows])
    trainer = PlannedTrainer(
        model=model,
        offset=torch.from_numpy(plan.offset).float(),
        config=config,
        args=trainer_arguments(checkpoints, rows=len(plan.rows), config=config),
        train_dataset=dataset_of(tokenizer, learned, plan.weights, config=config),
        eval_dataset=dataset_of(tokenizer, validation, np.ones(len(validation.texts)), config=config),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=_macro_f1,
        callbacks=[EarlyStopping(config.early_stopping_patience), Reporter(progress)],
    )
    trainer.remove_callback(PrinterCallback)
    # The Trainer compares its looks with each other alone: whether any is better than the fitted head is decided here.
    fitted = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    start = trainer.evaluate()["eval_macro_f1"]
    trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints, progress=progress))
    if trainer.state.best_metric is None or trainer.state.best_metric <= start:
        progress(f"fine-tuning found nothing better than the fitted head (macro-F1 {start:.3f}): it is taken")
        model.load_state_dict(fitted)
    # Half precision is wrapped around `forward`, and would be exported with it.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    if config.mode == "lora":
        model.encoder = model.encoder.merge_and_unload()
        model.requires_grad_(requires_grad=True)
    # Whatever hardware it learned on, calibration and export run on the CPU.
    model.cpu().eval()
    return [{"step": 0, "epoch": 0.0, "validation_macro_f1": start}, *_history(trainer.state.log_history)]


class PlannedTrainer(Trainer):  # type: ignore[misc]  # transformers is Any to mypy here (pyproject)
    """The Trainer with one loss weight a row, an offset of the logits, and slower lower layers."""

    def __init__(self, *, offset: Tensor, config: Training, **options: Any) -> None:
        super().__init__(**options)
        self._offset = offset
        self._config = config

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Weighted mean of the cross-entropy of `logits + offset`; `weights` have mean 1 over the training rows."""
        logits = model(inputs["input_ids"], inputs["attention_mask"]).float()
        losses = torch.nn.functional.cross_entropy(
            logits + self._offset.to(logits.device),
            inputs["labels"],
            reduction="none",
            label_smoothing=self._config.label_smoothing if model.training else 0.0,
        )
        loss = (losses * inputs["weights"]).mean()
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> EpochSampler:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return EpochSampler(
            self.args.train_batch_size * self.args.gradient_accumulation_steps,
            lengths=[len(ids) for ids in dataset["input_ids"]],
            seed=self.args.data_seed,
        )

    def create_optimizer(self, *_: Any, **__: Any) -> torch.optim.Optimizer:
        """AdamW with a rate for each layer; biases and norms do not decay."""
        optimizer = torch.optim.AdamW(_parameter_groups(self.model, self._config), lr=self.args.learning_rate)
        self.optimizer = optimizer
        return optimizer


class EpochSampler(LengthGroupedSampler):  # type: ignore[misc]  # transformers is Any to mypy here (pyproject)
    """Rows of like length together, in an order that the seed and the epoch alone decide.

    The Trainer's own draws from the global generator, so a training that is resumed in its second epoch would go on in
    the order of another one: some rows twice, others never.
    """

    def __init__(self, batch_size: int, *, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called before each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Indices of all rows."""
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class EarlyStopping(EarlyStoppingCallback):  # type: ignore[misc]  # as above
    """Stops where the patience is at its end, also where a kill came between that and the end of the training."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """The patience that is left is restored from the checkpoint by now."""
        super().on_train_begin(args, state, control, **rest)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class Reporter(TrainerCallback):  # type: ignore[misc]  # transformers is Any to mypy here (pyproject)
    """Tells the person who waits how far it is, and what each evaluation found."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._started = self._reported = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Steps before a resume took no time here."""
        del args, control
        self._first_step = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A line every ten seconds, with how long the rest takes at most."""
        del args, control
        now = time.monotonic()
        if now - self._reported > PROGRESS_SECONDS:
            self._reported = now
            pace = (now - self._started) / max(state.global_step - self._first_step, 1)
            left = pace * (state.max_steps - state.global_step)
            self._progress(
                f"fine-tuning: step {state.global_step:,} of {state.max_steps:,}, at most {left / 60:.0f} minutes left"
            )

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> None:
        """A line for each evaluation."""
        del args, control
        self._progress(
            f"fine-tuning: epoch {state.epoch or 0:.1f}: macro-F1 {metrics['eval_macro_f1']:.3f} on the validation rows"
        )


def last_checkpoint(folder: Path, *, progress: Progress = logger.info) -> str | None:
    """The newest whole checkpoint in `folder`; halves, left by a kill while one was written, are removed."""
    whole = []
    for path in folder.glob(CHECKPOINT):
        if _is_whole(path):
            whole.append(path)
        else:
            shutil.rmtree(path)
    if not whole:
        return None
    newest = max(whole, key=lambda path: int(path.name.rpartition("-")[2]))
    progress(f"an earlier training on the same rows was cut short: goes on from {newest.name}")
    return str(newest)


def computes_in_bfloat16() -> bool:
    """Whether the hardware has instructions for it; without them bfloat16 is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - no public name


def _is_whole(checkpoint: Path) -> bool:
    if not all((checkpoint / name).is_file() for name in CHECKPOINT_FILES) or not any(checkpoint.glob(RANDOM_STATES)):
        return False
    try:  # the Trainer writes this file last
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _add_adapters(model: SentimentModel, config: Training) -> None:
    from peft import LoraConfig, get_peft_model

    # Beside every linear layer, not in the attention alone: so it reaches full fine-tuning (Dettmers et al. 2023).
    adapters = LoraConfig(
        r=config.lora_rank, lora_alpha=2 * config.lora_rank, lora_dropout=LORA_DROPOUT, target_modules="all-linear"
    )
    model.encoder = get_peft_model(model.encoder, adapters)


def _parameter_groups(model: SentimentModel, config: Training) -> list[dict[str, Any]]:
    layers = model.encoder.config.num_hidden_layers
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.learning_rate * _share_of_rate(name, layers=layers, config=config)
            decay = WEIGHT_DECAY if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


def _share_of_rate(name: str, *, layers: int, config: Training) -> float:
    """How fast a parameter learns against the last layer, by the place of its layer: `encoder.layer.3.output...`."""
    if config.mode == "lora":
        return LORA_RATE
    if not name.startswith("encoder."):
        return 1.0
    found = LAYER.search(name)
    if found is None and "embed" not in name:
        return 1.0  # a norm behind the last layer, or an encoder whose layers share their weights
    place = -1 if found is None else int(found[1])  # the embeddings lie below the first layer
    return float(config.layer_decay ** (layers - 1 - place))


def trainer_arguments(folder: Path, *, rows: int, config: Training) -> TrainingArguments:
    """How the Trainer goes through so many rows, with its checkpoints in `folder`."""
    steps = -(-rows // (config.batch_size * config.accumulate))
    every = max(1, steps // EVALUATIONS_PER_EPOCH)
    cuda = torch.cuda.is_available()
    bf16 = config.precision == "auto" and computes_in_bfloat16()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        warmup_steps=round(WARMUP_SHARE * steps * config.epochs),
        weight_decay=WEIGHT_DECAY,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulate,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        use_cpu=not cuda,
        bf16=bf16,
        fp16=cuda and not bf16 and config.precision == "auto",
        dataloader_pin_memory=cuda,
        seed=config.seed,
        data_seed=config.seed,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to=[],
        logging_strategy="steps",
        logging_steps=every,
        disable_tqdm=True,
    )


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


_LOGGED: Final = {"loss": "loss", "validation_macro_f1": "eval_macro_f1"}
