"""Stars: does the audit find those that lie, does doubting them help a training, which expected stars are best.

On real reviews (the pool's `within_sources` split), with heads on the frozen encoder's features, several seeds:

- audit: a share of the stars is turned into another class; how many of the most doubted were turned (precision among
  the first 100 and among as many as were turned, average precision). Real stars lie too, so 1.0 cannot be reached.
- training: macro-F1 on untouched test rows of a head that learned from turned stars: as they are, with doubted stars
  weighed less (`training.doubt_stars`), and, as the best that could be, without the turned ones.
- expected stars: mean absolute error and rank correlations on test rows, of three classes at the mean stars of their
  training rows or at stars that were fitted on validation rows, five classes, a cumulative logit.
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

from restar_lib.dataset.arrays import truth_of
from restar_lib.domain import Example, Review, weak_label
from restar_lib.evaluation.intervals import over_rows
from restar_lib.evaluation.metrics import confusion_matrix, macro_f1
from restar_lib.evaluation.ordinal import mean_absolute_error, rank_agreement, rank_correlation, stars_of_classes
from restar_lib.inference.engine import softmax
from restar_lib.ingest.cleaning.clean import clean
from restar_lib.label_quality.confident_learning import FOLDS, doubt, judge, out_of_sample, reduced_weights
from restar_lib.settings import IngestSettings, SimulatedSettings
from restar_lib.simulator.reviews import review, true_sentiment
from restar_lib.training.calibration import fit_temperature

RATES = (0.0, 0.05, 0.1, 0.2)
FIRST = 100
RESAMPLES = 300
SIMULATED_ROWS = 2000
RESULT = "stars"


def main() -> int:
    """Measure, print, keep."""
    arguments = parse_arguments()
    split = real_reviews.within_sources(real_reviews.pool(real_reviews.folder_of(arguments)))
    train, test = sample(split.train, arguments.rows), sample(split.test, arguments.test_rows)
    features = frozen_features([row.text for row in (*train, *test)])
    rows = Rows(train, test, features)
    result: dict[str, Any] = {"rows": {"train": len(train), "test": len(test), "seeds": arguments.seeds}}
    result["expected stars"] = expected_stars(rows)
    result["turned stars"] = {}
    for rate in RATES:
        result["turned stars"][f"{rate:.0%}"] = averaged([turned(rows, rate, seed) for seed in range(arguments.seeds)])
        measuring.save(RESULT, result)
    result["simulated"] = simulated()
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
        self.truth = truth_of(train)
        self.test_truth = truth_of(test)

    def turned(self, rate: float, seed: int) -> tuple[Integers, NDArray[np.bool_]]:
        """Labels, of which the share `rate` was turned into one of the two other classes, and which ones."""
        rng = np.random.default_rng(seed)
        turned = rng.random(len(self.truth)) < rate
        return np.where(turned, (self.truth + rng.integers(1, 3, len(self.truth))) % 3, self.truth), turned


def turned(rows: Rows, rate: float, seed: int) -> dict[str, float]:
    """How well turned stars are found, and what a head is worth on test rows by how it meets them."""
    given, wrong = rows.turned(rate, seed)
    even, nobody = np.ones(len(given)), np.zeros(len(given), dtype=bool)
    probabilities = out_of_sample(rows.raw, given, even, folds=FOLDS, seed=seed)
    found = judge(given, probabilities)
    ways = {
        "as they are": even,
        "doubted": reduced_weights(given, probabilities, even, nobody),
        "without the turned": np.where(wrong, 1e-9, 1.0),
    }
    figures = found_well(found.quality, found.doubted, wrong) if rate else {"doubted": float(found.doubted.mean())}
    for way, weights in ways.items():
        predicted = fit(rows.train, given, weights).predict(rows.test)
        figures[f"macro-F1, {way}"] = float(macro_f1(confusion_matrix(rows.test_truth, predicted)))
        figures[f"accuracy, {way}"] = float((predicted == rows.test_truth).mean())
    print(f"{rate:.0%} turned, seed {seed}: {figures}")
    return figures


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


def expected_stars(rows: Rows) -> dict[str, dict[str, float | str]]:
    """How far off expected stars are on half of the test rows, by how they come about; the other half calibrates."""
    validation, test = np.arange(len(rows.test))[::2], np.arange(len(rows.test))[1::2]
    head = fit(rows.train, rows.truth)
    logits = np.asarray(head.decision_function(rows.test))
    three = softmax(logits / fit_temperature(logits[validation], rows.test_truth[validation]))
    means = np.array([rows.stars[rows.truth == one].mean() for one in range(3)])
    fitted = stars_of_classes(three[validation], rows.test_stars[validation], means=means)
    five = fit(rows.train, rows.stars, classes=5).predict_proba(rows.test)
    # At least k stars or not, for k from 2 to 5 (Frank & Hall 2001): the sum of the probabilities counts the stars.
    above = [
        fit(rows.train, (rows.stars >= k).astype(np.int64), classes=2).predict_proba(rows.test) for k in range(2, 6)
    ]
    ways = {
        "three classes at their mean stars": three @ means,
        "three classes at fitted stars": three @ fitted,
        "five classes": five @ np.arange(1, 6),
        "five classes, median": 1.0 + (np.cumsum(five, axis=1) < 0.5).sum(axis=1),
        "cumulative logit": 1 + np.sum([one[:, 1] for one in above], axis=0),
        "always 5 stars": np.full(len(three), 5.0),
    }
    stars, base = rows.test_stars[test], (three @ means)[test]
    return {way: _star_figures(stars, np.clip(found[test], 1, 5), base) for way, found in ways.items()}


def _star_figures(stars: Floats, found: Floats, base: Floats) -> dict[str, float | str]:
    rng = np.random.default_rng(0)
    error = over_rows(
        lambda at: mean_absolute_error(stars[at], found[at]) - mean_absolute_error(stars[at], base[at]),
        len(stars), resamples=RESAMPLES, rng=rng,
    )  # fmt: skip
    order = over_rows(
        lambda at: rank_correlation(stars[at], found[at]) - rank_correlation(stars[at], base[at]),
        len(stars), resamples=RESAMPLES, rng=rng,
    )  # fmt: skip
    return {
        "mean absolute error": round(mean_absolute_error(stars, found), 4),
        "Spearman": round(rank_correlation(stars, found), 4),
        "Kendall": round(rank_agreement(stars, found), 4),
        "root mean square error": round(float(np.sqrt(((stars - found) ** 2).mean())), 4),
        "error against mean stars": str(error),
        "Spearman against mean stars": str(order),
    }


def simulated() -> dict[str, float]:
    """How well the simulator's contradictions are found."""
    config, texts = SimulatedSettings(), set[str]()
    reviews: list[Review] = []
    for number in count():
        one = clean(review(number, config), IngestSettings(), source="simulated")
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
    for title in ("expected stars", "turned stars"):
        for row, figures in result[title].items():
            shown = [(name, value) for name, value in figures.items() if not name.endswith("+-")]
            print(measuring.table(f"{title}: {row}", ("", ""), shown))
    print(measuring.table("simulated", ("", ""), list(result["simulated"].items())))


if __name__ == "__main__":
    raise SystemExit(main())
