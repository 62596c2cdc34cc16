"""Product reviews made up from a seed, with a true sentiment that is known: no network, no files, the same for ever.

Review number `i` is a pure function of the seed and `i`, so a reader may start anywhere, and the truth of a stored
review can be recomputed from its id. The stream has what real ones have: stars that contradict the text, negation,
contrast, typos, markup, leaking titles, repeated texts, rows to refuse, and from a date on, if configured, drift. It
is for demos and tests: what a model scores on it says nothing about real reviews, and every page says so. It is no
source by itself: `ingest.sources.simulated` reads it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from restar_lib.domain import Sentiment
from restar_lib.errors import SourceError
from restar_lib.settings import SimulatedSettings
from restar_lib.simulator.composer import Composition, SeededChoice, compose
from restar_lib.simulator.phrases import LEAKING_TITLES, SHORT_TEXTS, TITLES

SHORT_SHARE = 0.012
NO_RATING_SHARE = 0.003
"""Shares of rows that end in quarantine: too short, without a rating."""
NO_TITLE_SHARE = 0.25
LEAKING_TITLE_SHARE = 0.15
OTHERS = {
    Sentiment.POSITIVE: (Sentiment.NEGATIVE, Sentiment.NEGATIVE, Sentiment.NEUTRAL),
    Sentiment.NEUTRAL: (Sentiment.POSITIVE, Sentiment.NEGATIVE),
    Sentiment.NEGATIVE: (Sentiment.POSITIVE, Sentiment.POSITIVE, Sentiment.NEUTRAL),
}
"""What the stars say where they contradict the text."""
STARS = {Sentiment.NEGATIVE: (1, 1, 1, 2, 2), Sentiment.NEUTRAL: (3,), Sentiment.POSITIVE: (5, 5, 5, 5, 5, 4, 4)}


def review(number: int, config: SimulatedSettings) -> dict[str, Any]:
    """The fields of review `number`, as a source returns them."""
    composition = _composition(number, config)
    draw = seeded_choice("review", number, config)
    disagrees = draw.chance(config.disagreement_rate)
    rating = draw.pick(STARS[draw.pick(OTHERS[composition.sentiment]) if disagrees else composition.sentiment])
    fields = {
        "review_id": f"sim-{config.seed}-{number}",
        "text": draw.pick(SHORT_TEXTS) if draw.chance(SHORT_SHARE) else composition.text,
        "title": _title(composition.sentiment, rating, draw),
        "rating": None if draw.chance(NO_RATING_SHARE) else rating,
        "asin": composition.asin,
        "parent_asin": composition.asin,
        "product_category": composition.category,
        "user_id": f"user-{draw.below(5000)}",
        "reviewed_at": written_at(number, config).isoformat(),
    }
    return {name: value for name, value in fields.items() if value is not None}


def true_sentiment(review_id: str, config: SimulatedSettings) -> Sentiment:
    """What the text of a simulated review really expresses. Raises `SourceError` for a review of another origin."""
    prefix, _, number = review_id.rpartition("-")
    if prefix != f"sim-{config.seed}" or not number.isdecimal():
        raise SourceError(f"review {review_id} is none of the simulator with seed {config.seed}: its truth is unknown")
    return _composition(int(number), config).sentiment


def written_at(number: int, config: SimulatedSettings) -> datetime:
    """When review `number` was written: evenly over the day, in the order of the numbers."""
    return config.start + timedelta(days=number / config.per_day)


def _composition(number: int, config: SimulatedSettings) -> Composition:
    """The text of `number`, or of an earlier one that it repeats word for word."""
    draw = seeded_choice("repeat", number, config)
    if number and draw.chance(config.repeat_rate):
        number = draw.below(number)
    drifted = _drifts(written_at(number, config), config)
    return compose(seeded_choice("text", number, config), drifted=drifted, typo_rate=config.typo_rate)


def _drifts(at: datetime, config: SimulatedSettings) -> bool:
    if config.drift_from is not None and at >= config.drift_from:
        return True
    return any(start <= at < end for start, end in config.drills)


def _title(sentiment: Sentiment, rating: int, draw: SeededChoice) -> str | None:
    if draw.chance(NO_TITLE_SHARE):
        return None
    return LEAKING_TITLES[rating] if draw.chance(LEAKING_TITLE_SHARE) else draw.pick(TITLES[sentiment])


def seeded_choice(purpose: str, number: int, config: SimulatedSettings) -> SeededChoice:
    """A random generator for each purpose, so that a change to one leaves the others as they were."""
    return SeededChoice([config.seed, number, *purpose.encode()])
