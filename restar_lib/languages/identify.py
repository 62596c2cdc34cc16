"""The language of a text, where it is sure: its script, common English words, else a small statistical identifier.

The identifier is `py3langid`, whose model is a file in its package (numbers, nothing that runs; 0.7 s and 90 MB once
they are needed). Short texts say little about their language: then none is named. Thresholds were chosen on 180,000
real English texts, two thirds of them of 1 to 10 words, and on sentences of 29 other languages (docs/languages.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from restar_lib.languages.scripts import LANGUAGES_OF, LATIN, LOOKED_AT, main_script

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

ENGLISH: Final = "en"
EVERY: Final = "*"
"""Among the languages of a model: it reads all of them."""
SURE: Final = 0.3
"""Least probability of a language that is named: there are sixty, and the next one is usually far below."""
RULED_OUT: Final = 0.02
"""Largest probability of English, or of what a model reads, for which a text is taken to be in another language."""
RULED_OUT_SHORT: Final = 0.01
"""The same for texts of one or two words, which are often names."""
LONG_TEXT: Final = 2_000
FEW_WORDS: Final = 2
BEGINNING: Final = 160
"""Characters in which common English words are looked for."""
COMMON_SHARE: Final = 0.07
"""From this share of common English words on, two different ones at least, a text is English: nothing else is looked
at. So 98 of 100 English reviews cost a few microseconds; the others some hundred."""
FOREIGN_SHARE: Final = 0.17
"""Up to this share of them a text may be in another language."""
_COMMON: Final = """
    the and this it it's its i'm i've you your they them that that's these those are were have my not but with
    very great good love loved nice would could should because from when what which work works worked buy bought
    just only really much there been can't don't didn't doesn't amazing awesome worst quality recommend easy again
    like ever never after other she his wonderful
"""
COMMON: Final = frozenset(_COMMON.split())
"""Words of English reviews that are hardly ever words of other languages."""
_OTHERS: Final = """
    de la el los las que y con para por muy una es lo se su pero der das und ist nicht mit ich ein eine auf aber
    sehr le les des et est pas une pour je dans ce mais il che di non per sono molto della os um uma com muito
    mas na da het een en van niet ik dat op voor maar zijn heel nie jest w z ale ve bir bu daha ama och att det
    inte jag som og er ikke jeg av ja ei mutta yang dan ini itu tidak saya untuk barang sangat nu si este cu nem
    az egy nagyon ne kalau sudah ang ng sa mga ay e o nunca leider nach wieder gut goed slecht bardzo dobry
    polecam snel bagus jelek kualitas bra mycket veldig meget foarte velmi
"""
OTHERS: Final = frozenset(_OTHERS.split()) - COMMON
"""The commonest words of other languages in the Latin script, all of them in ASCII."""
_PUNCTUATION: Final = ".,!?;:()\"'"


@dataclass(frozen=True, kw_only=True)
class Identified:
    """What is known about the language of a text."""

    script: str
    language: str | None
    """ISO 639-1 code; None where it is not sure."""
    probabilities: Mapping[str, float]
    """Of the languages of the script."""

    def is_outside(self, languages: Collection[str]) -> bool:
        """Whether the text is surely in none of `languages` (ISO 639-1 codes, or `*` for all)."""
        if EVERY in languages:
            return False
        if LANGUAGES_OF[self.script].isdisjoint(languages) and self.script != LATIN:
            return True
        if self.language is None or self.language in languages:
            return False
        return sum(self.probabilities.get(one, 0.0) for one in languages) <= RULED_OUT


def identify(text: str) -> Identified:
    """The script of a text, and its language where that is sure. Looks at its beginning, some 400 characters."""
    script = main_script(text)
    if script == LATIN:
        return _identify_latin(text)
    among = LANGUAGES_OF[script]
    found = {next(iter(among)): 1.0} if len(among) == 1 else _probabilities(text, among)
    language, probability = max(found.items(), key=lambda one: one[1], default=(None, 0.0))
    return Identified(script=script, language=language if probability >= SURE else None, probabilities=found)


def language_of(text: str) -> str | None:
    """The language of a whole review, found cheaply: None where its beginning gives no hint of any.

    Of `identify` only where the script or some common words say that it may be another language than English: so a
    stream in English alone never loads the identifier, and a row of it costs a few microseconds.
    """
    words = text[:BEGINNING].lower().split()
    is_english = _is_english(words)
    if is_english and (text.isascii() or main_script(text) == LATIN):
        return ENGLISH
    return None if main_script(text) == LATIN and not _may_be_foreign(words) else identify(text).language


def load_identifier() -> None:
    """Load the identifier now, so that no text waits for it."""
    _identifier()


def _identify_latin(text: str) -> Identified:
    words = text[:BEGINNING].lower().split()
    if _is_english(words):
        return Identified(script=LATIN, language=ENGLISH, probabilities={ENGLISH: 1.0})
    common = sum(word.strip(_PUNCTUATION) in COMMON for word in words)
    found = _probabilities(text, LANGUAGES_OF[LATIN])
    language, probability = max(found.items(), key=lambda one: one[1])
    limit = RULED_OUT_SHORT if len(words) <= FEW_WORDS else RULED_OUT
    is_sure = probability >= SURE and (
        language == ENGLISH or (found[ENGLISH] <= limit and common <= FOREIGN_SHARE * len(words))
    )
    return Identified(script=LATIN, language=language if is_sure else None, probabilities=found)


def _is_english(words: Sequence[str]) -> bool:
    """Whether common English words say so."""
    different = len(COMMON.intersection(words))
    return different > 1 and different >= COMMON_SHARE * len(words)


def _may_be_foreign(words: Sequence[str]) -> bool:
    """Whether words are common in another language or written with its letters: one, or two beside common English."""
    different = {word.strip(_PUNCTUATION) for word in words}
    hints = len(OTHERS & different) + sum(not word.isascii() and word.isalpha() for word in different)
    return hints > (0 if COMMON.isdisjoint(different) else 1)


def likeliest(text: str) -> tuple[str, float]:
    """The likeliest language of a longer text (its first 2,000 characters), and its probability among sixty."""
    language, probability = _identifier().rank(text[:LONG_TEXT])[0]
    return str(language), float(probability)


def _probabilities(text: str, among: Collection[str]) -> dict[str, float]:
    """By language of `among`; they sum to 1 but for languages of other scripts. Empty where none is known."""
    ranked = dict(_identifier().rank(text[:LOOKED_AT]))
    ranked["no"] = ranked.get("no", 0.0) + ranked.get("nn", 0.0)  # two ways to write Norwegian
    found = {language: ranked[language] for language in among if language in ranked}
    total = sum(found.values()) or 1.0
    return {language: probability / total for language, probability in found.items()}


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    written = {language for languages in LANGUAGES_OF.values() for language in languages} | {"nn"}
    identifier.set_languages(sorted(written & set(identifier.labels)))
    return identifier
