"""What a model has to beat: always saying the commonest class, and a bag of words with logistic regression.

The bag of words learns from the snapshot's training side, with its weights, so from exactly what the model could learn
from; its answers to the test rows are stored beside the reports under the snapshot's hash, so that the next version is
compared with the same ones at once. Where the training side has one class only, or no word that two rows share, there
is no bag of words. Called by `evaluation.report.evaluate`; scikit-learn is loaded only where nothing is stored yet.
"""

from __future__ import annotations

import io
import logging
import time
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.atomic_files import READABLE, write_bytes
from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import Example, Side, TruthSource
from restar_lib.evaluation.metrics import CLASSES, Floats, Integers
from restar_lib.evaluation.report_contents import MAJORITY, TFIDF, TFIDF_BALANCED

log = logging.getLogger(__name__)

FORMAT: Final = 2
"""Raise it where the baseline changes: what is stored is then made anew."""
WORDS: Final = 200_000
"""Features at most, the commonest words and pairs of words."""
INVERSE_L2: Final = 4.0
SMALLEST_SHARE: Final = 1e-4
"""A class without a training row is not impossible."""


def baselines(snapshot: Snapshot, *, folder: Path, max_rows: int) -> dict[str, Floats]:
    """Probabilities [test rows, 3] of each baseline, in the order of the tables; the commonest class is always there.

    `folder` holds what was computed before. At most `max_rows` training rows are read, evenly spread over time.
    """
    kept = folder / f"{snapshot.snapshot_hash}-{FORMAT}-{max_rows}.npz"
    found = _read(kept, rows=snapshot.test_rows)
    if found is None:
        found = _fit(snapshot, max_rows=max_rows)
        _write(kept, found)
    return found


def _fit(snapshot: Snapshot, *, max_rows: int) -> dict[str, Floats]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    started = time.monotonic()
    train, test = _spread(snapshot.examples(Side.TRAIN), max_rows), snapshot.examples(Side.TEST)
    truth, weights = truth_of(train), np.array([example.weight for example in train])
    stars = np.array([example.truth_source is TruthSource.STARS for example in train])
    # People's rows were selected and outweigh stars: they say nothing of how common a class is.
    natural = _shares(truth[stars], weights[stars]) if stars.any() else _shares(truth, weights)
    majority = {MAJORITY: np.tile(natural, (len(test), 1))}
    if len(np.unique(truth)) == 1:
        return majority
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=WORDS)
    try:
        seen = vectorizer.fit_transform([example.text for example in train])
    except ValueError:  # no word stands in two rows
        return majority
    unseen = vectorizer.transform([example.text for example in test])
    found = majority | {
        TFIDF: _answers(seen, truth, weights, unseen),
        TFIDF_BALANCED: _answers(seen, truth, weights / _shares(truth, weights)[truth], unseen),
    }
    seconds = time.monotonic() - started
    log.info("TF-IDF and logistic regression on %s training rows: %.0f s", f"{len(train):,}", seconds)
    return found


def _shares(truth: Integers, weights: Floats) -> Floats:
    shares = np.bincount(truth, weights=weights, minlength=CLASSES) / weights.sum()
    return np.asarray(np.maximum(shares, SMALLEST_SHARE) / np.maximum(shares, SMALLEST_SHARE).sum())


def _answers(seen: object, truth: Integers, weights: Floats, unseen: object) -> Floats:
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(C=INVERSE_L2, max_iter=1000)
    regression.fit(seen, truth, sample_weight=weights / weights.mean())
    answers = np.zeros((unseen.shape[0], CLASSES))  # type: ignore[attr-defined]
    answers[:, regression.classes_] = regression.predict_proba(unseen)
    return answers


def _spread(rows: Sequence[Example], limit: int) -> list[Example]:
    keep = np.linspace(0, len(rows) - 1, num=min(limit, len(rows))).round().astype(int)
    return [rows[place] for place in keep]


def _read(path: Path, *, rows: int) -> dict[str, Floats] | None:
    """What is stored; None where there is nothing, where it is damaged, and where it is not for these rows."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            names = (MAJORITY, TFIDF, TFIDF_BALANCED) if TFIDF in kept.files else (MAJORITY,)
            found: dict[str, NDArray[np.float64]] = {name: kept[name] for name in names}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return found if all(one.shape == (rows, CLASSES) for one in found.values()) else None


def _write(path: Path, found: dict[str, Floats]) -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, **found)  # type: ignore[arg-type]
    write_bytes(path, packed.getvalue(), mode=READABLE)
