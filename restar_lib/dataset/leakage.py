"""Refuses leakage: no review and no text is on two sides of a training set.

Compares the finished sides themselves and relies on no column of the table, neither side nor text hash. Run before a
snapshot is written and again whenever one is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from restar_lib.domain import Example, Side
from restar_lib.errors import SnapshotError
from restar_lib.text import normalised_text


def refuse_leaks(sides: Mapping[Side, Sequence[Example]]) -> None:
    """Raise `SnapshotError` where a review id or a normalised text appears twice, on two sides or on one."""
    reviews: dict[str, Side] = {}
    texts: dict[str, tuple[str, Side]] = {}
    for side, examples in sides.items():
        for example in examples:
            if example.review_id in reviews:
                raise SnapshotError(
                    f"review {example.review_id} stands in {reviews[example.review_id]} and in {side}: refused"
                )
            text = normalised_text(example.text)
            if text in texts:
                other, first = texts[text]
                raise SnapshotError(
                    f"reviews {other} ({first}) and {example.review_id} ({side}) have the same text: refused"
                )
            reviews[example.review_id] = side
            texts[text] = (example.review_id, side)
