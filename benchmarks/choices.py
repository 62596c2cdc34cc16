"""What the training's defaults rest on: rare classes, long texts, titles, each way beside the others on real reviews.

- Rare classes: re-weighting and logit adjustment, at several powers (`rare_classes`); three seeds.
- Long texts: the beginning, the beginning and the end, or the mean over windows, on reviews longer than the window.
- Titles: TF-IDF with logistic regression on the whole pool, with and without the titles that do not name the stars.

The last two are of one seed; intervals of macro-F1 are percentile bootstraps over the test rows (the newest tenth of
each source). A part that is not asked for keeps the result that it has.

    python benchmarks/choices.py --reviews FOLDER [--parts rare_classes long_texts titles] [--long-rows 600]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import measuring
import numpy as np
import real_reviews
from frozen import frozen_features
from numpy.typing import NDArray
from rare_classes import rare_classes

from restar_lib.dataset.arrays import texts_of, truth_of
from restar_lib.dataset.snapshot import natural_weights, share_out
from restar_lib.domain import SENTIMENTS, Example, with_title
from restar_lib.evaluation.metrics import evaluate
from restar_lib.inference.engine import softmax
from restar_lib.ingest.cleaning.clean import readable_title
from restar_lib.settings import TrainingSettings
from restar_lib.training.encoder import find_encoder
from restar_lib.training.imbalance import Method, class_weighting
from restar_lib.training.linear_head.head import fit_head
from restar_lib.training.network import features_of, load_model, load_tokenizer, tokens_of

PARTS: Final = ("rare_classes", "long_texts", "titles")
WINDOW_WORDS: Final = 170
"""About 230 tokens: consecutive pieces of a long text, of like length."""
RESAMPLES: Final = 500
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Row = dict[str, Any]


def main() -> int:
    """Measure, print, keep."""
    arguments = parse_arguments()
    folder = real_reviews.folder_of(arguments)
    split = real_reviews.within_sources(real_reviews.pool(folder))
    measured: dict[str, Callable[[], dict[str, Any]]] = {
        "rare_classes": lambda: rare_classes(split, Reader().model),
        "long_texts": lambda: {"long_texts": long_texts(split, Reader(), arguments)},
        "titles": lambda: {"titles": titles(folder, split)},
    }
    kept = measuring.RESULTS / "choices.json"
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for name in arguments.parts:
        result |= measured[name]() | {f"{name}_machine": measuring.machine()}
        rows = result[name]
        print(measuring.table(name.replace("_", " "), list(rows[0]), [list(row.values()) for row in rows]))
    measuring.save("choices", result)
    return 0


class Reader:
    """The packaged encoder, frozen."""

    def __init__(self) -> None:
        self.config = TrainingSettings()
        encoder = find_encoder(self.config.encoder)
        self.model = load_model(encoder, pooled_layers=self.config.pooled_layers)
        self.tokenizer = load_tokenizer(encoder, max_tokens=self.config.max_tokens)

    def features(self, texts: Sequence[str], *, long: str = "head") -> Floats:
        """Pooled features, [n, d]; those of beginnings are kept for other benchmarks."""
        if long == "head":
            return frozen_features(texts).astype(np.float64)
        return features_of(self.model, self.tokenizer, texts, long_texts=long, progress=print).astype(np.float64)

    def windows(self, texts: Sequence[str]) -> Floats:
        """The mean over consecutive windows of each text, [n, d]."""
        pieces = [(row, piece) for row, text in enumerate(texts) for piece in in_windows(text)]
        features = self.features([piece for _, piece in pieces])
        owner = np.array([row for row, _ in pieces])
        return np.stack([features[owner == row].mean(axis=0) for row in range(len(texts))])

    def answers(
        self, train: Floats, truth: Integers, test: Floats, weights: Floats, *, way: Method, power: float
    ) -> Floats:
        """Probabilities of a head that was fitted on `train`, [n, 3]."""
        how = class_weighting(truth, weights, method=way, power=power)
        fit_head(self.model, train, truth, how, regularisation=self.config.regularisation)
        head = self.model.head
        return softmax(test @ head.weight.detach().double().numpy().T + head.bias.detach().double().numpy())

    def is_long(self, row: Example) -> bool:
        """Whether the text is longer than the window."""
        return len(row.text) > 2 * self.config.max_tokens and len(whole(self, row.text)) > self.config.max_tokens


def whole(reader: Reader, text: str) -> list[int]:
    """All tokens of a text."""
    reader.tokenizer.model_max_length = 100_000
    (ids,) = tokens_of(reader.tokenizer, [text])
    reader.tokenizer.model_max_length = reader.config.max_tokens
    return list(ids.tolist())


def long_texts(split: real_reviews.Split, reader: Reader, arguments: argparse.Namespace) -> list[Row]:
    """Three ways to read what is longer than the window, on such reviews alone."""
    long = [row for row in split.train if reader.is_long(row)]
    train, weights = enriched(long, arguments.long_rows)
    test = drawn([row for row in split.test if reader.is_long(row)], arguments.long_rows)
    ways: dict[str, Callable[[Sequence[str]], Floats]] = {
        "head": reader.features,
        "head_and_tail": lambda texts: reader.features(texts, long="head_and_tail"),
        "windows": reader.windows,
    }
    rows = []
    for name, read in ways.items():
        said = reader.answers(
            read(texts_of(train)), truth_of(train), read(texts_of(test)), weights, way="reweight", power=0.35
        )
        rows.append({"reads": name} | figures(truth_of(test), said))
    return rows


def titles(folder: Path, split: real_reviews.Split) -> list[Row]:
    """TF-IDF with and without titles, on all rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    titled = titles_of(folder)
    older, rows = split.older, []
    for name in ("text", "title and text"):
        read = (
            texts_of
            if name == "text"
            else (lambda given: [with_title(row.text, titled.get(row.review_id)) for row in given])
        )
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=3, max_features=60_000, sublinear_tf=True)
        learned, seen = words.fit_transform(read(older)), words.transform(read(split.test))
        for weights in (None, "balanced"):
            model = LogisticRegression(C=4, max_iter=300, class_weight=weights).fit(learned, truth_of(older))
            found = figures(truth_of(split.test), model.predict_proba(seen))
            rows.append({"reads": name, "class weights": weights or "none"} | found)
    return rows


def titles_of(folder: Path) -> dict[str, str]:
    """The titles that do not name the stars, by the id that `real_reviews` gives a row."""
    found = {}
    for file in (file for pattern in real_reviews.PATTERNS for file in folder.glob(pattern)):
        for fields in real_reviews.lines_of(file):
            if title := readable_title(fields.get("title")):
                found[f"{file.name.removesuffix('.jsonl.gz')}/{fields['review_id']}"] = title
    return found


def enriched(rows: Sequence[Example], count: int) -> tuple[list[Example], Floats]:
    """As a snapshot samples: equal shares of the classes, and the weights that undo it."""
    truth = truth_of(rows)
    available = {one: int((truth == one.position).sum()) for one in SENTIMENTS}
    taken = share_out(available, total=count)
    weights = natural_weights(available, taken)
    rng = np.random.default_rng(1)
    chosen = [rng.permutation(np.flatnonzero(truth == one.position))[: taken[one]] for one in SENTIMENTS]
    sample = [rows[row] for row in np.sort(np.concatenate(chosen))]
    return sample, np.array([weights[row.truth] for row in sample])


def drawn(rows: Sequence[Example], count: int) -> list[Example]:
    """So many of the rows, as they come."""
    return [rows[row] for row in np.sort(np.random.default_rng(2).permutation(len(rows))[:count])]


def in_windows(text: str) -> list[str]:
    """Consecutive pieces of like length."""
    words = np.array(text.split(), dtype=object)
    return [" ".join(piece) for piece in np.array_split(words, max(1, round(len(words) / WINDOW_WORDS)))]


def figures(truth: Integers, probabilities: Floats) -> Row:
    """What one line of a table says."""
    found = evaluate(truth, probabilities, abstain_below=0.65)
    low, high = interval(truth, probabilities)
    recalls = {f"recall {one.sentiment}": round(one.recall, 3) for one in found.per_class if one.recall is not None}
    return {
        "rows": found.rows,
        "accuracy": round(found.accuracy, 4),
        "macro-F1": round(found.macro_f1, 4),
        "95 %": f"{low:.3f} to {high:.3f}",
        "log loss": round(found.log_loss, 4),
        "ECE": round(found.ece, 4),
    } | recalls


def interval(truth: Integers, probabilities: Floats) -> tuple[float, float]:
    """Percentile bootstrap of macro-F1."""
    rng = np.random.default_rng(3)
    draws = (rng.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES))
    scores = [asdict(evaluate(truth[draw], probabilities[draw], abstain_below=0.65))["macro_f1"] for draw in draws]
    low, high = np.quantile(scores, [0.025, 0.975])
    return float(low), float(high)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    real_reviews.add_argument(parser)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--long-rows", type=int, default=600, help="long reviews to train and to test on, each")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
