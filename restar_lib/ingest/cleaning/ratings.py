"""Ratings as people and shops write them, as stars from 1 to 5: numbers, "4 stars", "3.0 out of 5", "FIVE", "★★★☆☆".

Pure. A value that says its own scale ("8/10", "80 %", "positive") needs nothing else. A bare number is stars here; on
any other scale it is converted where the file is read, because only the whole file shows its scale
(`ingest.inspection.rating_scales`). Wanted are the sentiments of DESIGN section 3: at most 2 stars negative, 3 neutral,
at least 4 positive.

Rule for decimals and other scales: the lowest value of the scale is 1 star, the highest is 5, the ones between lie on
the line; then the nearest star, and from a half the one that is nearer to 3, because a half star speaks for neither.
So of 10, values up to 4 are negative and from 7 on positive, as in Maas et al. 2011.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

STARS: Final = (1.0, 5.0)
THUMBS: Final = "thumbs"
SENTIMENT_WORDS: Final = {
    "positive": 5, "pos": 5, "neutral": 3, "neu": 3, "negative": 1, "neg": 1, "mixed": 3,
    "thumbs up": 5, "thumbs down": 1, "\U0001f44d": 5, "\U0001f44e": 1,
    "recommended": 5, "not recommended": 1, "recommend": 5, "not recommend": 1,
}  # fmt: skip
THUMB_WORDS: Final = {
    "true": 5, "false": 1, "yes": 5, "no": 1, "y": 5, "n": 1, "t": 5, "f": 1, "up": 5, "down": 1,
    "like": 5, "dislike": 1, "good": 5, "bad": 1, "1": 5, "0": 1, "-1": 1, "__label__2": 5, "__label__1": 1,
    "label_1": 5, "label_0": 1,
}  # fmt: skip
"""What is one of two only where the scale is known to be `thumbs`."""
_NUMBER_WORDS = {"six": 6.0, "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0}
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_NUMBER = r"[0-9]{1,4}(?:\.[0-9]{1,6}|,[0-9]{1,2})?"
_PLAIN = re.compile(rf"[-+]?(?:{_NUMBER}|[.,][0-9]{{1,6}})")
_COUNTED = re.compile(rf"({_NUMBER}|one|two|three|four|five)\s?-?\s?(?:stars?|bubbles?)(?:\s+ratings?)?")
# "Out of" on the pages of large shops: English, German, French, Spanish, Italian, Dutch, Swedish, Polish.
_OUT_OF = re.compile(
    rf"(?:rated |rating:? ?)?({_NUMBER}) ?(?:/|out of|of|von|sur|de|su|van|av|z) ?([0-9]{{1,3}})"
    r"(?: ?[^\W\d_]+\.?){0,2}"  # "stars", "bubbles"
)
_PERCENT = re.compile(rf"({_NUMBER}) ?%")
_FULL, _EMPTY = "\u2605\u2b50\U0001f31f*", "\u2606\u2729"
_SIGNS = re.compile(rf"[{re.escape(_FULL)}]{{1,5}}[{_EMPTY}]{{0,9}}")
LARGEST: Final = 1e15
"""A larger number rates nothing."""
MAX_CHARS = 60
"""Longer ones are texts."""


@dataclass(frozen=True)
class RatingScale:
    """Numbers from the worst to the best; where the best is smaller (school marks), the line falls."""

    worst: float
    best: float

    @classmethod
    def parse(cls, written: str) -> RatingScale:
        """From `1-10`, `0-100`, `6-1`. Raises `ValueError`."""
        found = re.fullmatch(rf"(-?{_NUMBER})\s*(?:-|to|\.\.)\s*(-?{_NUMBER})", written.strip())
        if found is None or _decimal(found[1]) == _decimal(found[2]):
            raise ValueError(f"{written!r} is no scale of ratings: write the worst and the best, 1-10, or thumbs")
        return cls(_decimal(found[1]), _decimal(found[2]))

    def stars(self, number: float) -> int | None:
        """The stars of a number; None where it is outside the scale."""
        share = (number - self.worst) / (self.best - self.worst)
        return _nearest(1 + 4 * share) if 0 <= share <= 1 else None


def parse_rating(value: Any) -> int | None:
    """1 to 5 stars from a value that says them; None for anything else, 0 and 6 included."""
    if value.__class__ is int:  # nearly every row
        return int(value) if 1 <= value <= 5 else None
    if isinstance(value, str):
        number = plain_number(value)
        return explicit_stars(value) if number is None else _stars(number)
    return _stars(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def plain_number(value: Any) -> float | None:
    """The number that a value is and no more: 4, 4.0, "4", "4,5"; None for "4 stars", and for a truth value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < LARGEST else None
    text = value.strip() if isinstance(value, str) else ""
    return _decimal(text) if len(text) <= MAX_CHARS and _PLAIN.fullmatch(text) else None


def explicit_stars(value: str) -> int | None:
    """The stars of a text that says its scale itself; None where it does not."""
    text = " ".join(value.split()).casefold().replace("\ufe0f", "")
    if not text or len(text) > MAX_CHARS:
        return None
    return _WORDS.get(text) or SENTIMENT_WORDS.get(text) or _written_stars(text)


def _written_stars(text: str) -> int | None:
    if counted := _COUNTED.fullmatch(text):
        return _stars(float(_WORDS[counted[1]]) if counted[1] in _WORDS else _decimal(counted[1]))
    if out_of := _OUT_OF.fullmatch(text):
        return _of(_decimal(out_of[1]), int(out_of[2]))
    if percent := _PERCENT.fullmatch(text):  # the width of five stars: 40 % are two of them
        share = _decimal(percent[1])
        return _nearest(max(share / 20, 1)) if share <= 100 else None
    if _SIGNS.fullmatch(text):
        full = sum(sign in _FULL for sign in text)
        return full if len(text) == full or len(text) == 5 else _of(full, len(text))
    return None


def said_number(value: Any) -> float | None:
    """The number that a value is or begins with: 4, "8 stars", "ten"; None where it is another word."""
    if (number := plain_number(value)) is not None or not isinstance(value, str):
        return number
    text = " ".join(value.split()).casefold()
    if text in _NUMBER_WORDS:
        return _NUMBER_WORDS[text]
    counted = _COUNTED.fullmatch(text)
    return _decimal(counted[1]) if counted and counted[1] not in _WORDS else None


def thumb_stars(value: Any) -> int | None:
    """5 or 1 for a value of two, where it is known to be that; None for anything else."""
    if isinstance(value, bool):
        return 5 if value else 1
    if isinstance(value, int | float) and value in {0, 1, -1}:
        return 5 if value == 1 else 1
    word = " ".join(str(value).split()).casefold().replace("\ufe0f", "").removesuffix(".0")
    return THUMB_WORDS.get(word) or SENTIMENT_WORDS.get(word)


def _of(number: float, highest: int) -> int | None:
    """Of a scale whose end is said and whose beginning is not: it is 1, and 0 is the lowest too."""
    if highest < 3 or not 0 <= number <= highest:
        return None
    return RatingScale(0 if highest > 20 else 1, highest).stars(max(number, 0 if highest > 20 else 1))


def _stars(number: float) -> int | None:
    return _nearest(number) if STARS[0] <= number <= STARS[1] else None


def _nearest(stars: float) -> int:
    below = math.floor(round(stars, 9))
    beyond = round(stars - below, 9)
    up = beyond > 0.5 or (beyond == 0.5 and below < 3)
    return below + up


def _decimal(text: str) -> float:
    return float(text.replace(",", "."))
