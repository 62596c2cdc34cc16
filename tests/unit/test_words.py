"""The length of texts in words, also in scripts that write no blanks between them."""
# ruff: noqa: RUF001 - other scripts are what it is about

from __future__ import annotations

from typing import Any

import pytest

from restar_lib.domain import QuarantineReason, Review
from restar_lib.ingest.cleaning.clean import Rejection, clean
from restar_lib.languages.words import count_words
from restar_lib.settings import IngestSettings

WITHOUT_BLANKS = {
    "zh": "水壶烧水很快，声音也不大，就是盖子有点难打开，总体来说值得购买。",
    "ja": "お湯が早く沸いて音も静かですが、ふたが少し開けにくいのが残念です。",
    "th": "กาน้ำต้มน้ำเดือดเร็วและเสียงไม่ดังแต่ฝาเปิดยากไปหน่อยโดยรวมแล้วคุ้มราคา",
    "km": "កំសៀវនេះដាំទឹកបានលឿននិងមិនមានសំឡេងខ្លាំងប៉ុន្តែគម្របពិបាកបើកបន្តិច",
    "my": "ရေနွေးအိုးကရေမြန်မြန်ဆူပြီးအသံလည်းမကျယ်ဘူးဒါပေမယ့်အဖုံးဖွင့်ရတာနည်းနည်းခက်တယ်",
}


def cleaned(text: str) -> Review | Rejection:
    """A row with this text."""
    fields: dict[str, Any] = {"text": text, "rating": 4, "reviewed_at": 1378944000000}
    return clean(fields, IngestSettings(), source="shop")


@pytest.mark.parametrize("language", WITHOUT_BLANKS)
def test_a_sentence_or_two_without_blanks_is_long_enough(language: str) -> None:
    """Some ten to thirty words, as its translation has."""
    found = cleaned(WITHOUT_BLANKS[language])
    assert isinstance(found, Review), found
    assert 10 <= found.words <= 30


@pytest.mark.parametrize(
    ("text", "reason"), [("很好很好，推荐", "too_short"), ("ดีมากครับ", "too_short"), ("好" * 800, "too_long")]
)
def test_the_limits_hold_without_blanks_too(text: str, reason: str) -> None:
    """A few characters are too short, and eight hundred ideographs too long."""
    found = cleaned(text)
    assert isinstance(found, Rejection)
    assert found.reason is QuarantineReason(reason)


@pytest.mark.parametrize(
    "text",
    [
        "It's a so-so kettle, isn't it?! ...", "Très bien, « parfait »", "물이 새고 소리가 커요 ㅠㅠ", "کتری خوبی است و می‌خرم",
        "बहुत अच्छी केतली है", "Хороший чайник — рекомендую", "👍 👍👍 great", "", "a\u3000b",
    ],
)  # fmt: skip
def test_other_texts_are_counted_by_their_blanks(text: str) -> None:
    """As they always were, to the word."""
    assert count_words(text) == len(text.split())


def test_a_word_in_another_script_counts_where_it_stands() -> None:
    """English around an ideograph is counted by blanks; a Latin name in Japanese is one word."""
    assert count_words("the sign 湯 means hot water, it's so-so") == 8
    assert count_words("iPhoneのケース") == 3


def test_the_time_grows_with_the_length() -> None:
    """Each part between blanks is cut once: twice the text has twice the words."""
    for unit in ("好", "ก็", "カ", "a好"):
        assert abs(count_words(unit * 2_000) - 2 * count_words(unit * 1_000)) <= 1
