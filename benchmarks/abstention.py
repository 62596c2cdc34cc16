"""When to say nothing: maximum probability beside energy, entropy, margin, Monte Carlo dropout and conformal sets.

One frozen encoder reads real reviews (the split within sources of `real_reviews.py`): once for training, calibration
and testing, and `--passes` times more with its dropout switched on. Heads are trained on several resamples of the
training rows; each answers the same test rows, and every score orders the same answers (Monte Carlo dropout's mean
probability orders its own). Measured: area under the risk-coverage curve (small is good) and accuracy on the surest
90 and 80 %, each with a 95 % bootstrap interval over test rows of its difference from maximum probability.

    python benchmarks/abstention.py --reviews FOLDER [--train 3000 --test 2000 --passes 10 --seeds 5]

Features are kept in a temporary folder, so a killed run goes on. Reads nothing but the folder; writes one JSON file.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import real_reviews
from numpy.typing import NDArray

from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.snapshot import natural_weights, share_out
from restar_lib.domain import Example
from restar_lib.evaluation.curves import aurc, rows_at
from restar_lib.inference.engine import softmax
from restar_lib.settings import TrainingSettings
from restar_lib.training.calibration import fit_temperature
from restar_lib.training.encoder import find_encoder
from restar_lib.training.imbalance import class_weighting
from restar_lib.training.linear_head.head import fit_head
from restar_lib.training.network import SentimentModel, features_of, load_model, load_tokenizer

log = logging.getLogger(__name__)

KEPT_IN = Path(tempfile.gettempdir()) / "restar-abstention"
MAX_TOKENS = 128
LEVELS = np.concatenate([np.linspace(0.02, 0.98, 97), np.linspace(0.981, 0.999, 19)])
"""Confidence levels of the conformal sets: the knob that decides how often they hold one class alone."""
RESAMPLES = 2000
USUAL = "maximum probability"

Floats = NDArray[np.float64]
Rows = Mapping[str, Sequence[Example]]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """How sure each test row is said to be, and whether the answer is right, [seeds, n] each."""

    score: Floats
    right: NDArray[np.bool_]


class Given:
    """A classifier whose "features" are the probabilities that it answers: what MAPIE asks for."""

    classes_ = np.arange(3)
    n_features_in_ = 3

    def fit(self, x: Floats, y: NDArray[np.int64]) -> Given:
        """Nothing is to be fitted."""
        del x, y
        return self

    def predict(self, x: Floats) -> NDArray[np.int64]:
        """The most probable class."""
        return np.asarray(x.argmax(axis=1))

    def predict_proba(self, x: Floats) -> Floats:
        """As given."""
        return x

    def __sklearn_is_fitted__(self) -> bool:
        """It always is."""
        return True


def main() -> None:
    """Compute, compare, print, save."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = _arguments()
    _use_threads(arguments.threads)
    rows = _rows(arguments)
    features = {name: _features(name, examples, 0) for name, examples in rows.items()}
    passes = [_features("test", rows["test"], number) for number in range(1, arguments.passes + 1)]
    scored, sets = _scores(rows, features, passes, seeds=arguments.seeds)
    table = _table(scored)
    header = ("score", "area", "minus usual", "low", "high", "at 90 %", "minus usual", "low", "high", "at 80 %")
    title = f"Abstention: {arguments.test:,} real test rows, {arguments.seeds} heads on {arguments.train:,} rows"
    print(measuring.table(title, header, [_shown(name, found) for name, found in table.items()]))
    print(measuring.table("Conformal sets at a promised coverage of 90 %", ("score", "coverage", "size"), sets))
    content = {
        "rows": {name: len(examples) for name, examples in rows.items()},
        "seeds": arguments.seeds,
        "passes": arguments.passes,
        "scores": table,
        "conformal_at_90": [dict(zip(("score", "coverage", "size"), one, strict=True)) for one in sets],
    }
    print(measuring.save("abstention", content))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_reviews.add_argument(parser)
    for name, default in (("train", 3000), ("test", 2000), ("passes", 10), ("seeds", 5), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def _rows(arguments: argparse.Namespace) -> Rows:
    """Training rows as a snapshot has them: classes in equal shares, weights that undo it. The others as they came."""
    split = real_reviews.within_sources(real_reviews.pool(real_reviews.folder_of(arguments)))
    rng = np.random.default_rng(5)
    drawn = {name: _drawn(getattr(split, name), rng) for name in ("train", "validation", "test")}
    available = Counter(row.truth for row in drawn["train"])
    taken = share_out(available, total=arguments.train)
    weights = natural_weights(available, taken)
    train = [
        replace(row, weight=weights[sentiment])
        for sentiment, size in taken.items()
        for row in [one for one in drawn["train"] if one.truth == sentiment][:size]
    ]
    return {"train": train, "validation": drawn["validation"][:1000], "test": drawn["test"][: arguments.test]}


def _drawn(rows: Sequence[Example], rng: np.random.Generator) -> list[Example]:
    return [rows[place] for place in rng.permutation(len(rows))]


def _features(name: str, rows: Sequence[Example], dropout_pass: int) -> Floats:
    """Features of the rows, [n, d]; a pass above 0 has the encoder's dropout switched on, seeded by its number."""
    key = hashlib.sha256("".join(row.review_id for row in rows).encode()).hexdigest()[:12]
    kept = KEPT_IN / f"{name}-{key}-{MAX_TOKENS}-{dropout_pass}.npy"
    if kept.exists():
        return np.asarray(np.load(kept), dtype=np.float64)
    started = time.monotonic()
    found = _read([row.text for row in rows], dropout_pass)
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_name(f".{kept.name}")
    with unfinished.open("wb") as file:
        np.save(file, found.astype(np.float32))
    unfinished.replace(kept)
    log.info("%s, pass %d: %d rows in %.0f s", name, dropout_pass, len(rows), time.monotonic() - started)
    return found


def _use_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _read(texts: Sequence[str], dropout_pass: int) -> Floats:
    import torch
    from torch import nn

    model, tokenizer = _model()
    torch.manual_seed(dropout_pass)
    for module in model.encoder.modules():
        if isinstance(module, nn.Dropout):
            module.train(dropout_pass > 0)
    fast = torch.backends.mkldnn.is_available() and "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    half = torch.autocast("cpu", dtype=torch.bfloat16) if fast else nullcontext()
    with half:
        return features_of(model, tokenizer, texts, progress=log.info).astype(np.float64)


def _model() -> tuple[SentimentModel, Any]:
    encoder = find_encoder(TrainingSettings().encoder)
    return load_model(encoder, pooled_layers=TrainingSettings().pooled_layers), load_tokenizer(
        encoder, max_tokens=MAX_TOKENS
    )


def _scores(
    rows: Rows, features: Mapping[str, Floats], passes: Sequence[Floats], *, seeds: int
) -> tuple[dict[str, Scored], list[tuple[Any, ...]]]:
    truth = {name: truth_of(examples) for name, examples in rows.items()}
    found: dict[str, list[tuple[Floats, NDArray[np.bool_]]]] = {}
    sets: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        head = _head(features["train"], rows["train"], seed=seed)
        temperature = fit_temperature(head(features["validation"]), truth["validation"])
        logits = {name: head(features[name]) / temperature for name in ("validation", "test")}
        several = np.stack([softmax(head(one) / temperature) for one in passes])
        answers = softmax(logits["test"])
        right = answers.argmax(axis=1) == truth["test"]
        scores = _orders(answers, logits["test"], head(features["test"]), several)
        for name in ("lac", "aps"):
            order, at_90 = _conformal(name, softmax(logits["validation"]), truth["validation"], answers, truth["test"])
            scores[f"conformal ({name.upper()})"] = order
            sets.setdefault(name.upper(), []).append(at_90)
        for name, score in scores.items():
            found.setdefault(name, []).append((score, right))
        mean = several.mean(axis=0)
        own = (mean.max(axis=1), mean.argmax(axis=1) == truth["test"])
        found.setdefault("Monte Carlo dropout, mean probability", []).append(own)
    scored = {
        name: Scored(score=np.stack([one for one, _ in runs]), right=np.stack([one for _, one in runs]))
        for name, runs in found.items()
    }
    return scored, [(name, *np.mean(runs, axis=0).tolist()) for name, runs in sets.items()]


def _head(features: Floats, rows: Sequence[Example], *, seed: int) -> Callable[[Floats], Floats]:
    """Logits of a head that learned from a resample of the training rows."""
    config, drawn = TrainingSettings(), np.random.default_rng(seed).integers(0, len(rows), size=len(rows))
    truth = np.array([rows[place].truth.position for place in drawn])
    weights = np.array([rows[place].weight for place in drawn])
    how = class_weighting(truth, weights, method=config.imbalance, power=config.class_weight_power)
    model, _ = _model()
    fit_head(model, features[drawn], truth, how, regularisation=config.regularisation)
    weight, bias = (one.detach().double().numpy() for one in (model.head.weight, model.head.bias))
    return lambda given: np.asarray(given @ weight.T + bias)


def _orders(answers: Floats, logits: Floats, raw: Floats, several: Floats) -> dict[str, Floats]:
    """How sure each row is by each score, [n]; larger is surer."""
    ordered = np.sort(answers, axis=1)
    mean = several.mean(axis=0)
    return {
        USUAL: ordered[:, -1],
        "margin": ordered[:, -1] - ordered[:, -2],
        "entropy": -_entropy(answers),
        "energy": np.log(np.exp(raw).sum(axis=1)),  # Liu et al. 2020, at temperature 1
        "energy, calibrated": np.log(np.exp(logits).sum(axis=1)),
        "Monte Carlo dropout, mutual information": -(_entropy(mean) - _entropy(several).mean(axis=0)),
        "Monte Carlo dropout, variance": -several[:, np.arange(len(answers)), answers.argmax(axis=1)].std(axis=0),
    }


def _entropy(probabilities: Floats) -> Floats:
    return np.asarray(-(probabilities * np.log(np.clip(probabilities, 1e-12, 1))).sum(axis=-1))


def _conformal(
    score: str, calibration: Floats, calibration_truth: NDArray[np.int64], answers: Floats, truth: NDArray[np.int64]
) -> tuple[Floats, tuple[float, float]]:
    """The largest level at which a row's set still holds one class at most; and coverage and size of the sets at 90 %.

    Rows that leave at the same level are ordered by maximum probability.
    """
    from mapie.classification import SplitConformalClassifier

    found = SplitConformalClassifier(
        estimator=Given(), confidence_level=[*LEVELS, 0.9], conformity_score=score, prefit=True, random_state=1
    )
    found.conformalize(calibration, calibration_truth)
    _, sets = found.predict_set(answers)
    sizes = sets.sum(axis=1)
    alone = sizes[:, :-1] <= 1
    last = np.where(alone.any(axis=1), LEVELS[alone.shape[1] - 1 - alone[:, ::-1].argmax(axis=1)], 0.0)
    held = sets[np.arange(len(truth)), truth, -1]
    return last + 1e-6 * answers.max(axis=1), (float(held.mean()), float(sizes[:, -1].mean()))


def _table(scored: Mapping[str, Scored]) -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(11)
    length = scored[USUAL].right.shape[1]
    drawn: list[NDArray[np.int64]] = [np.asarray(rng.integers(0, length, size=length)) for _ in range(RESAMPLES // 10)]
    usual = [_measured(scored[USUAL], at) for at in drawn]
    table = {}
    for name, one in scored.items():
        here, base = _measured(one, np.arange(length)), _measured(scored[USUAL], np.arange(length))
        gaps = np.array([_measured(one, at) - before for at, before in zip(drawn, usual, strict=True)])
        low, high = np.quantile(gaps, (0.025, 0.975), axis=0)
        table[name] = {
            what: {
                "value": float(here[place]),
                "minus_usual": float(here[place] - base[place]),
                "low": float(low[place]),
                "high": float(high[place]),
            }
            for place, what in enumerate(("area", "accuracy_at_90", "accuracy_at_80", "accuracy"))
        }
    return table


def _measured(one: Scored, at: NDArray[np.int64]) -> Floats:
    """Area, accuracy at 90, 80 and 100 % coverage, means over the heads."""
    runs = zip(one.score[:, at], one.right[:, at], strict=True)
    figures = [(aurc(s, r), _surest(s, r, 0.9), _surest(s, r, 0.8), float(r.mean())) for s, r in runs]
    means: Floats = np.array(figures).mean(axis=0)
    return means


def _surest(score: Floats, right: NDArray[np.bool_], coverage: float) -> float:
    return float(right[np.argsort(-score, kind="stable")[: rows_at(coverage, len(right))]].mean())


def _shown(name: str, found: Mapping[str, Any]) -> tuple[Any, ...]:
    area, at_90 = found["area"], found["accuracy_at_90"]
    gaps = ((one["value"], one["minus_usual"], one["low"], one["high"]) for one in (area, at_90))
    return (name, *(value for gap in gaps for value in gap), found["accuracy_at_80"]["value"])


if __name__ == "__main__":
    main()
