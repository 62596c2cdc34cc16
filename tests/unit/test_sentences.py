"""Sentences of a text: where they stand, and what they inherit."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restar_lib.domain import Example, Sentiment, TruthSource
from restar_lib.sentences import inherit, split

REVIEW = Example(
    review_id="r1",
    text="Wow! The lamp is lovely and bright. The courier, Mr. Smith, threw it over the fence. Never again.",
    truth=Sentiment.NEGATIVE,
    truth_source=TruthSource.PEOPLE,
    weight=3.0,
    rating=4,
    product_category="Home",
    reviewed_at=datetime(2026, 1, 2, tzinfo=UTC),
)


def test_abbreviations_end_no_sentence() -> None:
    """`Mr.` and a price are inside."""
    texts = [one.text for one in split("I paid Mr. Smith $3.50 for it. It broke!  Why?? 😀 Not again.")]
    assert texts[:2] == ["I paid Mr. Smith $3.50 for it.", "It broke!"]
    assert texts[-1].endswith("Not again.")


@given(st.text(max_size=200))
def test_a_sentence_stands_where_it_says(text: str) -> None:
    """Whatever the text: spans cut the sentences out of it, in order, and nothing but blanks is between them."""
    sentences, end = split(text), 0
    for one in sentences:
        assert text[one.start : one.end] == one.text == one.text.strip() != ""
        assert text[end : one.start].strip() == ""
        end = one.end
    assert text[end:].strip() == ""


def test_sentences_inherit_and_the_review_keeps_its_weight() -> None:
    """Whole text first, then its sentences; short ones join a neighbour; the weights add up."""
    rows = inherit([REVIEW])
    assert [row.text for row in rows] == [
        REVIEW.text,
        "Wow! The lamp is lovely and bright.",
        "The courier, Mr. Smith, threw it over the fence. Never again.",
    ]
    assert sum(row.weight for row in rows) == pytest.approx(REVIEW.weight)
    assert {(row.truth, row.truth_source, row.review_id) for row in rows} == {
        (REVIEW.truth, REVIEW.truth_source, REVIEW.review_id)
    }


def test_sentences_alone_carry_the_whole_weight() -> None:
    """With no share for the whole text it is left out."""
    rows = inherit([REVIEW], whole=0.0)
    assert len(rows) == 2
    assert sum(row.weight for row in rows) == pytest.approx(REVIEW.weight)


def test_a_review_of_one_sentence_stays_as_it_is() -> None:
    """No row is doubled."""
    single = replace(REVIEW, text="It does what it should and no more")
    assert inherit([single]) == (single,)
