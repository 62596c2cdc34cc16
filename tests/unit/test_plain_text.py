"""Plain text out of what shops store, and titles that say the stars."""

from __future__ import annotations

import re
import unicodedata

import pytest

from restar_lib.text import leaks_stars, normalised_text, plain_text


@pytest.mark.parametrize(
    ("stored", "plain"),
    [
        ("It works.<br /><br />Really.", "It works. Really."),
        ("<p>One</p><p>two</p><ul><li>three</li></ul>", "One two three"),
        ("the <b>b</b>est", "the best"),
        ('see <a href="/dp/B00X" class="a-link">this one</a> instead', "see this one instead"),
        ('watch<input type="hidden" name="" value="https://x.example/v.mp4">this', "watchthis"),
        ("good <!-- seller's note --> value<script>alert(1)</script>", "good value"),
        ("a 12&#34; record &amp; more &eacute;&nbsp;", 'a 12" record & more é'),
        ("escaped &lt;br /&gt; markup", "escaped markup"),
        ("[[VIDEOID:mo3ABCDEF]] Better than the [[ASIN:B00005O0MZ Great Dryer]].", "Better than the Great Dryer ."),
    ],
)
def test_markup_goes_and_words_stay(stored: str, plain: str) -> None:
    """Block tags become spaces, tags inside a word vanish, entities are resolved, Amazon's own marks are read."""
    assert plain_text(stored) == plain


@pytest.mark.parametrize(
    "text",
    [
        "I <3 this",
        "it takes <10 min. and costs <$15",
        "if size <medium it fits, and the rest of the review goes on",
        "<just kidding! it is a fine dryer",
        "R&B; and AT&T and ?a=1&copy=2",
        "5 < 6 and 7 > 2",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    """A bracket or an ampersand that people typed is text; an HTML parser would eat the rest of the review."""
    assert plain_text(text) == text


def test_invisible_and_control_characters_never_reach_the_database() -> None:
    """NUL, zero-width and direction marks, and half surrogate pairs are gone; white space is single blanks."""
    dirty = "\ufeffgo\u200bod\x00bat\u00adtery\u202e\r\n\t\u00a0lasts \ud83d long\u2028"
    clean = plain_text(dirty)
    assert clean == "good battery lasts long"
    assert clean.encode("utf-8")


def test_compatible_characters_are_unified() -> None:
    """NFKC: full-width letters, ligatures and composed accents have one spelling; emojis stay."""
    assert plain_text("\uff47\uff52\uff45\uff41\uff54 ﬁt, cafe\u0301 👍") == "great fit, café 👍"


@pytest.mark.parametrize(
    "text",
    [
        "\ubc30\uc1a1\uc774 \ub290\ub824\uc694 \u3160\u3160 \u314b\u314b\u314b \u3131\u3145",
        "half width \uffcc\uffcc",
        "\u0e17\u0e33 \u0e19\u0e49\u0e33 \u0e99\u0ec9\u0eb3",
        "\u0646\u0645\u06cc\u200c\u062e\u0631\u0645 \u062e\u0627\u0646\u0647\u200c\u0627\u06cc",
        "\u0d05\u0d35\u0d28\u0d4d\u200d \u0dc1\u0dca\u200d\u0dbb\u0dd3 \u0995\u09cd\u200c\u09b7",
        "\U0001f469\u200d\U0001f527 \u2764\ufe0f\u200d\U0001f525 \U0001f468\U0001f3fd\u200d\U0001f9b1",
    ],
    ids=["korean", "half width", "thai and lao", "persian", "malayalam, sinhala, bengali", "emojis"],
)
def test_what_scripts_and_emojis_need_stays_as_it_was_written(text: str) -> None:
    """Single letters of Korean, AM of Thai and Lao, the non-joiner of Persian, the joiners of Indic scripts and of emojis."""
    assert plain_text(text) == text
    assert plain_text(f"<p>{text}</p>") == text


@pytest.mark.parametrize(
    ("dirty", "plain"),
    [
        ("ba\u200dttery \u200clasts\u200d", "battery lasts"),
        ("\u0645\u06cc\u200c\u200c\u200d\u200b\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\u200c\u0645 \U0001f44d\u200d \U0001f44d\u200cx", "\u0645 \U0001f44d \U0001f44dx"),
        ("\u3164\uffa0x", "\u1160\u1160x"),
    ],
)
def test_joiners_that_join_nothing_go(dirty: str, plain: str) -> None:
    """Between Latin letters, before a word, behind an emoji; of a run one is left."""
    assert plain_text(dirty) == plain


@pytest.mark.parametrize("value", [None, 5, 4.5, True, ["text"], {"text": "x"}])
def test_what_is_no_text_is_an_empty_one(value: object) -> None:
    """Numbers, lists and objects are not turned into texts."""
    assert plain_text(value) == ""


def test_copies_of_a_text_normalise_to_the_same() -> None:
    """Case, punctuation and spacing do not make another text; words do."""
    assert normalised_text("Great -- LOVED it!!  10/10") == normalised_text("great, loved it. 10 10")
    assert normalised_text("Straße") == normalised_text("STRASSE")
    assert normalised_text("loved it") != normalised_text("hated it")
    assert normalised_text("?! -- _ ...") == ""


@pytest.mark.parametrize(
    "title",
    [
        "Five Stars",
        "One Star",
        "five star",
        "5 stars",
        "5-Star!",
        "4.5 stars",
        "4 1/2 stars",
        "Zero stars if I could",
        "★★★★★",
        "⭐",
        "*****",
        "5/5",
        "10 out of 10",
        "Four and a half stars",
        "4 stars only because of the cord",
    ],
)
def test_titles_that_say_the_stars_leak(title: str) -> None:
    """What Amazon filled in, and what people add in the same way."""
    assert leaks_stars(title)


@pytest.mark.parametrize(
    "title",
    [
        "Great starter kit",
        "Started smoking",
        "Northern star",
        "Starbucks card",
        "Works 24/7",
        "Two for one",
        "Love it!",
    ],
)
def test_other_titles_do_not_leak(title: str) -> None:
    """Words that contain "star", and numbers that are no ratings, are harmless."""
    assert not leaks_stars(title)


WHOLE = re.compile("[\uffa1-\uffdc\u0e33\u0eb3]")
CHARACTERS = [chr(code) for code in (*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10000), 0x1F31F, 0xE0041)]


def test_the_short_ways_end_where_the_patterns_do() -> None:
    """Every character, between two words, alone and doubled: what is skipped for speed would have changed nothing."""
    blank = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
    invisible = re.compile(
        "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
    )
    for character in CHARACTERS:
        text = f"one{character}Two {character}{character} 3"
        plain = blank.sub(" ", invisible.sub("", unicodedata.normalize("NFKC", text))).strip()
        assert plain_text(text, markup=False, folded=True) == plain, f"U+{ord(character):04X}"
        if not WHOLE.fullmatch(character):
            assert plain_text(text, markup=False) == plain, f"U+{ord(character):04X}"
        assert normalised_text(plain) == re.sub(r"[\W_]+", " ", plain.casefold()).strip(), f"U+{ord(character):04X}"
