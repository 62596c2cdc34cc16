"""The length of a text in words, also where no blanks are written between them.

What a word is: what stands between blanks, in every script that writes them, as it always was. In Chinese, Japanese,
Thai, Lao, Khmer, Burmese and Tibetan a text is cut into the segments of Unicode's word boundaries (UAX #29), which
know no dictionary: an ideograph or a kana (a run of Katakana is one), in Thai, Lao, Khmer and Burmese a letter with
its marks, in Tibetan a syllable. So many of them, on average, make a word of such a language: `SEGMENTS_PER_WORD`.
Ten words are then 15 characters of Chinese or 35 letters of Thai, 512 are 768 or 1,792.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from restar_lib.languages.scripts import HAN, KANA, script_of

if TYPE_CHECKING:
    import regex

SEGMENTS_PER_WORD: Final = {
    HAN: 1.5,
    KANA: 1.5,
    "Thai": 3.5,
    "Lao": 3.5,
    "Khmer": 3.5,
    "Myanmar": 3.5,
    "Tibetan": 1.5,
}
"""Rounded from the usual lengths of words in running text; a word of English reviews is 4 letters."""
_NO_BLANKS: Final = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u19e0-\u19ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""In every text that is not counted by its blanks alone, and quickly looked for."""


def count_words(text: str) -> int:
    """The words of a text: between blanks, and in scripts without them by segments, rounded up."""
    if text.isascii() or _NO_BLANKS.search(text) is None:
        return len(text.split())
    return math.ceil(sum(_words_of(part) for part in text.split()))


def _words_of(part: str) -> float:
    """What a part between two blanks counts."""
    if _NO_BLANKS.search(part) is None:
        return 1.0
    segments = (segment[0] for segment in _boundaries().split(part) if segment and segment[0].isalnum())
    return sum(1 / SEGMENTS_PER_WORD.get(script_of(first), 1.0) for first in segments)


@cache
def _boundaries() -> regex.Pattern[str]:
    import regex

    return regex.compile(r"\b", regex.WORD | regex.VERSION1)
