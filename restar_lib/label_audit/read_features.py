"""Reads a snapshot's reviews with the frozen encoder, for the audit of stars.

With the frozen encoder and not with the champion, because the champion has learned from these stars and would repeat
their errors. Imports training code (torch) when called. Called by `restar audit-stars`.
"""

from __future__ import annotations

from collections.abc import Callable

from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import Side
from restar_lib.label_audit.audit import EncodedSnapshot
from restar_lib.settings import TrainingSettings


def read(snapshot: Snapshot, config: TrainingSettings, *, progress: Callable[[str], None]) -> EncodedSnapshot:
    """All reviews of a snapshot with their features; about 60 a second on two cores."""
    from restar_lib.training.encoder import find_encoder
    from restar_lib.training.network import features_of, load_model, load_tokenizer

    rows = [(side, example) for side in Side for example in snapshot.examples(side)]
    encoder = find_encoder(config.encoder)
    model = load_model(encoder, pooled_layers=config.pooled_layers)
    tokenizer = load_tokenizer(encoder, max_tokens=config.max_tokens)
    progress(f"reads {len(rows):,} reviews with the frozen encoder")
    texts = [example.text for _, example in rows]
    features = features_of(model, tokenizer, texts, long_texts=config.long_texts, progress=progress)
    return EncodedSnapshot(
        snapshot=snapshot,
        examples=tuple(example for _, example in rows),
        sides=tuple(side for side, _ in rows),
        features=features,
        encoder=encoder.name,
    )
