"""Rare classes for `choices.py`: every way at every power, one head each on the same frozen features, calibrated.

It reads nothing: it takes the rows whose features are kept already (`frozen`), all kept ones of the newest tenth as
test. Each seed draws other validation rows (the natural mix; they fit the temperature, as every training does) and
other training rows, four fifths of what is left of each class, with the weights that undo the drawing. Ways and powers
that differ in what is added to the logits alone share one fit, which is exact for a head with a free bias.

Figures are means over the seeds; intervals are percentile bootstraps over the test rows, the same draws for every line,
so `macro-F1 minus default` is a paired comparison with what the training does by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

import numpy as np
from frozen import frozen_features, is_kept
from numpy.typing import NDArray
from real_reviews import Split

from restar_lib.dataset.snapshot import natural_weights
from restar_lib.domain import SENTIMENTS, Example
from restar_lib.evaluation.metrics import evaluate
from restar_lib.inference.engine import softmax
from restar_lib.settings import TrainingSettings
from restar_lib.training.calibration import fit_temperature
from restar_lib.training.imbalance import ClassWeighting, Method, class_weighting
from restar_lib.training.linear_head.head import fit_head
from restar_lib.training.network import SentimentModel

POWERS: Final = (0.0, 0.2, 0.35, 0.5, 0.65, 1.0)
SEEDS: Final = (1, 2, 3)
VALIDATION_ROWS: Final = 1000
TRAIN_SHARE: Final = 0.8
RESAMPLES: Final = 500
CLASSES: Final = len(SENTIMENTS)
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Row = dict[str, Any]
Key = tuple[Method, float]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows with a truth [n], their features [n, d], and how many rows of the stream each stands for [n]."""

    features: Floats
    truth: Integers
    weights: Floats

    def __getitem__(self, chosen: Integers) -> Rows:
        return Rows(features=self.features[chosen], truth=self.truth[chosen], weights=self.weights[chosen])

    @classmethod
    def kept(cls, rows: Sequence[Example]) -> Rows:
        """Those of the rows whose features are kept."""
        texts = [row.text for row in rows]
        chosen = np.flatnonzero(is_kept(texts))
        features = frozen_features([texts[row] for row in chosen.tolist()]).astype(np.float64)
        truth = np.array([rows[row].truth.position for row in chosen.tolist()], dtype=np.int64)
        return cls(features=features, truth=truth, weights=np.ones(len(chosen)))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one head says about the test rows, [n, 3], and the temperature that its validation rows asked for."""

    probabilities: Floats
    temperature: float


class Heads:
    """The heads of one seed's rows."""

    def __init__(self, model: SentimentModel, train: Rows, *, seed: int) -> None:
        self._model = model
        self._train = train
        self._seed = seed
        self._fits: dict[bytes, tuple[Floats, Floats]] = {}

    def answer(self, key: Key, validation: Rows, test: Rows) -> Answer:
        """Of the head that is fitted by one way at one power."""
        way, power = key
        how = class_weighting(self._train.truth, self._train.weights, method=way, power=power)
        weight, bias = self._fitted(replace(how, offset=np.zeros(CLASSES)))
        said = [rows.features @ weight.T + bias - how.offset for rows in (validation, test)]
        temperature = fit_temperature(said[0], validation.truth)
        return Answer(probabilities=softmax(said[1] / temperature), temperature=temperature)

    def _fitted(self, how: ClassWeighting) -> tuple[Floats, Floats]:
        key = how.weights.round(9).tobytes()
        if key not in self._fits:
            train = self._train
            fit_head(self._model, train.features, train.truth, how, regularisation=TrainingSettings().regularisation)
            head = self._model.head
            self._fits[key] = head.weight.detach().double().numpy(), head.bias.detach().double().numpy()
        return self._fits[key]


def rare_classes(split: Split, model: SentimentModel) -> dict[str, Any]:
    """The lines of the table, and what they were measured on. `model` lends its head."""
    older, test = Rows.kept(split.train), Rows.kept(split.test)
    available = np.bincount([row.truth.position for row in split.train], minlength=CLASSES)
    keys: list[Key] = [(way, power) for way in get_args(Method) for power in POWERS]
    answers: dict[Key, list[Answer]] = {key: [] for key in keys}
    for seed in SEEDS:
        train, validation = drawn(older, available, seed=seed)
        heads = Heads(model, train, seed=seed)
        for key in keys:
            answers[key].append(heads.answer(key, validation, test))
        print(f"rare classes: seed {seed}: {len(train.truth):,} training rows, every way and power", flush=True)
    about = {
        "seeds": len(SEEDS),
        "train rows by class": np.bincount(train.truth, minlength=CLASSES).tolist(),
        "validation rows": VALIDATION_ROWS,
        "test rows": len(test.truth),
    }
    return {"rare_classes": lines(test.truth, answers), "rare_classes_about": about}


def drawn(older: Rows, available: Integers, *, seed: int) -> tuple[Rows, Rows]:
    """Training and validation rows of one seed; `available` are the rows of each class in the stream."""
    rng = np.random.default_rng(seed)
    mix = np.round(VALIDATION_ROWS * available / available.sum()).astype(int)
    train, validation = [], []
    for one in range(CLASSES):
        order = rng.permutation(np.flatnonzero(older.truth == one))
        validation.append(order[: mix[one]])
        train.append(order[mix[one] :][: int(TRAIN_SHARE * (len(order) - mix[one]))])
    rows = older[np.sort(np.concatenate(train))]
    weights = natural_weights(
        dict(zip(SENTIMENTS, available.tolist(), strict=True)),
        {one: len(chosen) for one, chosen in zip(SENTIMENTS, train, strict=True)},
    )
    by_class = np.array([weights[one] for one in SENTIMENTS])
    return replace(rows, weights=by_class[rows.truth]), older[np.sort(np.concatenate(validation))]


def lines(truth: Integers, answers: Mapping[Key, Sequence[Answer]]) -> list[Row]:
    """One for each way and power."""
    config = TrainingSettings()
    rng = np.random.default_rng(3)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES)]
    scores = {key: bootstrapped(truth, found, draws) for key, found in answers.items()}
    default = scores[(config.imbalance, config.class_weight_power)]
    rows = []
    for (way, power), found in answers.items():
        score = scores[(way, power)]
        difference = "" if score is default else between(score - default)
        rows.append({"way": way, "power": power} | figures(truth, found, score, difference))
    return rows


def figures(truth: Integers, answers: Sequence[Answer], scores: Floats, difference: str) -> Row:
    """What one line of the table says."""
    found = [evaluate(truth, one.probabilities, abstain_below=0.65) for one in answers]
    macro_f1 = [one.macro_f1 for one in found]
    recalls = {
        f"recall {one}": round(float(np.mean([each.per_class[place].recall for each in found])), 3)
        for place, one in enumerate(SENTIMENTS)
    }
    return {
        "accuracy": round(float(np.mean([one.accuracy for one in found])), 4),
        "macro-F1": round(float(np.mean(macro_f1)), 4),
        "95 %": between(scores),
        "of the seeds": f"{min(macro_f1):.3f} to {max(macro_f1):.3f}",
        "macro-F1 minus default": difference,
        "log loss": round(float(np.mean([one.log_loss for one in found])), 4),
        "ECE": round(float(np.mean([one.ece for one in found])), 4),
        "temperature": round(float(np.mean([one.temperature for one in answers])), 2),
    } | recalls


def bootstrapped(truth: Integers, answers: Sequence[Answer], draws: Sequence[Integers]) -> Floats:
    """Macro-F1 of each draw of the test rows, the mean over the seeds."""
    cells = [truth * CLASSES + one.probabilities.argmax(axis=1) for one in answers]
    return np.array([np.mean([_macro_f1(one[draw]) for one in cells]) for draw in draws])


def _macro_f1(cells: Integers) -> float:
    confusion = np.bincount(cells, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    either = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float((2 * confusion.diagonal() / np.maximum(either, 1)).mean())


def between(scores: Floats) -> str:
    """The 95 % interval of bootstrapped scores."""
    low, high = np.quantile(scores, [0.025, 0.975])
    return f"{low:.3f} to {high:.3f}"
