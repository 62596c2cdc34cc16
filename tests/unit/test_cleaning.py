"""From raw fields to a review, or to the one reason not to take it."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from restar_lib.domain import QuarantineReason, Review
from restar_lib.ingest.cleaning.clean import Rejection, clean
from restar_lib.settings import IngestSettings

TEXT = "It does what it should and has done so for two years."
FIELDS: dict[str, Any] = {
    "review_id": "R1",
    "text": TEXT,
    "title": "Solid",
    "rating": 4,
    "asin": "B1",
    "parent_asin": "P1",
    "product_category": "Beauty",
    "user_id": "U1",
    "reviewed_at": 1378944000000,
}


def outcome(config: IngestSettings | None = None, **changes: Any) -> Review | Rejection:
    fields = {name: value for name, value in (FIELDS | changes).items() if value is not None}
    return clean(fields, config or IngestSettings(), source="shop")


def review(**changes: Any) -> Review:
    result = outcome(**changes)
    assert isinstance(result, Review), result
    return result


def reason(config: IngestSettings | None = None, **changes: Any) -> QuarantineReason:
    result = outcome(config, **changes)
    assert isinstance(result, Rejection), result
    assert result.detail
    return result.reason


def test_a_good_row_becomes_a_review_with_all_its_fields() -> None:
    """Nothing is lost on the way, and words, hash and UTC time are added."""
    found = asdict(review())
    words = hashlib.sha256(b"it does what it should and has done so for two years").hexdigest()
    assert found == FIELDS | {
        "source": "shop",
        "reviewed_at": datetime(2013, 9, 12, tzinfo=UTC),
        "text_hash": words,
        "words": 12,
        "language": "en",
    }


@pytest.mark.parametrize(
    "written",
    [
        "\u3160\u3160", "\u314e\u314f\u3134", "\uac00\u3133", "\u314e\u200b\u314f", "\u314e\u0301\u314f", "\uffcc\u200d\u3161",
        "\u0645\u06cc\u200c\u062e\u0631\u0645", "\u0dc1\u0dca\u200d\u0dbb", "\U0001f469\u200d\U0001f527", "a\u200d\u0301 \u3131",
        "e\u0301\u200c\u0327 \u0645\u200d", "\u314b<br/>\u314b &zwnj;\u0645&zwnj;\u06cc", "\u0344" * 40 + "\u3160", "\u0e19\u0e49\u0e33", "e\u0301\u0eb3\u0301",
    ],
)  # fmt: skip
def test_what_is_kept_as_written_changes_the_identity_of_no_review(written: str) -> None:
    """The hash of a text, its side with it, and ids are those of the days when all of it was normalised away."""
    found = review(text=f"{TEXT} {written} x{written}", review_id=f"R{written}"[:100], user_id=f"U-{written}"[:100])
    before = as_before(f"{TEXT} {written} x{written}", markup=True)
    normalised = re.sub(r"[\W_]+", " ", before.casefold()).strip()
    assert found.text_hash == hashlib.sha256(normalised.encode()).hexdigest()
    assert found.review_id == as_before(f"R{written}"[:100], markup=False)
    assert found.user_id == as_before(f"U-{written}"[:100], markup=False)


def as_before(text: str, *, markup: bool) -> str:
    """What cleaning made of a text before it kept anything as it was written."""
    if markup:
        text = html.unescape(text.replace("<br/>", " "))
    text = re.sub("([\u0300-\u0314\u0327\u0344]{30})[\u0300-\u0314\u0327\u0344]+", r"\1", text)
    text = unicodedata.normalize("NFKC", text)
    return " ".join(re.sub("[\u200b-\u200f\u00ad]", "", text).split())


@pytest.mark.parametrize("rating", [4, 4.0, "4", "4.0", " 4 "])
def test_a_rating_may_be_written_in_several_ways(rating: Any) -> None:
    """Numbers and their texts are the same rating."""
    assert review(rating=rating).rating == 4


@pytest.mark.parametrize(
    "rating", [0, 6, -1, 5.5, "0.5", "9 stars", "", True, None, [4], float("nan"), "1e999", 10**400]
)
def test_other_ratings_are_refused(rating: Any) -> None:
    """Outside 1 to 5, and everything that says no stars."""
    assert reason(rating=rating) is QuarantineReason.BAD_RATING


@pytest.mark.parametrize("text", [None, "", "  <br />&nbsp; ", 12, ["x"], "... !!! ??? ... !!! ??? ... !!! ??? ..."])
def test_a_row_without_words_has_no_text(text: Any) -> None:
    """Markup and punctuation alone are no text, however many there are."""
    assert reason(text=text) is QuarantineReason.MISSING_TEXT


def test_the_limits_count_words_of_the_cleaned_text() -> None:
    """10 to 512 words inclusive, after the markup is gone."""
    assert reason(text="word <br/> " * 9) is QuarantineReason.TOO_SHORT
    assert review(text="word <br/> " * 10).words == 10
    assert review(text="word " * 512).words == 512
    assert reason(text="word " * 513) is QuarantineReason.TOO_LONG


def test_a_text_of_few_endless_words_is_too_long() -> None:
    """Ten words of two thousand letters each would fit the word limit and nothing else."""
    assert reason(text=("a" * 2000 + " ") * 10) is QuarantineReason.TOO_LONG


@pytest.mark.parametrize("text", ["<!--" * 50_000, "[[ASIN:" + " " * 200_000, "<b>word</b> " * 12 + " " * 100_000])
def test_a_text_that_markup_cannot_explain_is_too_long_before_it_is_cleaned(text: str) -> None:
    """By its length as it was read, whatever would be left of it; ten times the limit is still cleaned."""
    refused = outcome(text=text)
    assert isinstance(refused, Rejection)
    assert (refused.reason, "as read" in refused.detail) == (QuarantineReason.TOO_LONG, True)
    assert review(text='<a href="' + "x" * 80_000 + f'">{TEXT}</a>').text == TEXT


def test_a_row_without_a_readable_time_is_refused() -> None:
    """The stream is ordered by time, so a review needs one."""
    assert reason(reviewed_at="once") is QuarantineReason.BAD_TIMESTAMP
    assert reason(reviewed_at=None) is QuarantineReason.BAD_TIMESTAMP


def test_blocklisted_phrases_are_found_as_whole_words() -> None:
    """In any case and punctuation, but not inside another word."""
    config = IngestSettings(blocklist=("Free Gift", "  "))
    assert reason(config, text=f"{TEXT} I got a FREE -- gift for it.") is QuarantineReason.BLOCKLISTED
    assert isinstance(outcome(config, text=f"{TEXT} I got a carefree gifted child."), Review)


@pytest.mark.parametrize(
    ("title", "kept"), [("Five Stars", None), ("  ", None), (None, None), ("So &amp; so", "So & so")]
)
def test_a_title_that_leaks_the_stars_is_not_stored(title: str | None, kept: str | None) -> None:
    """Leaking and empty titles are None, others are cleaned."""
    assert review(title=title).title == kept


def test_a_row_without_an_id_gets_one_from_what_identifies_it() -> None:
    """sha1(user|asin|milliseconds|text as read), 16 digits: the same however the time was written."""
    expected = hashlib.sha1(f"U1|B1|1378944000000|{TEXT}".encode(), usedforsecurity=False).hexdigest()[:16]
    assert review(review_id=None).review_id == expected
    assert review(review_id=None, reviewed_at="09 12, 2013").review_id == expected
    assert review(review_id=None, user_id="U2").review_id != expected


@pytest.mark.parametrize("review_id", ["x" * 201, "", " ", {"$oid": "1"}, True])
def test_an_id_that_is_none_is_replaced(review_id: Any) -> None:
    """Objects, blanks and ids that would not fit an index get an id of ours."""
    assert review(review_id=review_id).review_id == review(review_id=None).review_id


def test_ids_and_categories_may_be_numbers_and_nested_lists() -> None:
    """A numeric id is its digits; of nested categories the first one counts; NUL is a blank."""
    found = review(review_id=17, product_category=[["Electronics", "Audio"]], asin="B1\x00")
    assert (found.review_id, found.product_category, found.asin) == ("17", "Electronics", "B1")


def test_a_half_surrogate_pair_is_survived() -> None:
    """A JSON escape can hold what UTF-8 cannot; the review is stored without it, its id can be derived."""
    found = review(review_id=None, text=TEXT + " \ud83d")
    assert found.text == TEXT
    assert len(found.review_id) == 16
