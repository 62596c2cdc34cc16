"""The frozen features of one file of real reviews, read once and kept: what makes `loop.py` a matter of minutes.

Cleans and deduplicates as ingest does, then lets the packaged encoder read every text (`training.model.features_of`,
the cheap mode's own features). Kept in a temporary folder under a name made of the file, the encoder and the window.

    python benchmarks/loop_features.py FILE [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import Review, weak_label
from restar_lib.ingest.cleaning import clean
from restar_lib.settings import Ingest, Training

KEPT_IN = Path(tempfile.gettempdir()) / "restar-loop-features"


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What the benchmark needs of each review, oldest first."""

    features: NDArray[np.float32]
    """[n, d]"""
    truth: NDArray[np.int64]
    """What the true stars say, [n]."""
    year: NDArray[np.int64]
    """In which it was written, [n]."""


def frozen_features(file: Path, *, keep: Path = KEPT_IN) -> Frozen:
    """The features of all reviews in `file`, computed at most once."""
    config = Training()
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    key = hashlib.sha256(f"{content} {config.encoder} {config.max_tokens} {config.pooled_layers}".encode()).hexdigest()
    kept = keep / f"{key[:16]}.npz"
    if not kept.is_file():
        _compute(read_reviews(file), config, kept)
    with np.load(kept) as arrays:
        return Frozen(features=arrays["features"], truth=arrays["truth"], year=arrays["year"])


def fewer(frozen: Frozen, directions: int) -> Frozen:
    """The features along their first principal directions: many heads fit in the time of one.

    Turned at random afterwards, so that every column has about the same variance: a head scales columns to unit
    variance first, which would else blow up the directions that hold next to nothing.
    """
    standard = (frozen.features - frozen.features.mean(axis=0)) / np.maximum(frozen.features.std(axis=0), 1e-6)
    _, vectors = np.linalg.eigh((standard.T @ standard).astype(np.float64))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(directions, directions)))
    projected = standard @ (vectors[:, ::-1][:, :directions] @ turn)
    return Frozen(features=projected.astype(np.float32), truth=frozen.truth, year=frozen.year)


def read_reviews(file: Path) -> list[Review]:
    """The reviews that ingest would keep, the first of each text, oldest first."""
    found: dict[str, Review] = {}
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            review = clean(fields | {"reviewed_at": fields.get("timestamp")}, Ingest(), source=file.name)
            if isinstance(review, Review) and review.rating is not None:
                found.setdefault(review.text_hash, review)
    return sorted(found.values(), key=lambda review: (review.reviewed_at, review.review_id))


def _compute(reviews: list[Review], config: Training, kept: Path) -> None:
    import torch

    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.model import features_of, load_model, load_tokenizer

    encoder = find_encoder(config.encoder)
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)
    print(f"the frozen encoder reads {len(reviews):,} reviews once")
    # Half the time on a CPU that computes in it, and a linear head does not see the difference.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = features_of(model, tokenizer, [review.text for review in reviews], progress=print)
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_name(f"partial-{kept.name}")
    np.savez(
        partial,
        features=features.astype(np.float32),
        truth=np.array([weak_label(review.rating or 0).position for review in reviews], dtype=np.int64),
        year=np.array([review.reviewed_at.year for review in reviews], dtype=np.int64),
    )
    partial.rename(kept)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--keep", type=Path, default=KEPT_IN)
    arguments = parser.parse_args()
    print(frozen_features(arguments.file, keep=arguments.keep).features.shape)
