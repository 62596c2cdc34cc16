"""One history of the loop on frozen features: window after window arrives, people answer some of it, a head is trained.

Stars of training rows are corrupted (another class, drawn evenly); a person who is asked gives the true stars back, and
their answer weighs as much as labels of people do by default. Fitting, imbalance, averaging and the nightly update are
the project's own functions on a network that is nothing but its head. Test rows are never corrupted and never asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
from loop_features import Frozen
from numpy.typing import NDArray
from torch import nn  # noqa: TID253 - it is about training

from restar_lib.evaluation.metrics import confusion_matrix, macro_f1
from restar_lib.inference.engine import softmax
from restar_lib.label_quality.confident_learning import doubt_weights
from restar_lib.selection import margin_ambiguity
from restar_lib.settings import DatasetSettings, TrainingSettings
from restar_lib.training.calibration import fit_temperature
from restar_lib.training.imbalance import class_weighting
from restar_lib.training.linear_head.head import fit_head
from restar_lib.training.linear_head.increment import updated
from restar_lib.training.network import SentimentModel

VALIDATION_SHARE = 0.1
CLASSES = 3
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Asking(StrEnum):
    """Which reviews of a window people answer."""

    NOBODY = "nobody"
    UNSURE = "unsure"
    """Where the model of the turn before is least sure."""
    DOUBTED = "doubted"
    """Where that model most contradicts the stars."""
    EVERYBODY = "everybody"
    """All stars are true: the ceiling."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A linear head and its temperature."""

    weight: Floats
    bias: Floats
    temperature: float = 1.0

    def logits(self, features: Floats) -> Floats:
        """Calibrated, [n, 3]."""
        return np.asarray((features @ self.weight.T + self.bias) / self.temperature)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What one seed decides: which stars are wrong, and which rows are kept for calibration."""

    frozen: Frozen
    stars: Integers
    """The truth, with some of it corrupted."""
    is_validation: NDArray[np.bool_]
    windows: tuple[tuple[int, ...], ...]
    """The years of each window; the years after the last one are the newest test rows."""
    seed: int

    @classmethod
    def of(
        cls,
        frozen: Frozen,
        *,
        windows: tuple[tuple[int, ...], ...],
        corrupted: float,
        seed: int,
    ) -> Stream:
        """Corrupt a share of the stars, each into one of the other classes."""
        rng = np.random.default_rng(seed)
        wrong = rng.random(len(frozen.truth)) < corrupted
        other = (frozen.truth + rng.integers(1, CLASSES, size=len(frozen.truth))) % CLASSES
        return cls(
            frozen=frozen,
            stars=np.where(wrong, other, frozen.truth),
            is_validation=rng.random(len(frozen.truth)) < VALIDATION_SHARE,
            windows=windows,
            seed=seed,
        )

    def rows(self, years: Sequence[int], *, validation: bool = False) -> Integers:
        """Training (or validation) rows of these years."""
        return np.flatnonzero(np.isin(self.frozen.year, years) & (self.is_validation == validation))

    @cached_property
    def newest(self) -> Integers:
        """All rows after the last window."""
        return np.flatnonzero(self.frozen.year > max(max(years) for years in self.windows))

    def after(self, turn: int) -> Integers:
        """All rows of the window that follows on a turn."""
        following = self.windows[turn + 1 : turn + 2]
        return np.flatnonzero(np.isin(self.frozen.year, following[0])) if following else self.newest

    def features(self, rows: Integers) -> Floats:
        """Of these rows, as the project's functions take them."""
        return self.frozen.features[rows].astype(np.float64)


@dataclass(kw_only=True)
class Turns:
    """A history under one way of asking; `heads` grows by one a turn."""

    stream: Stream
    asking: Asking
    share: float = 0.1
    """Of each window, that people answer."""
    strength: float | None = None
    """None: a new head on everything each turn; else the head of the turn before is moved by the new window alone."""
    doubts: bool = False
    """Whether stars that confident learning doubts weigh less, as with `training.doubt_stars`."""
    heads: list[Head] = field(default_factory=list)
    asked: list[Integers] = field(default_factory=list)

    def play(self) -> None:
        """All windows, one after the other."""
        for turn in range(len(self.stream.windows)):
            self.asked.append(self._ask(turn))
            self.heads.append(self._calibrated(self._learn(turn), turn))

    def _ask(self, turn: int) -> Integers:
        stream, rows = self.stream, self.stream.rows(self.stream.windows[turn])
        count = round(self.share * len(rows))
        if self.asking is Asking.NOBODY:
            return rows[:0]
        if self.asking is Asking.EVERYBODY:
            return rows
        if not self.heads:  # no model yet: whom to ask is drawn
            return np.random.default_rng([stream.seed, turn]).permutation(rows)[:count]
        probabilities = softmax(self.heads[-1].logits(stream.features(rows)))
        worth = margin_ambiguity(probabilities)
        if self.asking is Asking.DOUBTED:
            worth = probabilities.max(axis=1) - probabilities[np.arange(len(rows)), stream.stars[rows]]
        return rows[np.argsort(-worth, kind="stable")[:count]]

    def _learn(self, turn: int) -> Head:
        years = [year for window in self.stream.windows[: turn + 1] for year in window]
        everything = self.stream.rows(years)
        truth, weights = self._labelled(everything)
        config = TrainingSettings()
        if self.doubts:
            people = np.isin(everything, np.concatenate(self.asked))
            weights = doubt_weights(self.stream.features(everything), truth, weights, people, seed=self.stream.seed)
        how = class_weighting(truth, weights, method=config.imbalance, power=config.class_weight_power)
        if self.strength is None or not self.heads:
            model = SentimentModel(nn.Identity(), width=self.stream.frozen.features.shape[1], pooled_layers=1)
            fit_head(model, self.stream.features(everything), truth, how, regularisation=config.regularisation)
            return Head(
                weight=model.head.weight.detach().double().numpy(), bias=model.head.bias.detach().double().numpy()
            )
        before, fresh = self.heads[-1], np.isin(self.stream.frozen.year[everything], self.stream.windows[turn])
        weight, bias = updated(
            before.weight,
            before.bias,
            self.stream.features(everything[fresh]),
            truth[fresh],
            how.weights[fresh],
            strength=self.strength,
        )
        return Head(weight=weight, bias=bias)

    def _labelled(self, rows: Integers) -> tuple[Integers, Floats]:
        asked = np.isin(rows, np.concatenate(self.asked))
        truth = np.where(asked, self.stream.frozen.truth[rows], self.stream.stars[rows])
        # Where everybody is asked nobody outweighs anybody.
        people = 1.0 if self.asking is Asking.EVERYBODY else DatasetSettings().people_weight
        return truth, np.where(asked, people, 1.0)

    def _calibrated(self, head: Head, turn: int) -> Head:
        years = [year for window in self.stream.windows[: turn + 1] for year in window]
        rows = self.stream.rows(years, validation=True)
        truth = (self.stream.frozen.truth if self.asking is Asking.EVERYBODY else self.stream.stars)[rows]
        temperature = fit_temperature(head.logits(self.stream.features(rows)), truth)
        return Head(weight=head.weight, bias=head.bias, temperature=temperature)


def averaged(heads: Sequence[Head], *, last: int) -> list[Head]:
    """For each turn the mean of its head and the ones before it, `last` at most: `training.ensemble`'s average."""
    found = []
    for turn in range(len(heads)):
        members = heads[max(0, turn + 1 - last) : turn + 1]
        weight = np.mean([one.weight / one.temperature for one in members], axis=0)
        found.append(Head(weight=weight, bias=np.mean([one.bias / one.temperature for one in members], axis=0)))
    return found


def scores(heads: Sequence[Head], stream: Stream) -> dict[str, list[float]]:
    """Macro-F1 and accuracy of each turn's head on the newest rows, and macro-F1 on the window that comes next."""
    newest = [_confusion(head, stream, stream.newest) for head in heads]
    following = [_confusion(head, stream, stream.after(turn)) for turn, head in enumerate(heads)]
    return {
        "macro_f1_newest": [float(macro_f1(one)) for one in newest],
        "accuracy_newest": [float(np.trace(one) / one.sum()) for one in newest],
        "macro_f1_next": [float(macro_f1(one)) for one in following],
    }


def _confusion(head: Head, stream: Stream, rows: Integers) -> Integers:
    return confusion_matrix(stream.frozen.truth[rows], head.logits(stream.features(rows)).argmax(axis=1))
