"""Why a model does not answer a text: too unsure, in a language that it does not read, or nothing that it can read.

A network answers whatever it is given, and with confidence: an English one takes Japanese for very positive. So what it
cannot read is told by the text and its tokens, not by its answer; the probabilities stay the model's own. Where the
text leaves a doubt, the model answers: figures on real reviews are in docs/languages.md. Used wherever a model's
answer is given or stored: serving, `restar predict`, batch scoring.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from restar_lib.domain import AbstainReason
from restar_lib.inference.engine import InferenceEngine, Predictions
from restar_lib.languages.identify import identify
from restar_lib.languages.scripts import LATIN

LARGE_VOCABULARY: Final = 10_000
"""Tokens from which on a vocabulary has the common words of its languages whole; what a smaller one lacks says less."""
READABLE_LENGTH: Final = 3.0
"""Characters a token from which on a text is readable, and its words are not looked at; English has 4 to 5."""
KNOWN_SHARE: Final = 0.1
"""Up to this share of its letters in whole words, the vocabulary knows no words of a text."""
SHORT_PIECES: Final = 2.25
"""Up to so many letters a piece, words were cut up because nothing longer in them is known."""
SHORTEST_PIECES: Final = 2.0
"""The same where nothing else says that they are no words; rare names are cut so as well, but not three in a row."""
SEVERAL_WORDS: Final = 3
_LETTER: Final = re.compile(r"[^\W\d_]")
_REPEATED: Final = re.compile(r"(.)\1+")
ONE_LETTER_TIMES: Final = 5
"""From so many on, one letter and no other is no word: "aaaaa"; "AAA" and "Mmm" are."""
_KEYS: Final = re.compile(r"[bcdfghjklmnpqrstvwxz]{4}|asd|qwe|zxc|fgh|jkl|uio", re.IGNORECASE)
"""What hands leave on a keyboard and words rarely have."""


def abstain_reasons(
    model: InferenceEngine, texts: Sequence[str], predictions: Predictions
) -> list[AbstainReason | None]:
    """Why `model` does not answer each of `texts`, None where it does; `predictions` are its own for them."""
    unsure = (predictions.confidence < model.info.abstain_below).tolist()
    return [
        _why_unreadable(model, text, tokens) or (AbstainReason.LOW_CONFIDENCE if is_unsure else None)
        for text, tokens, is_unsure in zip(texts, predictions.tokens.tolist(), unsure, strict=True)
    ]


def _why_unreadable(model: InferenceEngine, text: str, tokens: int) -> AbstainReason | None:
    if _LETTER.search(text) is None or _is_one_letter(text):
        return AbstainReason.UNREADABLE
    found = identify(text)
    words = _unknown_words(model, text, tokens) if found.script == LATIN else []
    if sum(_is_typed_at_random(word) for word in words) > len(words) / 2:
        return AbstainReason.UNREADABLE
    if found.is_outside(model.info.languages):
        return AbstainReason.LANGUAGE
    cut_up = len(words) >= SEVERAL_WORDS and _letters(words) <= SHORTEST_PIECES * sum(map(len, words))
    return AbstainReason.UNREADABLE if cut_up else None


def _unknown_words(model: InferenceEngine, text: str, tokens: int) -> Sequence[Sequence[str]]:
    """The words of a text, in pieces, where the vocabulary knows none of them; else none."""
    if len(text) >= READABLE_LENGTH * tokens or model.vocabulary_size < LARGE_VOCABULARY:
        return []
    words = [pieces for pieces in model.pieces(text) if any(map(_LETTER.search, pieces))]
    known = [pieces for pieces in words if len(pieces) == 1]
    letters = _letters(words)
    is_unknown = _letters(known) <= KNOWN_SHARE * letters and letters <= SHORT_PIECES * sum(map(len, words))
    return words if is_unknown else []


def _is_one_letter(text: str) -> bool:
    letters = text.casefold()
    first = _LETTER.search(letters)
    count = letters.count(first.group()) if first else 0
    return count >= ONE_LETTER_TIMES and letters.isascii() and count == sum(map(str.isalpha, letters))


def _is_typed_at_random(pieces: Sequence[str]) -> bool:
    return _KEYS.search(_REPEATED.sub(r"\1", "".join(pieces))) is not None


def _letters(words: Sequence[Sequence[str]]) -> int:
    return sum(len(piece) for pieces in words for piece in pieces)
