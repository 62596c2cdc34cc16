"""From the fields of a raw row to a review, or to a rejection with its reason: pure functions, no I/O, no clock.

Takes texts as real streams have them (HTML, entities, Amazon's own marks, odd Unicode, NUL) and makes them plain. It
does not judge content beyond length and the blocklist, does not translate, and does not look at other reviews:
copies of a text are found by `text_hash` in `ingest.load`. What is far too long is refused before any pattern runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from restar_lib.domain import QuarantineReason, Review
from restar_lib.ingest.cleaning.ratings import parse_rating
from restar_lib.ingest.cleaning.timestamps import parse_timestamp
from restar_lib.languages.identify import language_of
from restar_lib.languages.words import count_words
from restar_lib.settings import IngestSettings
from restar_lib.text import has_folded_form, leaks_stars, normalised_text, plain_text

UNDATED = "undated"
"""Beside the fields of a row that brings no time, and was given one (`source.reviewed_at`)."""
MAX_CHARS = 10_000
"""Longer texts are too long however few words they have: the limit of a prediction request as well."""
MAX_ID_CHARS = 200
"""A longer id is not taken (it would not fit an index page): the row gets one of ours."""
MAX_TITLE_CHARS = 2_000
"""A longer title is not read: the limit of a prediction request as well."""
RAW_LENGTH_FACTOR = 10
"""What was read may be so many times as long as what is taken of it: a text of nothing but `&quot;` is six times as
long as its characters, a link brings its address. In 1.1 million texts of real reviews the longest one had 14,301
characters; markup made a few short ones eleven times as long, no long one more than half as long again."""


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Why a row is not taken: the reason to count, and the detail to read."""

    reason: QuarantineReason
    detail: str


FieldsOrProblem = Mapping[str, Any] | str
"""The fields of a row by our names, or what is wrong with a malformed one."""


def clean_row(row: FieldsOrProblem, config: IngestSettings, *, source: str) -> Review | Rejection:
    """The review in a row, or why it is not taken: malformed, or the first reason of `clean`."""
    if isinstance(row, str):
        return Rejection(reason=QuarantineReason.MALFORMED, detail=row)
    return clean(row, config, source=source)


def clean(fields: Mapping[str, Any], config: IngestSettings, *, source: str) -> Review | Rejection:
    """The review in `fields` (our names), or the first reason not to take it."""
    if _far_too_long(fields.get("text"), MAX_CHARS):
        chars, most = len(fields["text"]), RAW_LENGTH_FACTOR * MAX_CHARS
        detail = f"{chars} characters as read, at most {most} are cleaned"
        return Rejection(reason=QuarantineReason.TOO_LONG, detail=detail)
    text = plain_text(fields.get("text"))
    rating = parse_rating(fields.get("rating"))
    reviewed_at = parse_timestamp(fields.get("reviewed_at"))
    # Of the text as it was read: its copies, and its side of the split, are what they were before anything was kept.
    normalised = normalised_text(plain_text(fields["text"], folded=True) if has_folded_form(text) else text)
    if not normalised:
        return Rejection(reason=QuarantineReason.MISSING_TEXT, detail=_found("text", fields))
    if rating is None:
        return Rejection(reason=QuarantineReason.BAD_RATING, detail=_found("rating", fields, wanted="1 to 5"))
    if reviewed_at is None:
        return Rejection(reason=QuarantineReason.BAD_TIMESTAMP, detail=_found("reviewed_at", fields, wanted="a date"))
    words = count_words(text)
    rejection = _length(words, len(text), config) or _blocked(normalised, config)
    if rejection is not None:
        return rejection
    return Review(
        review_id=identifier(fields.get("review_id")) or derived_id(fields, reviewed_at),
        source=source,
        text=text,
        title=readable_title(fields.get("title")),
        rating=rating,
        asin=identifier(fields.get("asin")),
        parent_asin=identifier(fields.get("parent_asin")),
        product_category=identifier(fields.get("product_category")),
        user_id=identifier(fields.get("user_id")),
        reviewed_at=reviewed_at,
        text_hash=text_hash(normalised),
        words=words,
        language=language_of(text),
    )


def text_hash(normalised: str) -> str:
    """SHA-256 (hex) of a normalised text: the same for all copies of it."""
    return hashlib.sha256(normalised.encode()).hexdigest()


def derived_id(fields: Mapping[str, Any], reviewed_at: datetime) -> str:
    """The id of a row that brings none: sha1(user|asin|timestamp in ms|text), 16 hex digits.

    From the text as it was read, so that better cleaning never makes a known review look new; without a time that is
    not the row's own, which another reading would not repeat.
    """
    user, asin = identifier(fields.get("user_id")) or "", identifier(fields.get("asin")) or ""
    time = "" if fields.get(UNDATED) else round(reviewed_at.timestamp() * 1000)
    key = f"{user}|{asin}|{time}|{fields.get('text')}"
    return hashlib.sha1(key.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:16]


def _far_too_long(value: Any, most: int) -> bool:
    """Whether even markup does not explain the length of what was read."""
    return isinstance(value, str) and len(value) > RAW_LENGTH_FACTOR * most


def _length(words: int, chars: int, config: IngestSettings) -> Rejection | None:
    if words < config.min_words:
        return Rejection(reason=QuarantineReason.TOO_SHORT, detail=f"{words} words, at least {config.min_words} wanted")
    if words > config.max_words:
        return Rejection(reason=QuarantineReason.TOO_LONG, detail=f"{words} words, at most {config.max_words} wanted")
    if chars > MAX_CHARS:
        return Rejection(reason=QuarantineReason.TOO_LONG, detail=f"{chars} characters, at most {MAX_CHARS} wanted")
    return None


def _blocked(normalised: str, config: IngestSettings) -> Rejection | None:
    """Blocklisted phrases are found as whole words, whatever their case and punctuation."""
    for phrase in config.blocklist:
        wanted = normalised_text(phrase)
        if wanted and f" {wanted} " in f" {normalised} ":
            return Rejection(reason=QuarantineReason.BLOCKLISTED, detail=f"contains {phrase!r}")
    return None


def readable_title(value: Any) -> str | None:
    """The title as plain text; None where there is none, it is too long, or it names the stars."""
    title = "" if _far_too_long(value, MAX_TITLE_CHARS) else plain_text(value)
    return None if not 0 < len(title) <= MAX_TITLE_CHARS or leaks_stars(title) else title


def identifier(value: Any) -> str | None:
    """An id or a category as text; the first of a list (some files nest categories); None where there is none."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | str) or _far_too_long(value, MAX_ID_CHARS):
        return None
    text = plain_text(str(value), markup=False, folded=True)
    return text if 0 < len(text) <= MAX_ID_CHARS else None


def _found(name: str, fields: Mapping[str, Any], *, wanted: str = "") -> str:
    """What the field holds instead, shortened."""
    if name not in fields:
        return f"no {name}"
    shown = plain_text(repr(fields[name])[:80], markup=False)
    return f"{name} is {shown}" + (f", {wanted} wanted" if wanted else "")
