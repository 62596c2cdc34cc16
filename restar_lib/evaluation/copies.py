"""Near copies of texts: the same review under another product, with a word changed.

Two texts are near copies where they share most of their runs of five words (Jaccard similarity of shingles, Broder
1997). Exact copies never stand in a snapshot (`dataset.guards`). Pure; looks at rows that it is given.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

RUN: Final = 5
SIMILAR: Final = 0.6
COMMON: Final = 30
"""A run that more texts share is a phrase, and says nothing about copies."""
WORD: Final = re.compile(r"[a-z0-9']+")


def near_copies(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places of texts that are near copies, each pair once, the smaller place first."""
    runs = [_runs(text) for text in texts]
    places: dict[int, list[int]] = defaultdict(list)
    for place, of_text in enumerate(runs):
        for run in of_text:
            places[run].append(place)
    shared = Counter(pair for found in places.values() if len(found) <= COMMON for pair in combinations(found, 2))
    return sorted(_similar(shared, runs))


def _similar(shared: Counter[tuple[int, int]], runs: Sequence[frozenset[int]]) -> Iterator[tuple[int, int]]:
    for (one, other), count in shared.items():
        if count >= SIMILAR * (len(runs[one]) + len(runs[other]) - count):
            yield one, other


def _runs(text: str) -> frozenset[int]:
    words = WORD.findall(text.lower())
    return frozenset(hash(tuple(words[start : start + RUN])) for start in range(max(1, len(words) - RUN + 1)))
