"""The script that most of a text is written in, by the code points of its letters.

Which languages are written in a script is known here as well: for most scripts that is one, so that a few letters say
the language. Looks at the beginning of a text only. Does not tell the languages of one script apart (`identify` does).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from typing import Final

LATIN: Final = "Latin"
HAN, KANA, HANGUL = "Han", "Kana", "Hangul"
OTHER: Final = "other"
"""A script that is not listed here."""
LOOKED_AT: Final = 400
"""So many characters of a text are looked at."""
DENSE: Final = frozenset({HAN, KANA, HANGUL})
"""One of their characters says about as much as two letters of an alphabet, and is counted so."""
JAPANESE_SHARE: Final = 0.1
"""From this share of Kana on, ideographs are Japanese."""

_RANGES: Final = sorted(
    (int(first, 16), int(last, 16), script)
    for script, ranges in {
        "Greek": "370-3ff 1f00-1fff",
        "Cyrillic": "400-52f 1c80-1c8f a640-a69f",
        "Armenian": "530-58f",
        "Hebrew": "590-5ff fb1d-fb4f",
        "Arabic": "600-6ff 750-77f 870-8ff fb50-fdff fe70-fefe",
        "Devanagari": "900-97f a8e0-a8ff",
        "Bengali": "980-9ff",
        "Gurmukhi": "a00-a7f",
        "Gujarati": "a80-aff",
        "Oriya": "b00-b7f",
        "Tamil": "b80-bff",
        "Telugu": "c00-c7f",
        "Kannada": "c80-cff",
        "Malayalam": "d00-d7f",
        "Sinhala": "d80-dff",
        "Thai": "e00-e7f",
        "Lao": "e80-eff",
        "Tibetan": "f00-fff",
        "Myanmar": "1000-109f a9e0-a9ff aa60-aa7f",
        "Georgian": "10a0-10ff 1c90-1cbf 2d00-2d2f",
        HANGUL: "1100-11ff 3130-318f a960-a97f ac00-d7ff ffa0-ffdc",
        "Ethiopic": "1200-139f 2d80-2ddf ab00-ab2f",
        "Khmer": "1780-17ff 19e0-19ff",
        KANA: "3040-30ff 31f0-31ff ff66-ff9f 1b000-1b16f",
        HAN: "2e80-2fdf 3005-3007 3100-312f 3400-4dbf 4e00-9fff f900-faff 20000-3ffff",
        LATIN: "0-36f 1d00-1eff 2000-2cff a720-a7ff ab30-ab6f fb00-fb06 ff00-ff65",
    }.items()
    for first, last in (one.split("-") for one in ranges.split())
)
_FIRST: Final = [first for first, _, _ in _RANGES]

LANGUAGES_OF: Final[dict[str, frozenset[str]]] = {
    script: frozenset(languages.split())
    for script, languages in {
        "Greek": "el",
        "Cyrillic": "ru uk bg sr mk be kk ky mn tg",
        "Armenian": "hy",
        "Hebrew": "he",
        "Arabic": "ar fa ur ps",
        "Devanagari": "hi mr ne",
        "Bengali": "bn as",
        "Gurmukhi": "pa",
        "Gujarati": "gu",
        "Oriya": "or",
        "Tamil": "ta",
        "Telugu": "te",
        "Kannada": "kn",
        "Malayalam": "ml",
        "Sinhala": "si",
        "Thai": "th",
        "Lao": "lo",
        "Tibetan": "bo dz",
        "Myanmar": "my",
        "Georgian": "ka",
        HANGUL: "ko",
        "Ethiopic": "am",
        "Khmer": "km",
        KANA: "ja",
        HAN: "zh ja",
        LATIN: "en es fr de it pt nl pl tr sv da no fi cs hu ro id ms vi ca gl hr sl sk lt lv et is sq az af tl sw",
        OTHER: "",
    }.items()
}
"""ISO 639-1 codes of the languages that reviews are written in, by script."""

_NOT_LATIN = re.compile(
    "[\u0370-\u1cff\u1f00-\u1fff\u2d00-\u2dff\u2e80-\ua71f\ua800-\uab2f\uab70-\ud7ff"
    "\uf900-\ufaff\ufb07-\ufdff\ufe70-\ufefe\uff66-\uffdc\U00010000-\U0001cfff\U0001e000-\U0001efff\U00020000-\U0003ffff]"
)
"""In every text that has a letter outside the Latin script, and quickly looked for."""


def main_script(text: str) -> str:
    """The script of most letters of `text` (of its beginning); Latin where there is no letter."""
    begin = text[:LOOKED_AT]
    if begin.isascii() or _NOT_LATIN.search(begin) is None:
        return LATIN
    letters = Counter({LATIN: 0})
    for one in begin:
        if one.isalpha():
            script = script_of(one)
            letters[script] += 2 if script in DENSE else 1
    east = letters[HAN] + letters[KANA]
    # Ideographs beside Kana are Japanese: they count as one script.
    letters[HAN], letters[KANA] = (0, east) if letters[KANA] > JAPANESE_SHARE * east else (east, 0)
    return max(letters, key=lambda script: (letters[script], script == LATIN))


def script_of(letter: str) -> str:
    """The script of one letter, `OTHER` where it is not listed here."""
    code = ord(letter)
    _, last, script = _RANGES[bisect_right(_FIRST, code) - 1]
    return script if code <= last else OTHER
