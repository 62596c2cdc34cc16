"""The 50,000 IMDb reviews (Maas et al. 2011), official split, two classes: where ours stands beside what others report.

Aim: within an hour on a CPU; a larger encoder by --encoder where there is a GPU. Ours is the project's own network and
fine-tuning; as nobody is neutral here, the third output is shut: it starts at a logit of -20 and no row teaches it
otherwise. Training texts that stand in the test half as well are left out, 2,000 of the others choose the best state.
Beside it TF-IDF with logistic regression on the same rows.

    python benchmarks/imdb.py --reviews FOLDER [--systems tfidf ours] [--seed 0] [--encoder NAME] [--epochs 1]
        [--max-tokens 192] [--work FOLDER] [--page]

A training that was killed goes on from its checkpoint in --work; a system that has a result is not run again.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pages
import real_reviews
from figures import Answers, covered_accuracy, figures, wilson

from restar_lib.evaluation.metrics import Floats, Integers
from restar_lib.feature_scaling import Features
from restar_lib.inference.engine import softmax
from restar_lib.settings import PROJECT_ROOT, TrainingSettings
from restar_lib.text import plain_text

FILE = "imdb_50k.jsonl.gz"
VALIDATION_ROWS = 2000
START_ROWS = 4000
"""Rows that the head is fitted on before the network learns, as in `training.learner`."""
SHUT = -20.0
REPORTED = {
    "AvgNet, CNN (reported)": "0.92",
    "DistilBERT (reported)": "0.93 to 0.953",
}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Texts and their classes, 0 negative or 2 positive, [n]."""

    texts: Sequence[str]
    truth: Integers

    def some(self, rows: Sequence[int]) -> Rows:
        """Those of some places."""
        return Rows(texts=[self.texts[row] for row in rows], truth=self.truth[list(rows)])


@dataclass(frozen=True, kw_only=True)
class Halves:
    """The official split; validation is taken from the training half."""

    train: Rows
    validation: Rows
    test: Rows
    left_out: int
    """Training texts that stand in the test half as well."""


def main() -> int:
    """Measure what is missing, and print."""
    arguments = parse_arguments()
    if arguments.page:
        write_page()
        return 0
    halves = read(real_reviews.folder_of(arguments, FILE) / FILE)
    for system in arguments.systems:
        name = f"imdb/{system}-{arguments.seed}" + (f"-{_slug(arguments.encoder)}" if arguments.encoder else "")
        if not (measuring.RESULTS / f"{name}.json").exists():
            measure(name, system, halves, arguments)
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    real_reviews.add_argument(parser)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encoder", default="", help="default: the packaged one")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=192)
    parser.add_argument("--work", type=Path, default=PROJECT_ROOT / "var/benchmarks", help="checkpoints stay here")
    parser.add_argument("--page", action="store_true", help="only write docs/benchmarks.md from the results")
    return parser.parse_args()


def read(file: Path) -> Halves:
    """The set, cleaned as reviews are."""
    halves: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for line in real_reviews.lines_of(file):
        halves[line["split"]].append((plain_text(line["text"]), 2 if line["sentiment"] == "positive" else 0))
    tested = {text for text, _ in halves["test"]}
    kept = sorted((row for row in halves["train"] if row[0] not in tested), key=_by_hash)
    return Halves(
        train=_rows(kept[VALIDATION_ROWS:]),
        validation=_rows(kept[:VALIDATION_ROWS]),
        test=_rows(halves["test"]),
        left_out=len(halves["train"]) - len(kept),
    )


def measure(name: str, system: str, halves: Halves, arguments: argparse.Namespace) -> None:
    """Write the result of one system."""
    began, used = time.perf_counter(), sum(os.times()[:4])
    probabilities, notes = SYSTEMS[system](halves, arguments)
    clock, processor = time.perf_counter() - began, sum(os.times()[:4]) - used
    answers = Answers.of(probabilities)
    result: dict[str, Any] = {"system": system, "seed": arguments.seed, "left_out": halves.left_out} | notes
    result["seconds"] = {"clock": round(clock), "processor": round(processor)}
    result |= figures(halves.test.truth, answers)
    measuring.save(name, result)
    accuracy, rows = result["values"]["accuracy"], len(halves.test.texts)
    low, high = wilson(round(accuracy * rows), rows)
    sure = covered_accuracy(halves.test.truth, answers, 0.9)
    print(f"{name}: accuracy {accuracy:.4f} ({low:.4f} to {high:.4f}), at 90 % coverage {sure:.4f}, {clock:.0f} s")


def tfidf(halves: Halves, arguments: argparse.Namespace) -> tuple[Floats, dict[str, Any]]:
    """TF-IDF of words and pairs of words, logistic regression."""
    del arguments
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=10.0, max_iter=1000)
    )
    pipeline.fit([*halves.train.texts, *halves.validation.texts], [*halves.train.truth, *halves.validation.truth])
    sides = pipeline.predict_proba(halves.test.texts)
    return np.stack([sides[:, 0], np.zeros(len(sides)), sides[:, 1]], axis=1), {}


def ours(halves: Halves, arguments: argparse.Namespace) -> tuple[Floats, dict[str, Any]]:
    """Fine-tuned as `train` does it, but for two classes."""
    import torch

    from restar_lib.training.calibration import fit_temperature
    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.fine_tuning.fine_tune import fine_tune
    from restar_lib.training.fine_tuning.learn import LabeledTexts
    from restar_lib.training.fine_tuning.trainer import computes_in_bfloat16
    from restar_lib.training.imbalance import ClassWeighting
    from restar_lib.training.network import features_of, load_model, load_tokenizer, logits_of

    config = configured(arguments)
    encoder = find_encoder(config.encoder)
    model, tokenizer = (
        load_model(encoder, pooled_layers=config.pooled_layers),
        load_tokenizer(encoder, max_tokens=config.max_tokens),
    )
    # Nearly every text fills the window: there the fused attention takes three quarters of the time of the plain one.
    model.encoder.set_attn_implementation("sdpa")
    start = halves.train.some(range(START_ROWS))  # they are in the order of a hash
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=computes_in_bfloat16()):
        features = features_of(model, tokenizer, start.texts, long_texts=config.long_texts, progress=_told)
    point_head(model, features, start.truth)
    count = len(halves.train.texts)
    fine_tune(
        model,
        tokenizer,
        train=LabeledTexts(texts=halves.train.texts, truth=halves.train.truth),
        weighting=ClassWeighting(weights=np.ones(count), offset=np.zeros(3)),
        validation=LabeledTexts(texts=halves.validation.texts, truth=halves.validation.truth),
        config=config,
        checkpoints=arguments.work / f"imdb-{_slug(config.encoder)}-{config.seed}-{config.max_tokens}",
        progress=_told,
    )
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=computes_in_bfloat16()):
        logits = [
            logits_of(model, tokenizer, rows.texts, long_texts=config.long_texts, progress=_told)
            for rows in (halves.validation, halves.test)
        ]
    temperature = fit_temperature(logits[0], halves.validation.truth)
    notes = {"training": config.model_dump(exclude_defaults=True), "temperature": round(temperature, 4)}
    return softmax(logits[1] / temperature), notes


def configured(arguments: argparse.Namespace) -> TrainingSettings:
    """The defaults of fine-tuning, but for what the command line says."""
    changed: dict[str, Any] = {"mode": "fine_tune", "long_texts": "head_and_tail", "batch_size": 32}
    changed |= {"epochs": arguments.epochs, "max_tokens": arguments.max_tokens, "seed": arguments.seed}
    return TrainingSettings(**changed, **({"encoder": arguments.encoder} if arguments.encoder else {}))


def point_head(model: Any, features: Features, truth: Integers) -> None:
    """Fit the head on the features of the frozen encoder: half the regression for, half against, neutral shut."""
    import torch
    from sklearn.linear_model import LogisticRegression

    centre, deviation = features.mean(axis=0), features.std(axis=0)
    # The packaged encoder has dead features (deviation 1e-32): a weight for one would drown every gradient.
    alive = deviation > 1e-3 * np.median(deviation)
    scale = np.where(alive, 1.0 / np.where(alive, deviation, 1.0), 0.0) / np.sqrt(features.shape[1])
    regression = LogisticRegression(C=2.0, max_iter=1000).fit((features - centre) * scale, truth)
    weight = torch.from_numpy(regression.coef_[0] * scale / 2)
    bias = float(regression.intercept_[0] / 2 - weight.numpy() @ centre)
    with torch.no_grad():
        for place, sign in ((0, -1), (2, 1)):
            model.head.weight[place] = sign * weight
            model.head.bias[place] = sign * bias
        model.head.bias[1] = SHUT


SYSTEMS: dict[str, Callable[[Halves, argparse.Namespace], tuple[Floats, dict[str, Any]]]] = {
    "tfidf": tfidf,
    "ours": ours,
}


def write_page() -> None:
    """Write the table into docs/benchmarks.md."""
    rows = []
    for file in sorted((measuring.RESULTS / "imdb").glob("*.json")):
        found = measuring.read(f"imdb/{file.stem}")
        (low, high), seconds = found["intervals"]["accuracy"], found["seconds"]
        rows.append(
            [
                file.stem,
                f"{found['values']['accuracy']:.4f} ({low:.4f} to {high:.4f})",
                f"{found['values']['accuracy_90%']:.4f}",
                f"{found['values']['ece']:.3f}",
                f"{seconds['clock'] / 60:.0f} / {seconds['processor'] / 60:.0f}",
            ]
        )
    rows += [[name, value, "", "", ""] for name, value in REPORTED.items()]
    header = ["", "accuracy", "at 90 % coverage", "ECE", "minutes (clock / processor)"]
    pages.fill("imdb", pages.markdown(header, rows))


def _rows(pairs: Sequence[tuple[str, int]]) -> Rows:
    return Rows(texts=[text for text, _ in pairs], truth=np.array([truth for _, truth in pairs], dtype=np.int64))


def _by_hash(row: tuple[str, int]) -> bytes:
    return sha256(row[0].encode()).digest()


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-")


def _told(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
