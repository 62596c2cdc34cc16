"""Stars: does the audit find those that lie, does doubting them help a training, which expected stars are best.

On real reviews (the pool's `within_sources` split), with heads on the frozen encoder's features, several seeds:

- audit: a share of the stars is turned into another class; how many of the most doubted were turned (precision among
  the first 100 and among as many as were turned, average precision). Real stars lie too, so 1.0 cannot be reached.
- training: macro-F1 on untouched test rows of a head that learned from turned stars: as they are, with doubted stars
  weighed less (`training.doubt_stars`), and, as the best that could be, without the turned ones.
- expected stars: mean absolute error and rank correlations on test rows, of the mean stars of three classes (the
  default), of five classes, of a cumulative logit, and of each rounded to whole stars.
- simulated reviews, whose stars contradict their text at a known rate.

    nice python benchmarks/stars.py --reviews FOLDER [--rows N] [--test-rows N] [--seeds N]
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from itertools import count
from typing import Any

import measuring
import numpy as np
import real_reviews
from frozen import frozen_features
from heads import Floats, Integers, Scale, fit
from numpy.typing import NDArray

from restar_lib.domain import Example, Review, weak_label
from restar_lib.evaluation.metrics import confusion_matrix, macro_f1
from restar_lib.evaluation.ordinal import mean_absolute_error, rank_agreement, rank_correlation
from restar_lib.ingest.cleaning import clean
from restar_lib.ingest.simulated import review, true_sentiment
from restar_lib.settings import Ingest, Simulated
from restar_lib.stars.doubt import doubt, doubt_weights

RATES = (0.05, 0.1, 0.2)
FIRST = 100
SIMULATED_ROWS = 2000
RESULT = "stars"


def main() -> int:
    """Measure, print, keep."""
    arguments = parse_arguments()
    split = real_reviews.within_sources(real_reviews.pool(real_reviews.folder_of(arguments)))
    train, test = sample(split.train, arguments.rows), sample(split.test, arguments.test_rows)
    features = frozen_features([row.text for row in (*train, *test)])
    rows = Rows(train, test, features)
    seeds = range(arguments.seeds)
    result = {
        "rows": {"train": len(train), "test": len(test), "seeds": arguments.seeds},
        "audit": {f"{rate:.0%}": averaged([audit(rows, rate=rate, seed=seed) for seed in seeds]) for rate in RATES},
        "training": {
            f"{rate:.0%}": averaged([training(rows, rate=rate, seed=seed) for seed in seeds]) for rate in (0.0, *RATES)
        },
        "expected stars": expected_stars(rows),
        "simulated": simulated(),
    }
    measuring.save(RESULT, result)
    show(result)
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    real_reviews.add_argument(parser)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--test-rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=5)
    return parser.parse_args()


def sample(examples: Sequence[Example], rows: int) -> list[Example]:
    """The same rows whenever asked: those whose text has the smallest hash, as good as at random."""
    return sorted(examples, key=lambda one: hashlib.sha256(one.text.encode()).digest())[:rows]


class Rows:
    """Training and test rows as arrays; features are standardised by the training rows."""

    def __init__(self, train: Sequence[Example], test: Sequence[Example], features: NDArray[np.float32]) -> None:
        self.raw = features[: len(train)]
        scale = Scale.of(self.raw)
        self.train, self.test = scale(self.raw), scale(features[len(train) :])
        self.stars = np.array([row.rating or 0 for row in train])
        self.test_stars = np.array([row.rating or 0 for row in test], dtype=np.float64)
        self.truth = np.array([row.truth.position for row in train], dtype=np.int64)
        self.test_truth = np.array([row.truth.position for row in test], dtype=np.int64)

    def turned(self, rate: float, seed: int) -> tuple[Integers, NDArray[np.bool_]]:
        """Labels, of which the share `rate` was turned into one of the two other classes, and which ones."""
        rng = np.random.default_rng(seed)
        turned = rng.random(len(self.truth)) < rate
        return np.where(turned, (self.truth + rng.integers(1, 3, len(self.truth))) % 3, self.truth), turned


def audit(rows: Rows, *, rate: float, seed: int) -> dict[str, float]:
    """How well turned stars are found."""
    given, turned = rows.turned(rate, seed)
    found = doubt(rows.raw, given, np.ones(len(given)), seed=seed)
    return found_well(found.quality, found.doubted, turned)


def found_well(quality: Floats, doubted: NDArray[np.bool_], turned: NDArray[np.bool_]) -> dict[str, float]:
    """Figures of a ranking: low quality should be turned."""
    from sklearn.metrics import average_precision_score

    order = np.argsort(quality, kind="stable")
    return {
        f"precision at {FIRST}": float(turned[order[:FIRST]].mean()),
        "precision at as many as turned": float(turned[order[: turned.sum()]].mean()),
        "average precision": float(average_precision_score(turned, -quality)),
        "doubted": float(doubted.mean()),
        "of the doubted turned": float(turned[doubted].mean()),
        "of the turned doubted": float(doubted[turned].mean()),
    }


def training(rows: Rows, *, rate: float, seed: int) -> dict[str, float]:
    """Macro-F1 and accuracy on test rows, by how the turned stars are met."""
    given, turned = rows.turned(rate, seed)
    even = np.ones(len(given))
    doubting = doubt_weights(rows.raw, given, even, np.zeros(len(given), dtype=bool), seed=seed)
    ways = {"as they are": even, "doubted": doubting, "without the turned": np.where(turned, 1e-9, 1.0)}
    figures = {}
    for way, weights in ways.items():
        predicted = fit(rows.train, given, weights).predict(rows.test)
        figures[f"macro-F1, {way}"] = float(macro_f1(confusion_matrix(rows.test_truth, predicted)))
        figures[f"accuracy, {way}"] = float((predicted == rows.test_truth).mean())
    return figures


def expected_stars(rows: Rows) -> dict[str, dict[str, float]]:
    """How far off expected stars are on test rows, by how they come about."""
    means = np.array([rows.stars[rows.truth == one].mean() for one in range(3)])
    three = fit(rows.train, rows.truth).predict_proba(rows.test) @ means
    five = fit(rows.train, rows.stars, classes=5).predict_proba(rows.test) @ np.arange(1, 6)
    # At least k stars or not, for k from 2 to 5 (Frank & Hall 2001): the sum of the probabilities counts the stars.
    above = [
        fit(rows.train, (rows.stars >= k).astype(np.int64), classes=2).predict_proba(rows.test) for k in range(2, 6)
    ]
    cumulative = 1 + np.sum([one[:, 1] for one in above], axis=0)
    ways = {
        "always 5 stars": np.full(len(three), 5.0),
        "mean stars of three classes": three,
        "five classes": five,
        "cumulative logit": cumulative,
        "five classes, rounded": np.round(five),
    }
    return {
        way: {
            "mean absolute error": mean_absolute_error(rows.test_stars, found),
            "Spearman": rank_correlation(rows.test_stars, found),
            "Kendall": rank_agreement(rows.test_stars, found),
            "root mean square error": float(np.sqrt(((rows.test_stars - found) ** 2).mean())),
        }
        for way, found in ways.items()
    }


def simulated() -> dict[str, float]:
    """How well the simulator's contradictions are found."""
    config, texts = Simulated(), set[str]()
    reviews: list[Review] = []
    for number in count():
        one = clean(review(number, config), Ingest(), source="simulated")
        if isinstance(one, Review) and one.rating and one.text_hash not in texts:
            texts.add(one.text_hash)
            reviews.append(one)
        if len(reviews) == SIMULATED_ROWS:
            break
    given = np.array([weak_label(one.rating or 0).position for one in reviews], dtype=np.int64)
    true = np.array([true_sentiment(one.review_id, config).position for one in reviews], dtype=np.int64)
    features = frozen_features([one.text for one in reviews])
    found = doubt(features, given, np.ones(len(given)), seed=0)
    return {"contradicting": float((given != true).mean()), **found_well(found.quality, found.doubted, given != true)}


def averaged(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the seeds, and how far the seeds are apart (standard deviation)."""
    return {
        **{name: round(float(np.mean([run[name] for run in runs])), 4) for name in runs[0]},
        **{f"{name} +-": round(float(np.std([run[name] for run in runs])), 4) for name in runs[0]},
    }


def show(result: dict[str, Any]) -> None:
    """The tables."""
    for title in ("audit", "training", "expected stars"):
        part = result[title]
        columns = [name for name in next(iter(part.values())) if not name.endswith("+-")]
        print(measuring.table(title, ("", *columns), [(row, *(part[row][name] for name in columns)) for row in part]))
    print(measuring.table("simulated", ("", ""), list(result["simulated"].items())))


if __name__ == "__main__":
    raise SystemExit(main())
