"""Does training on sentences, which inherit their review's stars, make a better reader of sentences, and of reviews.

Heads on the frozen encoder's features, three ways to learn from the same real reviews: whole texts (the default), whole
texts and their sentences (`training.sentences`), sentences alone. Judged on sentences that people labelled and nobody
learned from (UCI: two clear-cut classes; movie snippets: 15 to 29 raters, cut into three classes as in `human.py`), and
on whole reviews, which must not suffer. Probabilities are calibrated on whole reviews, as in training. Differences to
whole texts are paired bootstraps, 95 %.

    nice python benchmarks/sentences.py --reviews FOLDER [--rows N] [--test-rows N]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import measuring
import numpy as np
import real_reviews
from frozen import frozen_features
from heads import Floats, Integers, Scale, fit
from human import NEUTRAL_WITHIN, SENTENCES, SNIPPETS
from numpy.typing import NDArray
from stars import sample

from restar_lib.dataset.arrays import truth_of
from restar_lib.domain import Example, Sentiment
from restar_lib.evaluation.intervals import over_rows
from restar_lib.evaluation.metrics import confusion_matrix, expected_calibration_error, macro_f1
from restar_lib.evaluation.ordinal import rank_correlation
from restar_lib.inference.engine import softmax
from restar_lib.sentences import inherit
from restar_lib.text import plain_text
from restar_lib.training.calibration import fit_temperature

RESULT = "sentences"
SNIPPET_ROWS = 3000
RESAMPLES = 500
ABSTAIN_BELOW = 0.65
WAYS = {"whole texts": None, "texts and sentences": 0.5, "sentences alone": 0.0}
"""How much of a review's weight its whole text keeps; None: it is not split at all."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Texts with a truth."""

    texts: tuple[str, ...]
    truth: Integers
    graded: Floats
    """How good people say it is: a mean rating, or stars."""
    two_classes: bool = False
    """Neutral is never right: the likelier of the others is taken."""


def main() -> int:
    """Measure, print, keep."""
    arguments = parse_arguments()
    folder = real_reviews.folder_of(arguments, SENTENCES, SNIPPETS, *real_reviews.PATTERNS)
    split = real_reviews.within_sources(real_reviews.pool(folder))
    train, held = sample(split.train, arguments.rows), sample(split.test, 2 * arguments.test_rows)
    # Half of the newest reviews calibrates, the other half judges.
    validation, test = held[::2], held[1::2]
    judges = {
        "UCI sentences": _uci(folder / SENTENCES),
        "movie snippets": _snippets(folder / SNIPPETS),
        "whole reviews": _reviews(test),
    }
    answers = {way: _answers(_rows(train, whole), validation, judges) for way, whole in WAYS.items()}
    result: dict[str, Any] = {
        "rows": {"reviews": len(train), "as sentences": len(inherit(train, whole=0.0))}
        | {name: len(judge.truth) for name, judge in judges.items()},
        "systems": {
            name: {way: figures(judge, answers[way][name], base=answers["whole texts"][name], way=way) for way in WAYS}
            for name, judge in judges.items()
        },
    }
    measuring.save(RESULT, result)
    for name, systems in result["systems"].items():
        columns = list(next(iter(systems.values())))
        shown = [(way, *(found.get(column, "") for column in columns)) for way, found in systems.items()]
        print(measuring.table(name, ("", *columns), shown))
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    real_reviews.add_argument(parser)
    parser.add_argument("--rows", type=int, default=3000, help="reviews to learn from")
    parser.add_argument("--test-rows", type=int, default=2000)
    return parser.parse_args()


def figures(judge: Judge, answers: Floats, *, base: Floats, way: str) -> dict[str, Any]:
    """What a way of learning is worth on these texts, and by how much it beats the whole texts."""
    rng = np.random.default_rng(0)
    rows = len(judge.truth)
    score, other = (_score(judge, found) for found in (answers, base))
    found: dict[str, Any] = {
        "macro-F1": round(float(score(np.arange(rows))), 4),
        "accuracy": round(float((_classes(judge, answers) == judge.truth).mean()), 4),
        "rank correlation": round(rank_correlation(judge.graded, answers[:, 2] - answers[:, 0]), 4),
        "calibration error": round(
            expected_calibration_error(answers.max(axis=1), answers.argmax(axis=1) == judge.truth), 4
        ),
        "answered": round(float((answers.max(axis=1) >= ABSTAIN_BELOW).mean()), 4),
    }
    if way != "whole texts":
        gain = over_rows(lambda at: score(at) - other(at), rows, resamples=RESAMPLES, rng=rng)
        found["macro-F1 gained"] = "" if gain is None else f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    else:
        found["macro-F1 gained"] = ""
    return found


def _score(judge: Judge, answers: Floats) -> Callable[[NDArray[np.int64]], float]:
    predicted = _classes(judge, answers)
    return lambda at: float(macro_f1(confusion_matrix(judge.truth[at], predicted[at])))


def _classes(judge: Judge, answers: Floats) -> Integers:
    if not judge.two_classes:
        return np.asarray(answers.argmax(axis=1), dtype=np.int64)
    return np.asarray(np.where(answers[:, 2] >= answers[:, 0], 2, 0), dtype=np.int64)


def _rows(train: Sequence[Example], whole: float | None) -> Sequence[Example]:
    return train if whole is None else inherit(train, whole=whole)


def _answers(rows: Sequence[Example], validation: Sequence[Example], judges: dict[str, Judge]) -> dict[str, Floats]:
    """Calibrated probabilities [n, 3] of a head that learned from these rows, for each judge."""
    features = frozen_features([row.text for row in rows])
    scale = Scale.of(features)
    weights = np.array([row.weight for row in rows])
    head = fit(scale(features), truth_of(rows), weights)

    def logits(texts: Sequence[str]) -> Floats:
        return np.asarray(head.decision_function(scale(frozen_features(texts))))

    truth = truth_of(validation)
    temperature = fit_temperature(logits([row.text for row in validation]), truth)
    return {name: softmax(logits(judge.texts) / temperature) for name, judge in judges.items()}


def _uci(file: Any) -> Judge:
    rows = list(real_reviews.lines_of(file))
    truth = np.array([Sentiment(row["label"]).position for row in rows], dtype=np.int64)
    return Judge(texts=_texts(rows), truth=truth, graded=truth.astype(float), two_classes=True)


def _snippets(file: Any) -> Judge:
    rows = random.Random(0).sample(list(real_reviews.lines_of(file)), SNIPPET_ROWS)
    means = np.array([row["mean"] for row in rows])
    truth = np.where(means > NEUTRAL_WITHIN, 2, np.where(means < -NEUTRAL_WITHIN, 0, 1))
    return Judge(texts=_texts(rows), truth=truth, graded=means)


def _reviews(rows: Sequence[Example]) -> Judge:
    return Judge(
        texts=tuple(row.text for row in rows),
        truth=truth_of(rows),
        graded=np.array([row.rating or 0 for row in rows], dtype=np.float64),
    )


def _texts(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(plain_text(row["text"]) for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
