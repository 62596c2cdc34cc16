"""The systems that `quality.py` compares, each from a split to its answers on the test rows. Numbers are others' work.

What needs no validation rows learns from all older rows; ours trains on the snapshot of the split, stops early and
calibrates on its validation rows. The frozen encoder reads rows once: what it read is kept in the work folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from figures import Answers, truth_of
from numpy.typing import NDArray
from real_reviews import Split

from restar_lib.domain import SENTIMENTS, Example
from restar_lib.evaluation.metrics import Floats
from restar_lib.scoring.engine import InferenceEngine

VADER_CUT = 0.05
"""Compound scores between minus and plus this are neutral (Hutto & Gilbert 2014)."""
CHUNK = 2000
ITERATIONS = 1000
OURS: dict[str, dict[str, Any]] = {
    "ours": {"mode": "fine_tune"},
    "ours_everything": {"mode": "fine_tune", "epochs": 4},
}
"""Settings of `training` that differ from the defaults."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a system is given."""

    split: Split
    work: Path
    """Where snapshots, models and features are kept between runs."""
    frozen_rows: int
    """The frozen encoder reads so many of the older rows; 0: all."""
    seed: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    """What the result should say beside the figures; a system adds to it."""


def majority(task: Task) -> Answers:
    """Always the commonest class, as sure as it is common."""
    shares = np.bincount(truth_of(task.split.older), minlength=len(SENTIMENTS)) / len(task.split.older)
    return Answers.of(np.tile(shares, (len(task.split.test), 1)))


def vader(task: Task) -> Answers:
    """VADER's lexicon and rules; they learn nothing."""
    return vader_answers(_texts(task.split.test))


def vader_answers(texts: Sequence[str]) -> Answers:
    """What VADER says about texts."""
    compound = vader_scores(texts)
    classes = np.where(compound > VADER_CUT, 2, np.where(compound < -VADER_CUT, 0, 1)).astype(np.int64)
    return Answers(classes=classes, confidence=np.abs(compound), calibrated=False)


def vader_scores(texts: Sequence[str]) -> Floats:
    """VADER's compound scores, -1 to 1, [n]."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    return np.array([analyzer.polarity_scores(text)["compound"] for text in texts])


def tfidf(task: Task, *, balanced: bool = False) -> Answers:
    """TF-IDF of words and pairs of words, logistic regression."""
    return Answers.of(tfidf_probabilities(task.split.older, balanced=balanced)(_texts(task.split.test)))


def tfidf_probabilities(rows: Sequence[Example], *, balanced: bool) -> Callable[[Sequence[str]], Floats]:
    """Learn from rows; returns what gives the probabilities of texts, [n, 3]."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(max_iter=ITERATIONS, class_weight="balanced" if balanced else None),
    )
    pipeline.fit(_texts(rows), truth_of(rows))
    return lambda texts: np.asarray(pipeline.predict_proba(list(texts)), dtype=np.float64)


def frozen(task: Task, *, balanced: bool = False) -> Answers:
    """The packaged encoder as it is, logistic regression on its pooled features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    rows = _sample(task.split.older, task.frozen_rows)
    task.notes["train_rows"] = len(rows)
    learned, asked = frozen_features(rows, task.work), frozen_features(task.split.test, task.work)
    scaler = StandardScaler().fit(learned)
    width = np.sqrt(learned.shape[1])  # so that C means what it means in training.head
    regression = LogisticRegression(C=2.0, max_iter=ITERATIONS, class_weight="balanced" if balanced else None)
    regression.fit(scaler.transform(learned) / width, truth_of(rows))
    return Answers.of(np.asarray(regression.predict_proba(scaler.transform(asked) / width), dtype=np.float64))


def ours(task: Task, *, name: str) -> Answers:
    """The project's own training on the snapshot of the split, then its inference engine."""
    folder = model_folder(task, name)
    task.notes |= {"training": OURS[name], "model": folder.name}
    return Answers.of(InferenceEngine.load(folder).predict(_texts(task.split.test)).probabilities)


def model_folder(task: Task, name: str) -> Path:
    """The trained model of a system, trained now unless it is there."""
    from restar_lib.training.train import train

    snapshot = task.split.snapshot(task.work / "snapshots")
    final = task.work / "models" / f"{name}-{snapshot.snapshot_hash}-{task.seed}"
    if not final.is_dir():
        partial = final.with_name(f"{final.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        settings = measuring.settings_for(task.work, training={**OURS[name], "seed": task.seed})
        trained = train(snapshot, settings, out=partial, progress=lambda line: print(line, flush=True))
        task.notes["seconds_of_steps"] = dict(trained.seconds)
        partial.rename(final)
    return final


SYSTEMS: dict[str, Callable[[Task], Answers]] = {
    "majority": majority,
    "vader": vader,
    "tfidf": tfidf,
    "tfidf_balanced": lambda task: tfidf(task, balanced=True),
    "frozen": frozen,
    "frozen_balanced": lambda task: frozen(task, balanced=True),
    "ours": lambda task: ours(task, name="ours"),
    "ours_everything": lambda task: ours(task, name="ours_everything"),
}
SEEDED = frozenset({"ours", "ours_everything"})
"""Systems to which a seed makes a difference."""


def frozen_features(rows: Sequence[Example], work: Path) -> NDArray[np.float32]:
    """The pooled features of rows, [n, layers * width]; what was read before is taken from the work folder."""
    folder = work / "features"
    folder.mkdir(parents=True, exist_ok=True)
    known = _known(folder)
    missing = [row for row in rows if row.review_id not in known]
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        read = _read(_texts(chunk))
        partial = folder / "partial.npz"
        np.savez(partial, ids=np.array([row.review_id for row in chunk]), features=read)
        partial.rename(folder / f"{len(known):06d}.npz")
        known |= {row.review_id: features for row, features in zip(chunk, read, strict=True)}
        print(f"read {start + len(chunk):,} of {len(missing):,} reviews with the frozen encoder", flush=True)
    return np.stack([known[row.review_id] for row in rows]).astype(np.float32)


def _known(folder: Path) -> dict[str, NDArray[np.float16]]:
    known: dict[str, NDArray[np.float16]] = {}
    for file in sorted(folder.glob("[0-9]*.npz")):
        with np.load(file) as content:
            known |= dict(zip(content["ids"].tolist(), content["features"], strict=True))
    return known


def _read(texts: Sequence[str]) -> NDArray[np.float16]:
    import torch

    from restar_lib.settings import Training
    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.model import features_of, load_model, load_tokenizer

    config = Training()
    encoder = find_encoder(config.encoder)
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # twice as fast; its rounding is far below what a figure shows
        return features_of(model, tokenizer, texts, progress=lambda _: None).astype(np.float16)


def _sample(rows: Sequence[Example], count: int) -> Sequence[Example]:
    """So many rows by the hash of their id: both splits draw mostly the same ones. 0: all."""
    by_hash = sorted(rows, key=lambda row: sha256(row.review_id.encode()).digest())
    return rows if count in {0, len(rows)} else by_hash[:count]


def _texts(rows: Sequence[Example]) -> list[str]:
    return [row.text for row in rows]
