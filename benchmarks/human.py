"""Agreement with people where several judged, beside the agreement among the people themselves.

Movie snippets (Hutto & Gilbert 2014): sentences that 15 to 29 people rated from -4 to 4. Truth is the mean of the
others: each rating of a person is held against the mean of all other people who rated that sentence (leave one out),
each system's answer against the mean of all. Means up to 0.5 away from 0 are neutral, so are ratings of 0. Reported are
accuracy, Cohen's kappa and macro-F1 on three classes, Pearson's and Spearman's correlation of the graded answer (a
person's rating, VADER's compound, a model's positive minus negative probability), and Krippendorff's alpha among
the people.

Sentences of the UCI (Kotzias et al. 2015): clear-cut ones, one label each, two classes; so nothing can be said about
agreement among people. A system must choose the likelier of negative and positive; how often its own answer is neutral
is reported beside it.

None of these sentences is in anybody's training data, but snippets and sentences about films are not product reviews,
and VADER's lexicon was made by the people who rated the snippets.

    python benchmarks/human.py --reviews FOLDER [--models NAME=FOLDER ...] [--page]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pages
import real_reviews
from numpy.typing import NDArray
from quality_page import NAMES
from quality_systems import VADER_CUT, tfidf_probabilities, vader_scores

from restar_lib.evaluation.metrics import Floats, Integers, confusion_matrix, macro_f1
from restar_lib.inference.engine import InferenceEngine
from restar_lib.text import plain_text

SNIPPETS, SENTENCES = "human_vader_movie_snippets.jsonl.gz", "human_uci_sentences.jsonl.gz"
NEUTRAL_WITHIN = 0.5
"""Mean ratings so near to 0 are neutral: the cut that the set's own table of classes uses."""
RESAMPLES = 1000
RESULT = "human"
PEOPLE = "one person, against the others"


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    if arguments.page:
        write_page()
        return 0
    folder = real_reviews.folder_of(arguments, SNIPPETS, SENTENCES, *real_reviews.PATTERNS)
    systems = systems_of(folder, dict(one.split("=", 1) for one in arguments.models))
    result = {"snippets": snippets(folder / SNIPPETS, systems), "sentences": sentences(folder / SENTENCES, systems)}
    measuring.save(RESULT, result)
    for part in result.values():
        columns = list(next(iter(part["systems"].values())))
        rows = [(name, *(found.get(column, "") for column in columns)) for name, found in part["systems"].items()]
        print(measuring.table(part["title"], ("", *columns), rows))
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    real_reviews.add_argument(parser)
    parser.add_argument(
        "--models", nargs="*", default=[], help="NAME=FOLDER of trained models, as quality.py keeps them"
    )
    parser.add_argument("--page", action="store_true", help="only write docs/benchmarks.md from the result")
    return parser.parse_args()


Scored = tuple[Integers, Floats, Floats]
"""What a system says about n texts: its class, its graded answer, and negative and positive alone [n, 2]."""


def _probabilities(engine: InferenceEngine, texts: Sequence[str]) -> Floats:
    return engine.predict(texts).probabilities


def systems_of(folder: Path, models: Mapping[str, str]) -> dict[str, Callable[[Sequence[str]], Scored]]:
    """VADER, TF-IDF that learns from the product reviews of the pool, and trained models."""
    reviews = real_reviews.within_sources(real_reviews.pool(folder)).older
    systems: dict[str, Callable[[Sequence[str]], Scored]] = {"vader": _vader}
    for name, balanced in (("tfidf", False), ("tfidf_balanced", True)):
        systems[name] = _of_probabilities(tfidf_probabilities(reviews, balanced=balanced))
    for name, path in models.items():
        engine = InferenceEngine.load(Path(path))
        systems[name] = _of_probabilities(partial(_probabilities, engine))
    return systems


def snippets(file: Path, systems: Mapping[str, Callable[[Sequence[str]], Scored]]) -> dict[str, Any]:
    """Many people's ratings of each sentence."""
    rows = list(real_reviews.lines_of(file))
    ratings = [np.array(row["ratings"], dtype=np.float64) for row in rows]
    texts = [plain_text(row["text"]) for row in rows]
    means = np.array([one.mean() for one in ratings])
    found = {PEOPLE: people(ratings)}
    for name, system in systems.items():
        classes, graded, _ = system(texts)
        found[name] = agreement(class_of(means), classes) | correlation(means, graded)
    return {
        "title": f"{len(rows):,} movie snippets, {sum(map(len, ratings)):,} ratings",
        "krippendorff_alpha": {
            "interval": round(alpha_interval(ratings), 4),
            "classes": round(alpha_nominal([class_of(one, within=0.0) for one in ratings]), 4),
        },
        "classes": np.bincount(class_of(means), minlength=3).tolist(),
        "systems": found,
    }


def people(ratings: Sequence[Floats]) -> dict[str, Any]:
    """Each rating against the mean of the others who rated that sentence."""
    own = np.concatenate(ratings)
    others = np.concatenate([(one.sum() - one) / (len(one) - 1) for one in ratings])
    truth, classes = class_of(others), class_of(own, within=0.0)
    ends = np.cumsum([0, *map(len, ratings)])
    # Ratings of one sentence hang together: sentences are drawn, each with all of its ratings.
    right = np.add.reduceat((truth == classes).astype(np.float64), ends[:-1])
    return agreement(truth, classes) | {"interval": clustered(right, np.diff(ends))} | correlation(others, own)


def sentences(file: Path, systems: Mapping[str, Callable[[Sequence[str]], Scored]]) -> dict[str, Any]:
    """Two classes, one label each."""
    rows = list(real_reviews.lines_of(file))
    positive = np.array([row["label"] == "positive" for row in rows])
    domains = np.array([row["domain"] for row in rows])
    found = {}
    for name, system in systems.items():
        classes, _, sides = system([plain_text(row["text"]) for row in rows])
        right = (sides[:, 1] > sides[:, 0]) == positive
        found[name] = {"accuracy": round(float(right.mean()), 4), "interval": interval(right.astype(np.float64))}
        found[name] |= {domain: round(float(right[domains == domain].mean()), 4) for domain in sorted(set(domains))}
        found[name]["own answer is neutral"] = round(float((classes == 1).mean()), 4)
    return {"title": f"{len(rows):,} sentences, one label each, two classes", "systems": found}


def class_of(ratings: Floats, *, within: float = NEUTRAL_WITHIN) -> Integers:
    """The class of ratings or of their means, [n]."""
    return np.where(ratings > within, 2, np.where(ratings < -within, 0, 1)).astype(np.int64)


def agreement(truth: Integers, classes: Integers) -> dict[str, Any]:
    """Accuracy with its interval, Cohen's kappa (Cohen 1960) and macro-F1 of classes."""
    confusion = confusion_matrix(truth, classes)
    shares = confusion / confusion.sum()
    by_chance = float((shares.sum(axis=0) * shares.sum(axis=1)).sum())
    accuracy = float(np.trace(shares))
    return {
        "accuracy": round(accuracy, 4),
        "interval": interval((truth == classes).astype(np.float64)),
        "kappa": round((accuracy - by_chance) / (1 - by_chance), 4),
        "macro_f1": round(float(macro_f1(confusion)), 4),
    }


def correlation(truth: Floats, graded: Floats) -> dict[str, float]:
    """Pearson's and Spearman's."""
    from scipy.stats import pearsonr, spearmanr

    return {
        "pearson": round(float(pearsonr(truth, graded).statistic), 4),
        "spearman": round(float(spearmanr(truth, graded).statistic), 4),
    }


def interval(right: Floats) -> list[float]:
    """95 % of a mean, by its standard error."""
    half = 1.959964 * float(right.std() / np.sqrt(len(right)))
    return [round(float(right.mean()) - half, 4), round(float(right.mean()) + half, 4)]


def clustered(hits: Floats, sizes: Integers) -> list[float]:
    """95 % of a share over all rows, `hits.sum() / sizes.sum()`, where rows come in groups that hang together.

    By the standard error of a ratio of two sums over the groups (Cochran 1977, section 6.4).
    """
    share = float(hits.sum() / sizes.sum())
    half = 1.959964 * float(np.sqrt(((hits - share * sizes) ** 2).sum()) / sizes.sum())
    return [round(share - half, 4), round(share + half, 4)]


def alpha_interval(ratings: Sequence[Floats]) -> float:
    """Krippendorff's alpha with the interval metric, 1 - observed / expected disagreement (Krippendorff 2011)."""
    # The mean squared difference of all pairs of n values is twice their unbiased variance.
    observed = sum(len(one) * one.var(ddof=1) for one in ratings) / sum(map(len, ratings))
    return float(1 - observed / np.concatenate(ratings).var(ddof=1))


def alpha_nominal(classes: Sequence[Integers]) -> float:
    """Krippendorff's alpha for classes without an order."""
    counts = np.array([np.bincount(one, minlength=3) for one in classes])
    rated = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (rated - 1)
    totals, everything = counts.sum(axis=0), counts.sum()
    expected = (totals * (totals - 1)).sum() / (everything - 1)
    return float(1 - (everything - agreeing.sum()) / (everything - expected))


def write_page() -> None:
    """Write the tables into docs/benchmarks.md."""
    result = measuring.read(RESULT)
    for part in ("snippets", "sentences"):
        systems = result[part]["systems"]
        columns = [name for name in next(iter(systems.values())) if name != "interval"]
        header = ["", *(name.replace("_", " ") for name in columns)]
        rows = [
            [NAMES.get(name, name), *(_cell(found, column) for column in columns)] for name, found in systems.items()
        ]
        pages.fill(f"human {part}", f"{result[part]['title']}:\n\n{pages.markdown(header, rows)}")


def _cell(found: Mapping[str, Any], column: str) -> str:
    if column not in found:
        return ""
    low, high = found["interval"]
    return f"{found[column]:.3f}" + (f" ({low:.3f} to {high:.3f})" if column == "accuracy" else "")


def _vader(texts: Sequence[str]) -> Scored:
    compound = vader_scores(texts)
    return class_of(compound, within=VADER_CUT), compound, np.stack([-compound, compound], axis=1)


def _of_probabilities(answer: Callable[[Sequence[str]], NDArray[np.float64]]) -> Callable[[Sequence[str]], Scored]:
    def scored(texts: Sequence[str]) -> Scored:
        found = answer(texts)
        return found.argmax(axis=1).astype(np.int64), found[:, 2] - found[:, 0], found[:, [0, 2]]

    return scored


if __name__ == "__main__":
    sys.exit(main())
