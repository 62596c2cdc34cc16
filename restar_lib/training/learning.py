"""What is learned, from which rows: the one path that every mode of training takes.

    head        frozen encoder, a head fitted on its features
    fine_tune   the same head as a start, then the whole network
    lora        the same head as a start, then adapters

It prepares the rows (sentences, doubted stars, rare classes), fits, and leaves a trained network; calibration and
export are `train`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from restar_lib.domain import Example, Side
from restar_lib.settings import Training
from restar_lib.training.head import fit_head
from restar_lib.training.imbalance import Plan, plan
from restar_lib.training.model import Progress, SentimentModel, features_of

START_ROWS: Final = 4000
"""Rows that the head is fitted on before fine-tuning: it only has to point somewhere sensible."""
History = Sequence[Mapping[str, float]]


def learn(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Mapping[Side, Sequence[Example]],
    config: Training,
    *,
    checkpoints: Path,
    progress: Progress,
) -> History:
    """Train `model` on the training rows, by the validation rows where it takes steps; returns its curves."""
    train = rows[Side.TRAIN]
    whole = _plan(train, config)
    if config.mode == "head":
        _fit(model, tokenizer, train, whole, config, progress=progress)
        return ()
    from restar_lib.training.fine_tune import Texts, fine_tune  # datasets and the Trainer take seconds to import

    start = _some(train, seed=config.seed)
    _fit(model, tokenizer, start, _plan(start, config), config, progress=progress)
    validation = rows[Side.VALIDATION]
    return fine_tune(
        model,
        tokenizer,
        train=Texts(texts=texts_of(train), truth=truth_of(train)),
        plan=whole,
        validation=Texts(texts=texts_of(validation), truth=truth_of(validation)),
        config=config,
        checkpoints=checkpoints,
        progress=progress,
    )


def truth_of(examples: Sequence[Example]) -> NDArray[np.int64]:
    """The truth of each row as a class index, [n]."""
    return np.array([example.truth.position for example in examples], dtype=np.int64)


def texts_of(examples: Sequence[Example]) -> list[str]:
    """The text of each row."""
    return [example.text for example in examples]


def _fit(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Example],
    how: Plan,
    config: Training,
    *,
    progress: Progress,
) -> None:
    progress(f"reads {len(rows):,} training reviews with the frozen encoder")
    features = features_of(model, tokenizer, texts_of(rows), long_texts=config.long_texts, progress=progress)
    fit_head(model, features, truth_of(rows), how, regularisation=config.regularisation)


def _plan(rows: Sequence[Example], config: Training) -> Plan:
    weights = np.array([row.weight for row in rows])
    return plan(truth_of(rows), weights, method=config.imbalance, power=config.class_weight_power, seed=config.seed)


def _some(rows: Sequence[Example], *, seed: int) -> Sequence[Example]:
    """At most `START_ROWS` of the rows, drawn, and all rows of a class that is too rare for a draw."""
    if len(rows) <= START_ROWS:
        return rows
    order = np.random.default_rng(seed).permutation(len(rows))
    drawn = set(order[:START_ROWS].tolist())
    truth = truth_of(rows)
    for one in np.unique(truth):
        of_class = order[truth[order] == one]
        drawn |= set(of_class[:RARE_ROWS].tolist())
    return [rows[row] for row in sorted(drawn)]


RARE_ROWS: Final = 50
"""Of each class, where there are so many."""
