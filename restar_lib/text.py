"""Texts as people wrote them, out of texts as shops store them: markup, entities, invisible characters, titles.

Pure functions on strings. Removes markup that it knows and nothing that merely looks like it: "<3" and "size <medium
fits" are texts (an HTML parser would eat everything behind that bracket). This is no sanitizer: what shows a review
to a browser escapes it. The time that a text takes grows with its length and no faster, whatever stands in it: a
pattern whose attempts could read the same characters again and again would let one line hold up an ingest.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

BLOCK_TAGS = "address|article|blockquote|br|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|section|table|tbody|td|th|tr|ul"
INLINE_TAGS = (
    "a|abbr|b|big|button|center|cite|code|del|em|font|form|i|iframe|img|input|ins|kbd|label|mark|noscript|object|"
    "param|q|s|samp|small|source|span|strike|strong|sub|sup|svg|tt|u|video"
)
_BLOCK = re.compile(rf"</?(?:{BLOCK_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_INLINE = re.compile(rf"</?(?:{INLINE_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_OPENING = re.compile(r"<(?:(?P<script>script\b[^<>]*>)|(?P<style>style\b[^<>]*>)|(?P<comment>!--))", re.IGNORECASE)
_CLOSINGS = {
    "script": re.compile(r"</script\s*+>", re.IGNORECASE),
    "style": re.compile(r"</style\s*+>", re.IGNORECASE),
    "comment": re.compile(r"-->"),
}
"""What ends each kind of part that is no text."""
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Amazon's own marks: a video is dropped, a product link keeps its words ("[[ASIN:B00XX0 Great Dryer]]").
_VIDEO = re.compile(r"\[\[VIDEOID:[^\[\]]*\]\]", re.IGNORECASE)
_PRODUCT = re.compile(r"\[\[ASIN:\w*+\s*+([^\[\]]*+)\]\]", re.IGNORECASE)

# Soft hyphen, zero-width and direction marks, byte order marks, tag characters, and halves of surrogate pairs (which
# a JSON escape can hold and UTF-8 cannot).
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
)
# What NFKC would take apart though it is how the language is written: Korean letters that stand alone (ㅠㅠ is crying,
# ㅋㅋ laughing), full and half width, and the vowel AM of Thai and Lao (ทำ).
_WHOLE = re.compile("[\u3131-\u3163\u3165-\u318e\uffa1-\uffdc\u0e33\u0eb3]+")
# The zero-width joiner and non-joiner: letters of these scripts change their form by them (می‌خواهم, ක්‍ය) ...
_JOINERS = re.compile("[\u200c\u200d]+")
_SHAPED = re.compile("[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\u1800-\u18af\ufb50-\ufdff\ufe70-\ufefe]")
# ... and emojis become one (👩‍🔧).
_EMOJI = re.compile("[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]")
_KEPT = re.compile("[\u200c\u200d\u3131-\u3163\u3165-\u318e\uffa1-\uffdc\u0e33\u0eb3]")
"""In every text that differs from its folded form."""
_BLANK = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
MAX_MARKS: Final = 30
"""Combining marks in a row that are kept: no writing needs more (UAX #15, Stream-Safe Text Format), and sorting them,
which NFKC does, takes the square of their number."""
_NOT_WORD = re.compile(r"[\W_]+")
_ASCII_WORDS = {code: " " for code in range(128) if not chr(code).isalnum()}

_COUNT = r"(?:zero|no|half|one|two|three|four|five|six|ten|1/2|[0-9]+(?:[.,]5)?)"
_LEAK = re.compile(
    rf"\b{_COUNT}\s*+(?:[-+]\s*+)?(?:and a half\s++)?(?:big |full |solid |gold |golden |whole )?stars?\b"
    rf"|\b{_COUNT}\s*(?:/|out of)\s*(?:5|five|10|ten)\b"
    r"|\b[0-5]\s*\*|\*{3,}|[\u2605\u2606\u2b50\U0001f31f]",
    re.IGNORECASE,
)
_MAY_LEAK = re.compile(r"star|out of|[/*\u2605\u2606\u2b50\U0001f31f]", re.IGNORECASE)
"""In every text that `_LEAK` finds, and quickly looked for."""


def plain_text(value: Any, *, markup: bool = True, folded: bool = False) -> str:
    """`value` on one line: no markup, entities resolved, NFKC, no invisible characters; "" where it is no text.

    Single letters of Korean, the vowel AM of Thai, and the joiners that letters or emojis need, stay as they were
    written; `folded`, they are normalised away as well. Ids and the hash of a text are made of the folded form, as they
    always were.
    """
    if not isinstance(value, str):
        return ""
    text = _without_markup(value) if markup else value
    if not text.isascii():
        text = _without_heaped_marks(text)
        text = unicodedata.normalize("NFKC", text) if folded else _unified(text)
    # Everything that the patterns look for, but the space, is unprintable, and most texts hold none of it.
    if not text.isprintable():
        text = _INVISIBLE.sub("", text)
        text = _BLANK.sub(" ", _JOINERS.sub("" if folded else _needed_joiner, text))
    return " ".join(text.split())


def has_folded_form(text: str) -> bool:
    """Whether a plain text holds something that its folded form does not."""
    return not text.isascii() and _KEPT.search(text) is not None


def normalised_text(text: str) -> str:
    """What two copies of a text have in common: letters and digits, casefolded, single spaces between words."""
    if text.isascii():  # several times as fast as the pattern, with the same result
        return " ".join(text.lower().translate(_ASCII_WORDS).split())
    if has_folded_form(text):
        text = plain_text(text, markup=False, folded=True)
    return _NOT_WORD.sub(" ", text.casefold()).strip()


def leaks_stars(text: str) -> bool:
    """Whether a title or a text says the stars: "Five Stars", which Amazon once filled in, "1 star!", "4/5", "★★★"."""
    return _MAY_LEAK.search(text) is not None and _LEAK.search(text) is not None


def _without_markup(text: str) -> str:
    # Twice: markup that was escaped ("&lt;br /&gt;") is markup only after its entities are resolved.
    if "<" in text or "&" in text:
        text = _without_tags(_ENTITY.sub(_resolve, _without_tags(text)))
    if "[[" in text:
        text = _PRODUCT.sub(r" \1 ", _VIDEO.sub(" ", text))
    return text


def _without_tags(text: str) -> str:
    """Tags that separate become a space, tags inside a word vanish."""
    if "<" not in text:
        return text
    return _INLINE.sub("", _BLOCK.sub(" ", without_parts(text, _OPENING, _CLOSINGS)))


def without_parts(text: str, opening: re.Pattern[str], closings: Mapping[str, re.Pattern[str]]) -> str:
    """`text` with a space for each part from a match of `opening` to the next closing of its kind.

    The kind is the group of `opening` that matched. What is never closed stays. Each closing that is missing is
    looked for once, so the text is read a few times at most.
    """
    kept, begin, place, missing = [], 0, 0, set()
    while found := opening.search(text, place):
        kind, place = str(found.lastgroup), found.end()
        if kind in missing:
            continue
        end = closings[kind].search(text, place)
        if end is None:
            missing.add(kind)
        else:
            kept.append(text[begin : found.start()])
            begin = place = end.end()
    return " ".join([*kept, text[begin:]])


def _unified(text: str) -> str:
    """NFKC of all but what it would take apart."""
    kept = _WHOLE.findall(text)
    parts = [unicodedata.normalize("NFKC", part) for part in _WHOLE.split(text)]
    return parts[0] + "".join(one for pair in zip(kept, parts[1:], strict=True) for one in pair)


def _needed_joiner(run: re.Match[str]) -> str:
    """Of a run of joiners the first, where what stands before it (and behind it, of emojis) is shaped by it."""
    joiner, text = run[0][0], run.string
    before, after = text[max(0, run.start() - 1) : run.start()], text[run.end() : run.end() + 1]
    is_needed = _SHAPED.match(before) or (joiner == "\u200d" and _EMOJI.match(before) and _EMOJI.match(after))
    return joiner if is_needed else ""


def _without_heaped_marks(text: str) -> str:
    quick, exact = _heaped_marks()
    return exact.sub(r"\1", text) if quick.search(text) else text


@cache
def _heaped_marks() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Too many combining marks in a row; the first pattern also finds rare letters, and is twenty times as quick.

    Made where they are needed, because that asks for the class of every character.
    """
    marks = "".join(filter(unicodedata.combining, map(chr, range(0x300, 0x1F000))))
    common = "".join(mark for mark in marks if mark < "\U00010000")
    quick = re.compile(f"[{common}\U00010000-\U0001efff]{{{MAX_MARKS + 1}}}")
    return quick, re.compile(f"([{marks}]{{{MAX_MARKS}}})[{marks}]++")


def _resolve(entity: re.Match[str]) -> str:
    return html.unescape(entity.group())
