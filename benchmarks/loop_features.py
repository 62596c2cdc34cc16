"""The frozen features of one file of real reviews, read once and kept: what makes `loop.py` a matter of minutes.

Cleans and deduplicates as ingest does, then lets the packaged encoder read every text (`training.network.features_of`,
the cheap mode's own features). Kept in a temporary folder under a name made of the file, the encoder and the window.

    python benchmarks/loop_features.py FILE [--count 4096] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import Review, weak_label
from restar_lib.ingest.cleaning.clean import clean
from restar_lib.settings import IngestSettings, TrainingSettings

PART = 256
"""Reviews that are read and kept together."""
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


def frozen_features(file: Path, *, count: int | None = None, keep: Path = KEPT_IN) -> Frozen:
    """The features of `count` reviews of `file`, drawn at random (in whole parts), else of all; computed at most once.

    They are computed in parts, in the drawn order, so a run that was killed goes on, and fewer is a random sample.
    """
    config, reviews = TrainingSettings(), read_reviews(file)
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    key = hashlib.sha256(f"{content} {config.encoder} {config.max_tokens} {config.pooled_layers}".encode()).hexdigest()
    whole_parts = None if count is None else -(-count // PART) * PART
    drawn = np.random.default_rng(0).permutation(len(reviews))[:whole_parts]
    features = np.concatenate(_parts([reviews[row].text for row in drawn], config, keep / key[:16]))
    order = np.argsort(drawn)  # oldest first again
    return Frozen(
        features=features[order],
        truth=np.array([weak_label(reviews[row].rating or 0).position for row in drawn[order]], dtype=np.int64),
        year=np.array([reviews[row].reviewed_at.year for row in drawn[order]], dtype=np.int64),
    )


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
            review = clean(fields | {"reviewed_at": fields.get("timestamp")}, IngestSettings(), source=file.name)
            if isinstance(review, Review) and review.rating is not None:
                found.setdefault(review.text_hash, review)
    return sorted(found.values(), key=lambda review: (review.reviewed_at, review.review_id))


def _parts(texts: Sequence[str], config: TrainingSettings, folder: Path) -> list[NDArray[np.float32]]:
    folder.mkdir(parents=True, exist_ok=True)
    read: Callable[[Sequence[str]], NDArray[np.float32]] | None = None
    found = []
    for start in range(0, len(texts), PART):
        kept, part = folder / f"{start:06}.npy", texts[start : start + PART]
        if not kept.is_file():
            read = read or _reader(config)
            partial = kept.with_name(f"partial-{kept.name}")
            np.save(partial, read(part))
            partial.rename(kept)
            print(f"read {start + len(part):,} of {len(texts):,} reviews", flush=True)
        found.append(np.load(kept)[: len(part)])
    return found


def _reader(config: TrainingSettings) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    import torch

    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.network import features_of, load_model, load_tokenizer

    encoder = find_encoder(config.encoder)
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)

    def read(texts: Sequence[str]) -> NDArray[np.float32]:
        # Half the time on a CPU that computes in it, and a linear head does not see the difference.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return features_of(model, tokenizer, texts, progress=lambda _: None).astype(np.float32)

    return read


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, help="so many, drawn at random; default: all")
    parser.add_argument("--keep", type=Path, default=KEPT_IN)
    arguments = parser.parse_args()
    print(frozen_features(arguments.file, count=arguments.count, keep=arguments.keep).features.shape)
