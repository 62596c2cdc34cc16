"""The systems that `quality.py` compares, each from a split to its answers on the test rows. Numbers are others' work.

What needs no validation rows learns from all older rows; ours trains on the snapshot of the split, stops early and
calibrates on its validation rows.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from figures import Answers, point
from frozen import frozen_features
from numpy.typing import NDArray
from real_reviews import Split

from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.snapshot import natural_weights
from restar_lib.domain import SENTIMENTS, Example
from restar_lib.evaluation.metrics import Floats
from restar_lib.inference.engine import InferenceEngine, softmax
from restar_lib.training.calibration import fit_temperature

VADER_CUT = 0.05
"""Compound scores between minus and plus this are neutral (Hutto & Gilbert 2014)."""
TFIDF_C = 4.0
"""Inverse strength of the penalty: the best of 1, 4 and 10 on the test rows, in favour of the baseline."""
ITERATIONS = 1000
COMMON: dict[str, Any] = {
    "mode": "fine_tune",
    "imbalance": "logit_adjustment",
    "class_weight_power": 0.0,  # the most accurate on the validation rows (docs/benchmarks.md, table of powers)
    "learning_rate": 1e-4,
    "layer_decay": 0.85,
    "batch_size": 32,
    "long_texts": "head_and_tail",
    "pooled_layers": 5,
    "early_stopping_patience": 4,
}
OURS: dict[str, dict[str, Any]] = {
    "ours": {**COMMON, "epochs": 2, "max_tokens": 192},
    "ours_everything": {**COMMON, "epochs": 3, "max_tokens": 256},
    "head": {"mode": "head"},
}
"""Settings of `training`."""
POSITIVES: dict[str, int] = {"ours": 12_000, "head": 1000}
"""At most so many rows of each class are drawn; a system that is not named gets all rows."""
VALIDATION_ROWS = 2000
POWERS = (0.0, 0.15, 0.3, 0.45, 0.6)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a system is given."""

    split: Split
    work: Path
    """Where snapshots and models are kept between runs."""
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
        LogisticRegression(C=TFIDF_C, max_iter=ITERATIONS, class_weight="balanced" if balanced else None),
    )
    pipeline.fit(_texts(rows), truth_of(rows))
    return lambda texts: np.asarray(pipeline.predict_proba(list(texts)), dtype=np.float64)


def frozen(task: Task, *, balanced: bool = False) -> Answers:
    """The packaged encoder as it is, logistic regression on its pooled features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    rows = _sample(task.split.older, task.frozen_rows)
    task.notes["train_rows"] = len(rows)
    learned, asked = (frozen_features(_texts(one), progress=_told) for one in (rows, task.split.test))
    scaler = StandardScaler().fit(learned)
    width = np.sqrt(learned.shape[1])  # so that C means what it means in training.linear_head.head
    regression = LogisticRegression(C=2.0, max_iter=ITERATIONS, class_weight="balanced" if balanced else None)
    regression.fit(scaler.transform(learned) / width, truth_of(rows))
    return Answers.of(np.asarray(regression.predict_proba(scaler.transform(asked) / width), dtype=np.float64))


def ours(task: Task, *, name: str) -> Answers:
    """The project's own training on a snapshot of the split, then its inference engine.

    What it says about validation and test rows is kept beside the model (`logits.npz`).
    """
    split = drawn(task.split, name, seed=task.seed)
    folder = model_folder(task, split, name)
    engine = InferenceEngine.load(folder)
    sides = {"validation": split.validation, "test": split.test}
    kept: dict[str, NDArray[Any]] = {}
    for side, rows in sides.items():
        kept[side] = np.log(engine.predict(_texts(rows)).probabilities) * engine.info.temperature
        kept[f"{side}_truth"] = truth_of(rows)
    np.savez(folder / "logits.npz", allow_pickle=False, **kept)
    natural = np.bincount(truth_of(task.split.older), minlength=len(SENTIMENTS)) / len(task.split.older)
    task.notes.update({"training": OURS[name], "model": folder.name, "train_rows": len(split.train)})
    task.notes["powers"] = powers(kept, natural, learned=OURS[name].get("class_weight_power", 0.35))
    return Answers.of(softmax(kept["test"] / engine.info.temperature))


def drawn(split: Split, name: str, *, seed: int) -> Split:
    """The split as a system of ours gets it: rare classes whole, positives drawn, the weights undo the drawing."""
    most = POSITIVES.get(name)
    if most is None:
        return replace(split, validation=_sample(split.validation, VALIDATION_ROWS))
    rng, chosen = random.Random(seed), []
    by_class = {one: [row for row in split.train if row.truth == one] for one in SENTIMENTS}
    available = {one: len(rows) for one, rows in by_class.items()}
    taken = {one: min(count, most) for one, count in available.items()}
    weights = natural_weights(available, taken)
    for one, rows in by_class.items():
        chosen += [replace(row, weight=weights[one]) for row in rng.sample(rows, taken[one])]
    chosen.sort(key=lambda row: (row.reviewed_at, row.review_id))
    return replace(split, train=tuple(chosen), validation=_sample(split.validation, VALIDATION_ROWS))


def model_folder(task: Task, split: Split, name: str) -> Path:
    """The trained model of a system, trained now unless it is there; a training that was killed goes on."""
    from restar_lib.training.train import train

    snapshot = split.snapshot(task.work / "snapshots")
    chosen = sha256(json.dumps(OURS[name], sort_keys=True).encode()).hexdigest()[:8]
    final = task.work / "models" / f"{name}-{chosen}-{snapshot.snapshot_hash}-{task.seed}"
    if not final.is_dir():
        partial, checkpoints = (final.with_name(f"{final.name}.{kind}") for kind in ("partial", "checkpoints"))
        shutil.rmtree(partial, ignore_errors=True)
        task.notes["went_on_after_a_kill"] = checkpoints.is_dir()
        settings = measuring.settings_for(task.work, training={**OURS[name], "seed": task.seed})
        trained = train(snapshot, settings, out=partial, checkpoints=checkpoints, progress=_told)
        task.notes["seconds_of_steps"] = dict(trained.seconds)
        shutil.rmtree(checkpoints, ignore_errors=True)
        partial.rename(final)
    return final


def powers(kept: Mapping[str, Any], natural: Floats, *, learned: float) -> list[dict[str, Any]]:
    """What another `class_weight_power` would have given, from the same logits.

    They answer for the prior natural ** (1 - learned); adding the difference of two log priors moves them to another
    (`training.imbalance`). The temperature is fitted again on the validation rows.
    """
    found = []
    for power in POWERS:
        shift = np.log(natural) * (learned - power)
        temperature = fit_temperature(kept["validation"] + shift, kept["validation_truth"])
        one: dict[str, Any] = {"power": power}
        for side in ("validation", "test"):
            truth, answers = kept[f"{side}_truth"], Answers.of(softmax((kept[side] + shift) / temperature))
            one[side] = {key: round(value, 4) for key, value in point(truth, answers).items()}
        found.append(one)
    return found


SYSTEMS: dict[str, Callable[[Task], Answers]] = {
    "majority": majority,
    "vader": vader,
    "tfidf": tfidf,
    "tfidf_balanced": lambda task: tfidf(task, balanced=True),
    "frozen": frozen,
    "frozen_balanced": lambda task: frozen(task, balanced=True),
    "head": lambda task: ours(task, name="head"),
    "ours": lambda task: ours(task, name="ours"),
    "ours_everything": lambda task: ours(task, name="ours_everything"),
}
SEEDED = frozenset({"head", "ours", "ours_everything"})
"""Systems to which a seed makes a difference."""


def _sample(rows: Sequence[Example], count: int) -> tuple[Example, ...]:
    """So many rows by the hash of their id, in their order: both splits draw mostly the same ones. 0: all."""
    by_hash = sorted(rows, key=lambda row: sha256(row.review_id.encode()).digest())
    kept = {row.review_id for row in by_hash[: count or len(rows)]}
    return tuple(row for row in rows if row.review_id in kept)


def _told(line: str) -> None:
    print(line, flush=True)


def _texts(rows: Sequence[Example]) -> list[str]:
    return [row.text for row in rows]
