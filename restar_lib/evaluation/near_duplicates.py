"""Near copies of texts: the same review under another product, with a word changed.

Two texts are near copies where they share most of their runs of five words (Jaccard similarity of shingles, Broder
1997). Exact copies never stand in a snapshot (`dataset.leakage`). Pure; looks at rows that it is given.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Final

RUN: Final = 5
SIMILAR: Final = 0.6
COMMON: Final = 30
"""A run that more texts share is a phrase or a text copied often: then not every pair of them is looked at."""
WORD: Final = re.compile(r"\w[\w']*")
"""In any script; where no blank stands between words (Chinese), what stands between two marks."""


def near_copies(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places of texts that are near copies, each pair once, the smaller place first.

    Of a text that stands more than `COMMON` times, each copy is found, in two pairs or so, and not every pair.
    """
    runs = [_runs(text) for text in texts]
    places: dict[int, list[int]] = defaultdict(list)
    for place, of_text in enumerate(runs):
        for run in of_text:
            places[run].append(place)
    return sorted(
        (one, other)
        for one, other in {pair for found in places.values() for pair in _to_look_at(found)}
        if _are_similar(runs[one], runs[other])
    )


def _to_look_at(found: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of places that share a run; of a common one each place with the next, and with the one half way round.

    Half way, because rows come side by side: the next one nearly always stands on the same side.
    """
    if len(found) <= COMMON:
        yield from combinations(found, 2)
        return
    yield from pairwise(found)
    half = len(found) // 2
    for one, other in zip(found, (*found[half:], *found[:half]), strict=True):
        yield min(one, other), max(one, other)


def _are_similar(one: frozenset[int], other: frozenset[int]) -> bool:
    if min(len(one), len(other)) < SIMILAR * max(len(one), len(other)):
        return False
    count = len(one & other)
    return count >= SIMILAR * (len(one) + len(other) - count)


def _runs(text: str) -> frozenset[int]:
    words = WORD.findall(text.lower())
    if not words:
        return frozenset()  # a text without words is no copy of another
    return frozenset(hash(tuple(words[start : start + RUN])) for start in range(max(1, len(words) - RUN + 1)))
