"""Which side of the split a text is on: decided by a keyed hash of its normalised text, and never changed.

So every copy of a text is on the same side, the side does not depend on what else was read or when, and a row of the
test side is in no model's training set. It uses the hash only: no stratification, no time. `ingest.load` stores the
side with the review; `dataset.snapshot` reads it from there.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Protocol

from restar_lib.domain import Side


class SplitRule(Protocol):
    """What decides the sides: section `dataset` of the settings has these."""

    @property
    def split_key(self) -> str:
        """Key of the hash; another key puts every text on a new side."""

    @property
    def test_share(self) -> float:
        """Share of the texts that are on the test side, in [0, 1)."""

    @property
    def validation_share(self) -> float:
        """Share of the texts that are on the validation side, in [0, 1)."""


def side_of(text_hash: str, config: SplitRule) -> Side:
    """The side of the text whose hash is `text_hash`: test, then validation, then train along [0, 1)."""
    place = _uniform(text_hash, key=config.split_key)
    if place < config.test_share:
        return Side.TEST
    return Side.VALIDATION if place < config.test_share + config.validation_share else Side.TRAIN


def split_rule_hash(config: SplitRule) -> str:
    """16 hex digits that are equal where every text is on the same side."""
    rule = f"{config.split_key}:{config.test_share}:{config.validation_share}"
    return hashlib.sha256(rule.encode()).hexdigest()[:16]


def _uniform(value: str, *, key: str) -> float:
    """A number in [0, 1] that only `value` and `key` decide, evenly spread over values."""
    return int.from_bytes(hashlib.blake2b(value.encode(), key=_hashed(key), digest_size=8).digest()) / 2**64


@cache
def _hashed(key: str) -> bytes:
    """blake2b takes at most 64 bytes of key, so a key of any length is hashed to that first."""
    return hashlib.blake2b(key.encode()).digest()
