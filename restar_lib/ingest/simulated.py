"""Product reviews made up from a seed, with a true sentiment that is known: no network, no files, the same for ever.

Review number `i` is a pure function of the seed and `i`, so the source starts anywhere, and the truth of a stored
review can be recomputed from its id. The stream has what real ones have: stars that contradict the text, negation,
contrast, typos, markup, leaking titles, repeated texts, rows to refuse, and from a date on, if configured, drift. It
is for demos and tests: what a model scores on it says nothing about real reviews, and every page says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from restar_lib.domain import Sentiment
from restar_lib.errors import SourceError
from restar_lib.ingest.composer import Composition, Dice, compose
from restar_lib.ingest.phrases import LEAKING_TITLES, SHORT_TEXTS, TITLES
from restar_lib.ingest.sources import Cursor, RawRow, check_kind
from restar_lib.settings import Simulated

SHORT_SHARE = 0.012
CUT_OFF_SHARE = 0.003
NO_RATING_SHARE = 0.003
"""Shares of rows that end in quarantine: too short, malformed, without a rating."""
NO_TITLE_SHARE = 0.25
LEAKING_TITLE_SHARE = 0.15
OTHERS = {
    Sentiment.POSITIVE: (Sentiment.NEGATIVE, Sentiment.NEGATIVE, Sentiment.NEUTRAL),
    Sentiment.NEUTRAL: (Sentiment.POSITIVE, Sentiment.NEGATIVE),
    Sentiment.NEGATIVE: (Sentiment.POSITIVE, Sentiment.POSITIVE, Sentiment.NEUTRAL),
}
"""What the stars say where they contradict the text."""
STARS = {Sentiment.NEGATIVE: (1, 1, 1, 2, 2), Sentiment.NEUTRAL: (3,), Sentiment.POSITIVE: (5, 5, 5, 5, 5, 4, 4)}


@dataclass(frozen=True, kw_only=True)
class SimulatedSource:
    """The endless stream of simulated reviews, as a source; a run ends at its `max_rows`."""

    name: str
    config: Simulated
    kind: str = "simulated"

    def rows(self, cursor: Cursor | None) -> Iterator[RawRow]:
        """All reviews from the cursor's number on, for ever."""
        check_kind(self, cursor)
        if cursor is not None and cursor["seed"] != self.config.seed:
            raise SourceError(
                f"source {self.name!r} was read with simulated.seed {cursor['seed']}, now it is {self.config.seed}: "
                "set it back, or wipe the state with `make reset`"
            )
        for number in count(cursor["next"] if cursor else 0):
            yield self._row(number)

    def _row(self, number: int) -> RawRow:
        fields = review(number, self.config)
        raw = json.dumps(fields).encode()
        cursor: Cursor = {"kind": self.kind, "seed": self.config.seed, "next": number + 1}
        if _dice("cut", number, self.config).chance(CUT_OFF_SHARE):
            return RawRow(raw=raw[: len(raw) // 2], fields=None, problem="not JSON: cut off", cursor_after=cursor)
        return RawRow(raw=raw, fields=fields, cursor_after=cursor)


def review(number: int, config: Simulated) -> dict[str, Any]:
    """The fields of review `number`, as a source hands them on."""
    composition = _composition(number, config)
    dice = _dice("review", number, config)
    disagrees = dice.chance(config.disagreement_rate)
    rating = dice.pick(STARS[dice.pick(OTHERS[composition.sentiment]) if disagrees else composition.sentiment])
    fields = {
        "review_id": f"sim-{config.seed}-{number}",
        "text": dice.pick(SHORT_TEXTS) if dice.chance(SHORT_SHARE) else composition.text,
        "title": _title(composition.sentiment, rating, dice),
        "rating": None if dice.chance(NO_RATING_SHARE) else rating,
        "asin": composition.asin,
        "parent_asin": composition.asin,
        "product_category": composition.category,
        "user_id": f"user-{dice.below(5000)}",
        "reviewed_at": moment(number, config).isoformat(),
    }
    return {name: value for name, value in fields.items() if value is not None}


def true_sentiment(review_id: str, config: Simulated) -> Sentiment:
    """What the text of a simulated review really expresses. Raises `SourceError` for a review of another origin."""
    prefix, _, number = review_id.rpartition("-")
    if prefix != f"sim-{config.seed}" or not number.isdecimal():
        raise SourceError(f"review {review_id} is none of the simulator with seed {config.seed}: its truth is unknown")
    return _composition(int(number), config).sentiment


def moment(number: int, config: Simulated) -> datetime:
    """When review `number` was written: evenly over the day, in the order of the numbers."""
    return config.start + timedelta(days=number / config.per_day)


def _composition(number: int, config: Simulated) -> Composition:
    """The text of `number`, or of an earlier one that it repeats word for word."""
    dice = _dice("repeat", number, config)
    if number and dice.chance(config.repeat_rate):
        number = dice.below(number)
    drifted = _drifts(moment(number, config), config)
    return compose(_dice("text", number, config), drifted=drifted, typo_rate=config.typo_rate)


def _drifts(at: datetime, config: Simulated) -> bool:
    if config.drift_from is not None and at >= config.drift_from:
        return True
    return any(start <= at < end for start, end in config.drills)


def _title(sentiment: Sentiment, rating: int, dice: Dice) -> str | None:
    if dice.chance(NO_TITLE_SHARE):
        return None
    return LEAKING_TITLES[rating] if dice.chance(LEAKING_TITLE_SHARE) else dice.pick(TITLES[sentiment])


def _dice(purpose: str, number: int, config: Simulated) -> Dice:
    """One stream of chance for each purpose, so that a change to one leaves the others as they were."""
    return Dice([config.seed, number, *purpose.encode()])
