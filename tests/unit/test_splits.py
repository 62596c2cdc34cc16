"""The side of a text: stable, keyed, in the configured shares."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from restar_lib.domain import Side
from restar_lib.settings import DatasetSettings
from restar_lib.splits import side_of

HASHES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20_000)]
RECORDED = [
    Side.TRAIN,
    Side.TRAIN,
    Side.TEST,
    Side.TRAIN,
    Side.TRAIN,
    Side.VALIDATION,
    Side.TRAIN,
    Side.TRAIN,
]


def test_the_sides_have_the_configured_shares() -> None:
    """With 20,000 texts each share is met within a percentage point."""
    config = DatasetSettings(test_share=0.2, validation_share=0.1)
    counts = Counter(side_of(text_hash, config) for text_hash in HASHES)
    assert counts[Side.TEST] / len(HASHES) == pytest.approx(0.2, abs=0.01)
    assert counts[Side.VALIDATION] / len(HASHES) == pytest.approx(0.1, abs=0.01)


def test_a_side_never_changes_between_versions() -> None:
    """The hash is part of the stored data: these answers were recorded and must stay."""
    assert [side_of(text_hash, DatasetSettings()) for text_hash in HASHES[:8]] == RECORDED


def test_another_key_draws_another_split() -> None:
    """About a third of the texts change sides under another key, so the key matters."""
    other = DatasetSettings(
        split_key="another key that is longer than the sixty-four bytes which blake2b takes as a key"
    )
    moved = sum(side_of(text_hash, DatasetSettings()) != side_of(text_hash, other) for text_hash in HASHES)
    assert 0.3 < moved / len(HASHES) < 0.6


def test_a_larger_test_share_keeps_every_text_that_was_already_in_it() -> None:
    """Raising the share moves texts into the test side, never out of it."""
    small, large = DatasetSettings(test_share=0.1), DatasetSettings(test_share=0.3)
    assert all(side_of(h, large) is Side.TEST for h in HASHES if side_of(h, small) is Side.TEST)
