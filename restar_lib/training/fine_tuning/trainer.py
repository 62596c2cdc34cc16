"""The Hugging Face Trainer as this project uses it: weighted rows, an offset of the logits, slower lower layers.

The loss is the same whether one process learns or several share each batch (`multi_device`): the mean over all rows of
the batch, wherever they lie. It chooses neither rows nor weights (`imbalance` does) and starts nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import torch
from datasets import Dataset
from torch import Tensor
from transformers import Trainer, TrainingArguments

from restar_lib.settings import TrainingSettings
from restar_lib.training.fine_tuning.epoch_order import BLANK, EpochSampler
from restar_lib.training.network import SentimentModel, training_device

EVALUATIONS_PER_EPOCH: Final = 2
"""Two, so that a network that overfits within an epoch is caught."""
WARMUP_SHARE: Final = 0.06
"""Share of the steps in which the learning rate rises (Liu et al. 2019, RoBERTa)."""
WEIGHT_DECAY: Final = 0.01
LORA_RATE: Final = 10.0
"""The best rate of LoRA over that of full fine-tuning (Schulman et al. 2025, "LoRA Without Regret")."""
LAYER: Final = re.compile(r"\blayers?\.(\d+)\.")
"""Where the number of a layer stands in the names of its parameters: BERT, DistilBERT, ModernBERT."""


class WeightedTrainer(Trainer):  # type: ignore[misc]  # transformers is Any to mypy here (pyproject)
    """The Trainer with one loss weight a row, an offset of the logits, and slower lower layers."""

    def __init__(self, *, offset: Tensor, config: TrainingSettings, **options: Any) -> None:
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
            ignore_index=BLANK,
            reduction="none",
            label_smoothing=self._config.label_smoothing if model.training else 0.0,
        )
        loss = (losses * inputs["weights"]).mean()
        if model.training and self.accelerator.num_processes > 1:
            loss = loss * self._share(inputs["labels"])
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def _share(self, labels: Tensor) -> Tensor:
        """What makes the mean of all processes' losses the mean over the rows of the batch that are not blank."""
        rows = self.accelerator.reduce((labels != BLANK).sum().float(), reduction="mean")
        return labels.numel() / rows

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> EpochSampler:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        rows = [len(ids) for ids, truth in zip(dataset["input_ids"], dataset["labels"], strict=True) if truth != BLANK]
        return EpochSampler(
            self.args.train_batch_size * self.args.gradient_accumulation_steps,
            lengths=rows,
            seed=self.args.data_seed,
            epoch=lambda: int(self.state.epoch or 0),
            blanks=-len(rows) % self.args.train_batch_size if len(rows) < len(dataset) else 0,
        )

    def create_optimizer(self, *_: Any, **__: Any) -> torch.optim.Optimizer:
        """AdamW with a rate for each layer; biases and norms do not decay."""
        optimizer = torch.optim.AdamW(_parameter_groups(self.model, self._config), lr=self.args.learning_rate)
        self.optimizer = optimizer
        return optimizer


def trainer_arguments(folder: Path, *, rows: int, config: TrainingSettings) -> TrainingArguments:
    """How the Trainer goes through so many rows, with its checkpoints in `folder`."""
    steps = -(-rows // (config.batch_size * config.accumulate))
    every = max(1, steps // EVALUATIONS_PER_EPOCH)
    cuda = training_device().type == "cuda"
    bf16 = config.precision == "auto" and computes_in_bfloat16()
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        warmup_steps=round(WARMUP_SHARE * steps * config.epochs),
        weight_decay=WEIGHT_DECAY,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulate,
        accelerator_config={"split_batches": True},  # several processes share a batch: the steps stay the same
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
    if arguments.n_gpu > 1:  # else the Trainer would take a batch of its own for each (DataParallel): other steps
        arguments._n_gpu = 1  # noqa: SLF001 - the Trainer itself says so, where a model is its own to place
    return arguments


def computes_in_bfloat16() -> bool:
    """Whether the hardware has instructions for it; without them bfloat16 is slower than float32."""
    if training_device().type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - no public name


def _parameter_groups(model: SentimentModel, config: TrainingSettings) -> list[dict[str, Any]]:
    layers = model.encoder.config.num_hidden_layers
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.learning_rate * _share_of_rate(name, layers=layers, config=config)
            decay = WEIGHT_DECAY if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


def _share_of_rate(name: str, *, layers: int, config: TrainingSettings) -> float:
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
