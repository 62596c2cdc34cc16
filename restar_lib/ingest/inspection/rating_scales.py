"""The scale of a file's ratings, from all its values: stars from 1 to 5, another one that is certain, or a question.

Pure. A wrong guess would turn every label around or bend it (5 of 10 as five stars, the 1 of good as one star), so only
what leaves no doubt is taken: values that say their scale, numbers from 1 to 5, all ten whole numbers from 1 to 10, and
truth values in a column that recommends. For everything else it is a `Question` that comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

from restar_lib.ingest.cleaning.ratings import THUMBS, explicit_stars, said_number, thumb_stars
from restar_lib.ingest.inspection.shape import STARS
from restar_lib.ingest.inspection.undecided import Choice, Question
from restar_lib.ingest.raw_rows import plain_name

STRAY: Final = 0.02
"""A smaller share of numbers above 5 are mistakes in a file of stars, if it has fives: they are refused row by row."""
FIVES: Final = 0.05
"""Least share of fives beside such mistakes."""
UNRATED: Final = 0.05
"""A smaller share of zeros beside ones to fives are reviews without a rating."""
MANY: Final = 10
"""From so many ratings on, a file with none but 1, or none but 1 and 2, is suspicious: it may have two classes."""
NO_FIVE: Final = 20
"""From so many ratings on, a file of three different ones and no 5 is suspicious: its best may be 4, or 10."""
WHOLE_SCALE_ROWS: Final = 50
RECOMMENDS: Final = ("recommend", "votedup", "thumb", "like")
"""In the name of a column whose truth values say whether somebody liked it, ..."""
REVERSES: Final = ("dis", "not", "un")
"""... unless one of these is in it."""


def find_scale(ratings: Mapping[Any, int], *, column: str) -> str | Question:
    """The scale of these ratings, which count rows; `column` is the name that they have in the file."""
    numbers: Counter[float] = Counter()
    truths = said = 0
    for value, rows in ratings.items():
        number = said_number(value)
        if isinstance(value, bool) or (isinstance(value, str) and number is None and _is_thumb(value)):
            truths += rows
        elif number is not None and (not isinstance(value, str) or explicit_stars(value) is None):
            numbers[number] += rows
        elif isinstance(value, str) and (stars := explicit_stars(value)) is not None:
            said += rows
            if _is_counted(value):
                numbers[stars] += rows
    if truths > numbers.total() and truths > said:
        name = plain_name(column)
        if any(part in name for part in RECOMMENDS) and not any(part in name for part in REVERSES):
            return THUMBS
        return _question("are one of two words", [Choice(THUMBS, "yes, true, up are good"), _STARS])
    if numbers.total() <= said and (not numbers or max(numbers) <= 5):
        return STARS  # they say it themselves
    return _of_numbers(numbers)


_STARS = Choice(STARS, "they are stars after all")


def _is_thumb(value: str) -> bool:
    """Whether this is one of two words that say nothing about a scale."""
    return thumb_stars(value) is not None and explicit_stars(value) is None


def _is_counted(value: str) -> bool:
    """Whether it counts stars without saying of how many: "4 stars"."""
    text = value.casefold()
    return "star" in text and not any(word in text for word in ("of", "/", "von", "sur", "su"))


def _of_numbers(numbers: Counter[float]) -> str | Question:
    total = numbers.total()
    above = sum(rows for number, rows in numbers.items() if number > 5)
    if above <= STRAY * total and numbers[5] >= FIVES * total:
        numbers = Counter({number: rows for number, rows in numbers.items() if number <= 5})
    values = frozenset(numbers)
    lowest, highest = min(values), max(values)
    shown = f"are {_shown(values)}"
    if values <= {0, 1} and (0 in values or total >= MANY):
        choices = [Choice(THUMBS, "1 is good, 0 is bad"), Choice("1-0", "0 is good, 1 is bad"), _STARS]
        return _question(f"{shown} and nothing else", choices)
    if lowest < 0:
        unrated = Choice(STARS, "below 1 there is no rating: such rows are refused")
        choices = [Choice(f"{lowest:g} to {highest:g}", "the larger the better")]
        choices.append(Choice(THUMBS, "1 is good, -1 bad") if highest <= 1 else unrated)
        return _question(shown, choices)
    if values == {1, 2} and total >= MANY:
        choices = [Choice("1-2", "2 is good, 1 is bad"), Choice("2-1", "1 is good, 2 is bad"), _STARS]
        return _question(f"{shown} and nothing else", choices)
    return _up_to_five(numbers) if highest <= 5 else _above_five(values, total)


def _up_to_five(numbers: Counter[float]) -> str | Question:
    values, total = frozenset(numbers), numbers.total()
    lowest, highest = min(values), max(values)
    is_whole = all(value == int(value) for value in values)
    if lowest >= 1 and highest < 5 and total >= NO_FIVE and len(values) > 2 and is_whole:
        best = Choice(f"1-{highest:g}", f"{highest:g} is the best")
        return _question(f"are {_shown(values)}, never 5", [best, _TEN, _STARS])
    between = any(0 < value < 1 for value in values)
    if lowest >= 1 or (lowest == 0 and highest == 5 and numbers[0] <= UNRATED * total and not between):
        return STARS
    if highest <= 1:
        choices = [Choice("0-1", "a share from 0 to 1")]
    elif lowest == 0:
        top = 5 if highest > 4 else highest
        unrated = Choice(STARS, "0 means that there is no rating: such rows are refused")
        choices = [Choice(f"0-{top:g}", "0 is the worst"), unrated]
    else:
        choices = [Choice(f"{lowest:g}-5", f"{lowest:g} is the worst"), _STARS]
    return _question(f"are {_shown(values)}", choices)


_TEN = Choice("1-10", "1 is the worst, 10 the best")


def _above_five(values: Collection[float], total: int) -> str | Question:
    lowest, highest = min(values), max(values)
    if total >= WHOLE_SCALE_ROWS and set(values) in ({*range(1, 11)}, {*range(11)}):
        return "0-10" if 0 in values else "1-10"
    if highest <= 10:
        choices = [_TEN, Choice("0-10", "0 is the worst")]
        if highest in {6, 7}:
            choices.insert(0, Choice(f"1-{highest:g}", f"1 is the worst, {highest:g} the best"))
        if highest == 6:
            choices.append(Choice("6-1", "a school mark: 1 is the best"))
    else:
        choices = [Choice("0-100", "0 is the worst, 100 the best"), _TEN, _STARS]
        if highest <= 20:
            choices.insert(0, Choice("0-20", "0 is the worst, 20 the best"))
        if lowest in {10, 20} and highest in {50, 100}:
            choices.insert(0, Choice(f"{lowest:g}-{highest:g}", f"{lowest:g} is the worst, {highest:g} the best"))
    return _question(f"are {_shown(values)}", choices)


def _shown(values: Collection[float]) -> str:
    ordered = sorted(values)
    if len(ordered) > 8:
        return f"from {ordered[0]:g} to {ordered[-1]:g}"
    return ", ".join(f"{value:g}" for value in ordered)


def _question(found: str, choices: list[Choice]) -> Question:
    return Question(
        found=f"its ratings {found}, which can be read in several ways", key="rating_scale", choices=choices
    )
