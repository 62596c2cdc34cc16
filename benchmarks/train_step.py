"""Rows per second of our training step, beside the `Trainer` of transformers that pads every row to the window.

Same weights, same real reviews, same optimizer settings, batch size 16 each, in one process, in turns; every way goes
through the same rows once a round, the median of the rounds counts. What is saved comes from batches of like length
(no padding to speak of), from bfloat16 where the hardware computes in it, and from drawing no dropout in the attention;
the table takes the three apart. Aim: 3 times the `Trainer` on the encoder as it ships.

Looks at validation rows and checkpoints are left out on both sides; the first steps of a round, which warm up, too.

    python benchmarks/train_step.py --reviews FOLDER [--rows 320] [--rounds 3] [--max-tokens 256 128] [--page]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import measuring
import numpy as np
import pages
import real_reviews

from restar_lib.dataset.arrays import truth_of
from restar_lib.domain import Example
from restar_lib.settings import TrainingSettings

WARM_STEPS = 2
OURS, PLAIN = "ours", "`Trainer`, padding to the window, float32"
SHIPPED_DROPOUT = 0.1
"""Dropout in the attention that the encoder ships with; our training takes it out (`training.network`)."""


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    if arguments.page:
        write_page()
        return 0
    rows = list(real_reviews.within_sources(real_reviews.pool(real_reviews.folder_of(arguments))).train)
    rows = random.Random(0).sample(rows, arguments.rows)
    result = {str(tokens): measure(rows, arguments, max_tokens=tokens) for tokens in arguments.max_tokens}
    content = {"rows": len(rows), "rounds": arguments.rounds, "rows_per_second": result}
    measuring.save("train_step", content)
    for tokens, found in result.items():
        plain = median(found[PLAIN])
        lines = [(name, median(one), median(one) / plain) for name, one in found.items()]
        print(measuring.table(f"window of {tokens} tokens", ("", "rows/s", "times"), lines))
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    real_reviews.add_argument(parser)
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, nargs="+", default=[256, 128])
    parser.add_argument("--page", action="store_true", help="only write docs/benchmarks.md from the result")
    return parser.parse_args()


def measure(rows: Sequence[Example], arguments: argparse.Namespace, *, max_tokens: int) -> dict[str, list[float]]:
    """Rows per second of each way, one value a round."""
    exact = TrainingSettings(mode="fine_tune", max_tokens=max_tokens, precision="float32", epochs=1)
    fast = exact.model_copy(update={"precision": "auto"})
    ways: dict[str, Callable[[], float]] = {
        PLAIN: partial(run, rows, exact, padded=True, shipped=True),
        "the same in bfloat16": partial(run, rows, fast, padded=True, shipped=True),
        "the same in bfloat16, without attention dropout": partial(run, rows, fast, padded=True),
        "ours, with attention dropout": partial(run, rows, fast, padded=False, shipped=True),
        "ours, float32": partial(run, rows, exact, padded=False),
        OURS: partial(run, rows, fast, padded=False),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(arguments.rounds):
        for name, way in ways.items():
            found[name].append(round(way(), 2))
            print(f"{max_tokens} tokens, round {turn + 1}, {name}: {found[name][-1]} rows/s", flush=True)
    return found


def run(rows: Sequence[Example], config: TrainingSettings, *, padded: bool, shipped: bool = False) -> float:
    """One pass over the rows; rows per second after the first steps. `shipped`: with the encoder's own dropout."""
    import torch
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback

    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.fine_tuning.learn import LabeledTexts, dataset_of
    from restar_lib.training.fine_tuning.trainer import WeightedTrainer
    from restar_lib.training.network import load_model, load_tokenizer

    encoder = find_encoder(config.encoder)
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    if shipped:
        put_dropout_back(model)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)
    moments: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        """The moment of the end of each step."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            moments.append(time.perf_counter())

    class Plain(Trainer):  # type: ignore[misc]
        """The Trainer on our network, which knows no loss of its own."""

        def compute_loss(self, model: Any, inputs: dict[str, Any], **_: Any) -> Any:
            logits = model(inputs["input_ids"], inputs["attention_mask"])
            return torch.nn.functional.cross_entropy(logits.float(), inputs["labels"])

    texts = LabeledTexts(texts=[row.text for row in rows], truth=truth_of(rows))
    data = dataset_of(tokenizer, texts, np.ones(len(rows)), config=config)
    with tempfile.TemporaryDirectory(prefix="restar-bench-") as folder:
        options: dict[str, Any] = {
            "model": model,
            "args": arguments_of(Path(folder), rows, config),
            "callbacks": [Clock()],
        }
        if padded:
            options["args"].train_sampling_strategy = "random"
            options["data_collator"] = padding_to(tokenizer, config.max_tokens)
            trainer: Any = Plain(train_dataset=data, **options)
        else:
            options["data_collator"] = DataCollatorWithPadding(tokenizer)
            trainer = WeightedTrainer(offset=torch.zeros(3), config=config, train_dataset=data, **options)
        trainer.train()
    counted = len(rows) - WARM_STEPS * config.batch_size
    return counted / (moments[-1] - moments[WARM_STEPS - 1])


def put_dropout_back(model: Any) -> None:
    """Give the attention the dropout that `load_model` took out."""
    from torch import nn

    for name, part in model.named_modules():
        if "attention" in name and isinstance(part, nn.Dropout) and part.p == 0.0:
            part.p = SHIPPED_DROPOUT


def arguments_of(folder: Path, rows: Sequence[Example], config: TrainingSettings) -> Any:
    """The arguments of fine-tuning, without looks at validation rows and without checkpoints."""
    from transformers.trainer_utils import IntervalStrategy, SaveStrategy

    from restar_lib.training.fine_tuning.trainer import trainer_arguments

    found = trainer_arguments(folder, rows=len(rows), config=config)
    found.eval_strategy, found.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
    found.eval_on_start = found.load_best_model_at_end = False
    return found


def padding_to(tokenizer: Any, length: int) -> Any:
    """A collator that fills every row up to `length`, as tokenising with `padding="max_length"` does."""
    from transformers import DataCollatorWithPadding

    return DataCollatorWithPadding(tokenizer, padding="max_length", max_length=length)


def write_page() -> None:
    """Write the table into docs/benchmarks.md."""
    result = measuring.read("train_step")
    windows = list(result["rows_per_second"])
    rows = []
    for name in result["rows_per_second"][windows[0]]:
        cells = []
        for tokens in windows:
            found = {way: median(rates) for way, rates in result["rows_per_second"][tokens].items()}
            cells += [f"{found[name]:.1f}", f"{found[name] / found[PLAIN]:.2f}"]
        rows.append([name, *cells])
    header = ["", *(cell for tokens in windows for cell in (f"window of {tokens}: rows/s", "times"))]
    note = f"{result['rows']} rows, median of {result['rounds']} rounds, load {result['machine']['load_1_min']}."
    pages.fill("train step", f"{pages.markdown(header, rows)}\n\n{note}")


if __name__ == "__main__":
    sys.exit(main())
