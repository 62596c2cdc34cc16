"""The training procedure that all modes share: which rows are learned from, with which weights.

    head        frozen encoder, a head fitted on its features
    fine_tune   the same head as a start, then the whole network
    lora        the same head as a start, then adapters
    increment   the champion, its head moved by the rows that it has not learned from

It prepares the rows (sentences, doubted stars, rare classes), fits and calibrates, and returns which stars are doubted
most (`label_quality.doubted_labels`), from the same features. The export is done in `train`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from restar_lib import sentences
from restar_lib.dataset.arrays import texts_of, truth_of
from restar_lib.domain import SENTIMENTS, Example, Sentiment, Side, TruthSource
from restar_lib.errors import NothingToDo
from restar_lib.feature_scaling import Features
from restar_lib.label_quality.doubted_labels import DoubtedLabels, most_doubted
from restar_lib.settings import TrainingSettings
from restar_lib.training.calibration import fit_temperature
from restar_lib.training.imbalance import ClassWeighting, class_weighting
from restar_lib.training.linear_head.head import fit_head
from restar_lib.training.linear_head.increment import fresh_rows, start_class, update_head
from restar_lib.training.network import Progress, SentimentModel, features_of, logits_of

START_ROWS: Final = 4000
"""Rows that the head is fitted on before fine-tuning: it is only a starting point. The stars of so many rows are judged
too, in every mode: that takes seconds however large the training set is."""
RARE_ROWS: Final = 50
"""Of each class among them, where there are so many."""
History = Sequence[Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """What a training returns beside the network."""

    history: History = ()
    """The curves."""
    doubted: DoubtedLabels
    """The stars that it doubts."""


class Learner:
    """Trains one network by one configuration."""

    def __init__(
        self,
        model: SentimentModel,
        tokenizer: PreTrainedTokenizerBase,
        config: TrainingSettings,
        *,
        progress: Progress,
        unjudged: str = "",
        device: torch.device | None = None,
    ) -> None:
        """`model` is trained in place. `unjudged` says why stars are not to be judged; empty: they are.

        Rows are read on `device`, by default on `training_device()`.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._config = config
        self._progress = progress
        self._unjudged = unjudged
        self._device = device

    def learn(self, rows: Mapping[Side, Sequence[Example]], *, checkpoints: Path) -> TrainingOutcome:
        """Train on the training rows, by the validation rows where it takes steps."""
        train = rows[Side.TRAIN]
        if self._config.sentences:
            train = sentences.inherit(train)
            self._progress(f"{len(rows[Side.TRAIN]):,} training reviews, with their sentences {len(train):,} rows")
        weights = np.array([row.weight for row in train])
        if self._config.mode == "head" or self._config.doubt_stars:
            features = self._features(train)
            doubted = self._judge(train, features, weights, whole=whole_rows(train))
            if self._config.doubt_stars:
                weights = self._doubt(train, features, weights)
            self._fit(features, train, weights)
        else:
            some = _some(truth_of(train), seed=self._config.seed)
            start = [train[row] for row in some]
            features = self._features(start)
            doubted = self._judge(start, features, weights[some], whole=whole_rows(train)[some])
            self._fit(features, start, weights[some])
        if self._config.mode == "head":
            return TrainingOutcome(doubted=doubted)
        history = self._fine_tune(train, weights, rows[Side.VALIDATION], checkpoints=checkpoints)
        return TrainingOutcome(history=history, doubted=doubted)

    def update_champion_head(
        self, train: Sequence[Example], *, seen: Sequence[Example], learned: Collection[str] = tuple(SENTIMENTS)
    ) -> None:
        """Move the champion's head by the rows of `train` that are not in `seen`, what the champion learned from.

        `learned` are the classes that it knows; another one begins at its share of the rows. Raises `NothingToDo` where
        all rows were seen.
        """
        fresh = fresh_rows(train, seen)
        if not fresh.any():
            raise NothingToDo("the champion has learned from every row of this snapshot: there is nothing to add")
        chosen = [row for row, is_fresh in zip(train, fresh, strict=True) if is_fresh]
        # The champion's head was trained for the re-weighted mix; a fresh row gets its weight from the mix of all rows.
        weights = np.array([row.weight for row in train])
        config = self._config
        self._start_new_classes(train, chosen, learned)
        how = class_weighting(truth_of(train), weights, method="reweight", power=config.class_weight_power)
        self._progress(f"moves the champion's head by {len(chosen):,} fresh rows of {len(train):,}")
        update_head(
            self._model,
            self._features(chosen),
            truth_of(chosen),
            how.weights[fresh],
            strength=config.increment_strength,
        )

    def _start_new_classes(self, train: Sequence[Example], fresh: Sequence[Example], learned: Collection[str]) -> None:
        new: set[Sentiment] = {row.truth for row in fresh if row.truth not in learned}
        for sentiment in sorted(new):
            of_class = sum(row.truth is sentiment for row in train)
            self._progress(f"the champion has never learned {sentiment}: it begins at {of_class:,} of {len(train):,}")
            start_class(self._model, sentiment.position, share=of_class / len(train))

    def calibrate(self, validation: Sequence[Example]) -> tuple[NDArray[np.float64], float]:
        """The network's logits on the validation rows, [n, 3], and the temperature fitted on them."""
        config = self._config
        texts = texts_of(validation)
        logits = logits_of(
            self._model,
            self._tokenizer,
            texts,
            long_texts=config.long_texts,
            device=self._device,
            progress=self._progress,
        )
        return logits, fit_temperature(logits, truth_of(validation), progress=self._progress)

    def _features(self, rows: Sequence[Example]) -> Features:
        self._progress(f"reads {len(rows):,} training rows with the frozen encoder")
        return features_of(
            self._model,
            self._tokenizer,
            texts_of(rows),
            long_texts=self._config.long_texts,
            device=self._device,
            progress=self._progress,
        )

    def _judge(
        self,
        rows: Sequence[Example],
        features: Features,
        weights: NDArray[np.float64],
        *,
        whole: NDArray[np.bool_],
    ) -> DoubtedLabels:
        """Which stars are doubted most, among the rows that are `whole` reviews."""
        if self._unjudged:
            return DoubtedLabels(unjudged=self._unjudged)
        reviews = np.flatnonzero(whole)
        judged = reviews[_some(truth_of(rows)[reviews], seed=self._config.seed)]
        found = most_doubted([rows[row] for row in judged], features[judged], weights[judged], seed=self._config.seed)
        self._progress(
            f"stars that nobody has answered: of {found.judged:,} that were judged {found.doubted:,} are doubted"
            + (f" ({found.unjudged})" if found.unjudged else "")
        )
        return found

    def _doubt(self, rows: Sequence[Example], features: Features, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        from restar_lib.label_quality.confident_learning import doubt_weights

        people = np.array([row.truth_source is TruthSource.PEOPLE for row in rows])
        # The sentences of a review stay together: none is judged by a model that has learned the review's stars.
        reviews = np.array([row.review_id for row in rows])
        doubted = doubt_weights(features, truth_of(rows), weights, people, seed=self._config.seed, groups=reviews)
        self._progress(
            f"confident learning doubts the stars of {int((doubted < weights).sum()):,} rows: they weigh less"
        )
        return doubted

    def _fit(self, features: Features, rows: Sequence[Example], weights: NDArray[np.float64]) -> None:
        truth = truth_of(rows)
        fit_head(
            self._model, features, truth, self._weighting(truth, weights), regularisation=self._config.regularisation
        )

    def _weighting(self, truth: NDArray[np.int64], weights: NDArray[np.float64]) -> ClassWeighting:
        config = self._config
        return class_weighting(truth, weights, method=config.imbalance, power=config.class_weight_power)

    def _fine_tune(
        self,
        train: Sequence[Example],
        weights: NDArray[np.float64],
        validation: Sequence[Example],
        *,
        checkpoints: Path,
    ) -> History:
        from restar_lib.training.fine_tuning.fine_tune import fine_tune
        from restar_lib.training.fine_tuning.learn import LabeledTexts

        truth = truth_of(train)
        return fine_tune(
            self._model,
            self._tokenizer,
            train=LabeledTexts(texts=texts_of(train), truth=truth),
            weighting=self._weighting(truth, weights),
            validation=LabeledTexts(texts=texts_of(validation), truth=truth_of(validation)),
            config=self._config,
            checkpoints=checkpoints,
            progress=self._progress,
        )


def whole_rows(examples: Sequence[Example]) -> NDArray[np.bool_]:
    """Which rows are whole reviews and no sentence of one, [n]: the first of each review."""
    _, first = np.unique([example.review_id for example in examples], return_index=True)
    return np.isin(np.arange(len(examples)), first)


def _some(truth: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """Indices of `START_ROWS` rows, drawn, and of some more of a class that is too rare for the draw."""
    order = np.random.default_rng(seed).permutation(len(truth))
    rare = [order[truth[order] == one][:RARE_ROWS] for one in np.unique(truth)]
    return np.unique(np.concatenate([order[:START_ROWS], *rare]))
