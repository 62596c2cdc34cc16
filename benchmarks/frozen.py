"""The frozen encoder's features of texts, computed once and kept: benchmarks of heads become a matter of minutes.

Kept in a temporary folder under the hash of each text, in blocks, so that a run that was killed goes on where it was
and two benchmarks share what they read. The features are those of the cheap mode (`training.network.features_of`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restar_lib.settings import TrainingSettings

KEPT_IN = Path(tempfile.gettempdir()) / "restar-frozen-features"
BLOCK = 1024
Floats = NDArray[np.float64]


def frozen_features(
    texts: Sequence[str], *, keep: Path = KEPT_IN, progress: Callable[[str], None] = print
) -> NDArray[np.float32]:
    """Features [n, d] of these texts, in their order."""
    keep.mkdir(parents=True, exist_ok=True)
    known = _known(keep)
    missing = [text for text in dict.fromkeys(texts) if _key(text) not in known]
    if missing:
        read = _reader(progress)
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            known |= _store(keep, block, read(block))
            progress(f"frozen encoder: {start + len(block):,} of {len(missing):,} texts")
    return np.stack([known[_key(text)] for text in texts])


def is_kept(texts: Sequence[str], *, keep: Path = KEPT_IN) -> NDArray[np.bool_]:
    """Which of these texts have been read already, [n]."""
    known = _known(keep)
    return np.array([_key(text) in known for text in texts], dtype=np.bool_)


def _known(keep: Path) -> dict[bytes, NDArray[np.float32]]:
    found: dict[bytes, NDArray[np.float32]] = {}
    for file in sorted(keep.glob("block-*.npz")):
        with np.load(file) as arrays:
            found |= dict(zip((key.tobytes() for key in arrays["keys"]), arrays["features"], strict=True))
    return found


def _store(keep: Path, texts: Sequence[str], features: NDArray[np.float32]) -> dict[bytes, NDArray[np.float32]]:
    keys = [_key(text) for text in texts]
    name = hashlib.sha256(b"".join(keys)).hexdigest()[:16]
    partial = keep / f"partial-{name}.npz"
    packed = np.array([np.frombuffer(key, dtype=np.uint8) for key in keys])
    np.savez(partial, keys=packed, features=features)
    partial.rename(keep / f"block-{name}.npz")
    return dict(zip(keys, features, strict=True))


def _key(text: str) -> bytes:
    config = TrainingSettings()
    about = f"{config.encoder} {config.max_tokens} {config.pooled_layers} "
    return hashlib.blake2b((about + text).encode(), digest_size=16).digest()


def _reader(progress: Callable[[str], None]) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    import torch

    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.network import features_of, load_model, load_tokenizer

    config = TrainingSettings()
    encoder = find_encoder(config.encoder)
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)

    def read(texts: Sequence[str]) -> NDArray[np.float32]:
        # bfloat16 takes half the time on a CPU that computes in it, and a linear head does not see the difference.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return features_of(model, tokenizer, texts, progress=progress).astype(np.float32)

    return read
