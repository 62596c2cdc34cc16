"""The text of one simulated review, drawn at random from `simulator.products` and `simulator.phrases`.

A review is an opener, remarks about aspects of the product, perhaps a contrast ("..., but ..."), facts without an
opinion, and a closer; then typing errors and markup are added. It knows the sentiment that it expresses and nothing of
stars, dates or ids (`simulator.reviews`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from restar_lib.domain import Sentiment
from restar_lib.simulator import phrases
from restar_lib.simulator.products import CATEGORIES, DRIFTED, Aspect, Category

T = TypeVar("T")

CLASS_MIX = ((0.75, Sentiment.POSITIVE), (0.85, Sentiment.NEUTRAL), (1.0, Sentiment.NEGATIVE))
DRIFTED_CLASS_MIX = ((0.50, Sentiment.POSITIVE), (0.65, Sentiment.NEUTRAL), (1.0, Sentiment.NEGATIVE))
"""Cumulative shares of the true sentiments."""
PRODUCTS_PER_KIND = 40
OPENER_SHARE = 0.85
CLOSER_SHARE = 0.65
CONTRAST_SHARE = 0.15
"""How often a review says what it means at once, says it again at the end, and says the opposite of a part of it.

Chosen by measurement: the packaged encoder with a trained head reads about nine of ten reviews right, so the stream is
neither trivial nor hopeless.
"""


class SeededChoice:
    """A seeded random generator of single choices."""

    def __init__(self, seed: Sequence[int]) -> None:
        self._generator = np.random.default_rng(seed)
        self._drawn: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        if not self._drawn:  # in blocks: one call of numpy per draw would be ten times as slow
            self._drawn = self._generator.random(48).tolist()
        return self._drawn.pop()

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.uniform() < probability

    def below(self, limit: int) -> int:
        """A whole number from 0 to `limit` - 1."""
        return int(self.uniform() * limit)

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`."""
        return choices[self.below(len(choices))]


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A text, what it is about, and what it truly expresses."""

    sentiment: Sentiment
    category: str
    asin: str
    text: str


def compose(draw: SeededChoice, *, drifted: bool, typo_rate: float) -> Composition:
    """One review; `drifted` switches to a new category, new words and another class mix."""
    at = draw.uniform()
    sentiment = next(name for limit, name in (DRIFTED_CLASS_MIX if drifted else CLASS_MIX) if at < limit)
    category = DRIFTED if drifted and draw.chance(0.5) else draw.pick(CATEGORIES)
    product = draw.pick(category.products)
    sentences = _sentences(sentiment, category, draw, drifted=drifted)
    filled = " ".join(sentences).replace("{product}", product)
    return Composition(
        sentiment=sentiment,
        category=category.name,
        asin=_asin(f"{product}-{draw.below(PRODUCTS_PER_KIND)}"),
        text=_typed(filled, draw, typo_rate=typo_rate),
    )


def _sentences(sentiment: Sentiment, category: Category, draw: SeededChoice, *, drifted: bool) -> list[str]:
    facts = _facts(draw)
    opener = _opener(sentiment, draw, drifted=drifted)
    remarks = _remarks(sentiment, category, draw)
    closer = [draw.pick(phrases.CLOSERS[sentiment])] if draw.chance(CLOSER_SHARE) else []
    middle = [*remarks, *facts] if draw.chance(0.6) else [*facts, *remarks]
    return [opener, *middle, *closer]


def _opener(sentiment: Sentiment, draw: SeededChoice, *, drifted: bool) -> str:
    """Some reviews come straight to the point: then only the remarks say what is meant."""
    if not draw.chance(OPENER_SHARE):
        return draw.pick(phrases.PLAIN_OPENERS)
    bank = phrases.DRIFTED_OPENERS if drifted and draw.chance(0.7) else phrases.OPENERS
    return draw.pick(bank[sentiment]).replace("{very}", draw.pick(phrases.INTENSITIES))


def _remarks(sentiment: Sentiment, category: Category, draw: SeededChoice) -> list[str]:
    """One or two remarks of the review's own sentiment; a contrast turns part of it around."""
    first = draw.below(len(category.aspects))
    # Two different aspects, whatever is drawn.
    other = (first + 1 + draw.below(len(category.aspects) - 1)) % len(category.aspects)
    aspect, another = category.aspects[first], category.aspects[other]
    contrast = _fill(draw.pick(phrases.CONTRASTS[sentiment]), aspect, another, draw)
    if sentiment is Sentiment.NEUTRAL:
        return [contrast]
    bank = phrases.PRAISES if sentiment is Sentiment.POSITIVE else phrases.COMPLAINTS
    remark = _fill(draw.pick(bank), aspect, another, draw)
    if draw.chance(CONTRAST_SHARE):
        return [remark, contrast] if draw.chance(0.5) else [contrast, remark]
    return [remark, _fill(draw.pick(bank), another, aspect, draw)] if draw.chance(0.3) else [remark]


def _fill(template: str, aspect: Aspect, other: Aspect, draw: SeededChoice) -> str:
    """In a template with both aspects, `good` is said of the other one where it stands behind it."""
    good_of = other if "ther} {good}" in template else aspect
    bad_of = other if "ther} {bad}" in template else aspect
    return template.format(
        aspect=aspect.name,
        Aspect=aspect.name.capitalize(),
        other=other.name,
        Other=other.name.capitalize(),
        good=draw.pick(good_of.good),
        bad=draw.pick(bad_of.bad),
    )


def _facts(draw: SeededChoice) -> list[str]:
    """One or two different facts."""
    first = draw.below(len(phrases.FACTS))
    second = (first + 1 + draw.below(len(phrases.FACTS) - 1)) % len(phrases.FACTS)
    chosen = [first, second] if draw.chance(0.3) else [first]
    return [
        phrases.FACTS[place].format(
            person=draw.pick(phrases.PERSONS),
            month=draw.pick(phrases.MONTHS),
            number=draw.pick(phrases.NUMBERS),
            colour=draw.pick(phrases.COLOURS),
        )
        for place in chosen
    ]


def _asin(product: str) -> str:
    return "B" + hashlib.sha256(product.encode()).hexdigest()[:9].upper()


def _typed(text: str, draw: SeededChoice, *, typo_rate: float) -> str:
    """As people type it: slips, no capitals, shouting, and the markup that shops leave in."""
    if draw.chance(typo_rate):
        for _ in range(1 + draw.below(3)):
            text = _slip(text, draw)
    style = draw.uniform()
    if style < 0.06:
        return text.lower()
    if style < 0.08:
        return text.upper()
    if style < 0.12:
        return text.replace(". ", ".<br /><br />", 1)
    return text.replace("'", "&#39;")


def _slip(text: str, draw: SeededChoice) -> str:
    """Two letters swapped, one lost, or one doubled."""
    at = 1 + draw.below(len(text) - 2)
    return text[:at] + draw.pick((text[at + 1] + text[at], text[at + 1], text[at] * 2 + text[at + 1])) + text[at + 2 :]
