"""Sentences of a text, with their places in it, and training rows made of sentences.

Split by `sentencex` (rules of the Wikimedia Foundation for each language; no model to load), so that a review that
praises the lamp and blames the courier can be read sentence by sentence. A sentence that inherits its review's truth is
a guess: the review keeps its whole weight, shared out over its parts. Scores nothing and trains nothing: `serving` and
`restar predict` score sentences, training may learn from them (`training.sentences`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from restar_lib.domain import Example

LANGUAGE: Final = "en"
WHOLE_SHARE: Final = 0.5
"""How much of a review's weight stays with its whole text in training; the rest goes to its sentences."""
MIN_WORDS: Final = 3
"""A shorter part of a review says too little to inherit its stars; it joins its neighbour."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence of a text: `text[start:end]`, counted in characters (Unicode code points)."""

    text: str
    start: int
    end: int


def split(text: str, *, language: str = LANGUAGE) -> tuple[Sentence, ...]:
    """The sentences of a text in its order, without blanks around them. A text of blanks alone has none."""
    from sentencex import get_sentence_boundaries

    found = []
    for boundary in get_sentence_boundaries(language, text):
        piece = text[boundary["start_index"] : boundary["end_index"]]
        bare = piece.strip()
        if bare:
            start = boundary["start_index"] + piece.index(bare)
            found.append(Sentence(text=bare, start=start, end=start + len(bare)))
    return tuple(found)


def inherit(examples: Sequence[Example], *, whole: float = WHOLE_SHARE) -> tuple[Example, ...]:
    """Each review, followed by its sentences as rows with its truth.

    The review keeps the share `whole` of its weight (at 0 it is left out) and its sentences get equal parts of the
    rest, so the sum is what it was. A review of one sentence stays as it is. Rows keep their review's id.
    """
    return tuple(row for example in examples for row in _parts(example, whole=whole))


def _parts(example: Example, *, whole: float) -> Iterator[Example]:
    texts = _long_enough(split(example.text), example.text)
    if len(texts) < 2:
        yield example
        return
    if whole > 0:
        yield replace(example, weight=example.weight * whole)
    for text in texts:
        yield replace(example, text=text, weight=example.weight * (1 - whole) / len(texts))


def _long_enough(sentences: Sequence[Sentence], text: str) -> list[str]:
    """Sentences, where one of few words is read together with what stands before it (the first, with what follows)."""
    spans: list[tuple[int, int]] = []
    for one in sentences:
        if spans and (_is_short(one.text) or _is_short(text[slice(*spans[-1])])):
            spans[-1] = (spans[-1][0], one.end)
        else:
            spans.append((one.start, one.end))
    return [text[start:end] for start, end in spans]


def _is_short(text: str) -> bool:
    return len(text.split()) < MIN_WORDS
