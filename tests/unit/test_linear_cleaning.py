"""Cleaning takes time in proportion to a text's length, whatever stands in it: counted in steps, not by a clock."""

from __future__ import annotations

import re
from itertools import product

import pytest

from restar_lib import text as text_module
from restar_lib.artifacts import reference
from restar_lib.evaluation import near_duplicates
from restar_lib.ingest.cleaning.clean import MAX_TITLE_CHARS, identifier, readable_title
from restar_lib.text import MAX_MARKS, plain_text, without_parts
from tests.counting_patterns import CountingPattern

PATTERNS = {
    f"{name}{key}": pattern
    for name, value in vars(text_module).items()
    for key, pattern in (value.items() if isinstance(value, dict) else [("", value)])
    if isinstance(pattern, re.Pattern)
} | {"words of drift": reference._WORD, "words of near duplicates": near_duplicates.WORD}
"""Every pattern that runs over the texts of reviews."""
HEADS = ("", "[[ASIN:", "[[VIDEOID:", "<b ", "<script>", "</script", "<!--", "5", "five ", "5 and a half", "&#")
UNITS = (
    "<!--", "-->", "<script", "<script>", "<style >", "</script", "<", "<b", "<b ", "</p ", "&", "&a", "&#1", "& # 0",
    "[[", "[[ASIN:", "[[ASIN:a ", "[[VIDEOID:", "]", " ", " \t", "a", "0", "5 ", "5,5", "half ", "five", "1/2", "*", "* ",
    " and a half ", "star", "out of ", "-", "/", "\u0301", "\u0315\u0300", "\u2605", "_", "\ufdfa", "\u200d", "\u0645\u200c", "\u3160", "\U0001f44d\u200d",
)  # fmt: skip
SIZE = 120
"""Characters; one that is four times as slow for twice as many is four times as slow for any number."""


def is_linear(once: int, twice: int) -> bool:
    """Whether twice the text took about twice the steps."""
    return twice <= 2.4 * once + 200


@pytest.mark.parametrize("name", PATTERNS)
def test_twice_the_text_takes_every_pattern_twice_the_steps(name: str) -> None:
    """Texts that are made to be slow: every opening that never closes, repeated, and runs of what a pattern repeats."""
    slow = []
    for head, unit in product(HEADS, UNITS):
        once, twice = (
            CountingPattern(PATTERNS[name]).through(head + unit * (count * SIZE // len(unit))) for count in (1, 2)
        )
        if not is_linear(once, twice):
            slow.append(f"{head!r} + {unit!r} repeated: {once:,} steps, then {twice:,}")
    assert slow == []


@pytest.mark.parametrize(
    ("pattern", "head", "unit"),
    [
        (r"<!--.*?-->", "", "<!--"),
        (r"\[\[ASIN:\w*\s*([^\[\]]*)\]\]", "[[ASIN:", "a"),
        (r"\b5\s*[-+]?\s*stars", "5", " "),
    ],
)
def test_the_counter_sees_a_pattern_that_is_not_linear(pattern: str, head: str, unit: str) -> None:
    """The test above would be worth nothing otherwise."""
    counted = [CountingPattern(re.compile(pattern)).through(head + unit * count) for count in (SIZE, 2 * SIZE)]
    assert not is_linear(*counted)


@pytest.mark.parametrize("unit", ["<!--", "<script>", "<style>", "<script><style><!--", "<!-- --", "<!-- -->"])
def test_a_part_that_is_never_closed_is_looked_for_once(unit: str) -> None:
    """The search for its end is not repeated at the next opening."""
    taken = []
    for count in (50, 100):
        opening = CountingPattern(text_module._OPENING)
        closings = {kind: CountingPattern(one) for kind, one in text_module._CLOSINGS.items()}
        without_parts(unit * count, opening, closings)  # type: ignore[arg-type]
        taken.append(opening.steps + sum(one.steps for one in closings.values()))
    assert is_linear(*taken), taken


@pytest.mark.parametrize(
    ("stored", "plain"),
    [
        ("a <!-- b --> c", "a c"),
        ("a <!-- b <!--> c", "a c"),
        ("a <!--> b --> c", "a c"),
        ("a <!-- b", "a <!-- b"),
        ("a <script>b</style>c</SCRIPT  > d", "a d"),
        ("a <script>b <!-- c --> d", "a <script>b d"),
        ("a <!-- <script> --> b </script> c", "a b </script> c"),
        ("a <STYLE x='1'>b</style> c <style>d", "a c <style>d"),
        ("<scripted>a</script>", "<scripted>a</script>"),
    ],
)
def test_comments_scripts_and_styles_go_and_what_is_never_closed_stays(stored: str, plain: str) -> None:
    """As one pattern for all three would do it: the first opening counts, to the next closing of its kind."""
    assert plain_text(stored) == plain


def test_heaped_combining_marks_are_cut_off() -> None:
    """NFKC sorts marks in a row, in the square of their number; no writing has more than a few."""
    marks = "\u0315\u0300"
    assert plain_text("a" + marks * 15) == plain_text("a" + marks * 5_000)
    assert len(plain_text("a" + marks * 5_000)) <= 1 + MAX_MARKS
    assert plain_text("\U00010330" * 100 + "é") == "\U00010330" * 100 + "é"


def test_titles_and_ids_that_are_too_long_are_not_read() -> None:
    """By their length as read, and once more when they are plain: one character may stand for eighteen."""
    assert readable_title("word " * 100) == ("word " * 100).strip()
    assert readable_title(" " * 10 * MAX_TITLE_CHARS + "word") is None
    assert readable_title("\ufdfa" * MAX_TITLE_CHARS) is None
    assert identifier("B1" + " " * 1_000) == "B1"
    assert identifier("B1" + " " * 2_000) is None
