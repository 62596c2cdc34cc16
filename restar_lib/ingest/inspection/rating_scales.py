"""The scale of a file's ratings, from all its values: stars from 1 to 5, another one that is certain, or a question.

Pure. A wrong guess would turn every label around or bend it (5 of 10 as five stars, the 1 of good as one star), so only
what leaves no doubt is taken: values that say their scale, numbers from 1 to 5, all ten whole numbers from 1 to 10, and
truth values in a column that recommends. For everything else it is a `Question` that comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

from restar_lib.ingest.cleaning.ratings import THUMBS, plain_number
from restar_lib.ingest.inspection.shape import STARS
from restar_lib.ingest.inspection.undecided import Choice, Question

STRAY: Final = 0.02
"""A smaller share of numbers above 5 are mistakes in a file of stars: they are refused row by row."""
UNRATED: Final = 0.05
"""A smaller share of zeros beside ones to fives are reviews without a rating."""
MANY: Final = 20
"""From so many ratings on, a file with none but 1, or none but 1 and 2, is suspicious: it may have two classes."""
WHOLE_SCALE_ROWS: Final = 50
TRUTH_WORDS: Final = ("true", "false", "yes", "no")
RECOMMENDS: Final = ("recommend", "votedup", "thumb", "like")
"""In the name of a column whose truth values say whether somebody liked it."""


def find_scale(ratings: Mapping[Any, int], *, column: str) -> str | Question:
    """The scale of these ratings, which count rows; `column` is the name that they have in the file."""
    numbers: Counter[float] = Counter()
    truths = 0
    for value, rows in ratings.items():
        if isinstance(value, bool) or (isinstance(value, str) and value.strip().casefold() in TRUTH_WORDS):
            truths += rows
        elif (number := plain_number(value)) is not None:
            numbers[number] += rows
    if truths > numbers.total():
        if any(part in column.casefold().replace("_", "").replace("-", "").replace(" ", "") for part in RECOMMENDS):
            return THUMBS
        return _question("are true or false", [Choice(THUMBS, "true is good"), _STARS])
    return _of_numbers(numbers) if numbers else STARS


_STARS = Choice(STARS, "they are stars after all")


def _of_numbers(numbers: Counter[float]) -> str | Question:
    total = numbers.total()
    stray = [number for number in numbers if number > 5]
    if sum(numbers[number] for number in stray) <= STRAY * total:
        numbers = Counter({number: rows for number, rows in numbers.items() if number <= 5})
    values = frozenset(numbers)
    lowest, highest = min(values), max(values)
    shown = f"are {_shown(values)}"
    if values <= {0, 1} and (0 in values or total >= MANY):
        choices = [Choice(THUMBS, "1 is good, 0 is bad"), Choice("1-0", "0 is good, 1 is bad"), _STARS]
        return _question(f"{shown} and nothing else", choices)
    if lowest < 0:
        choices = [Choice(f"{lowest:g} to {highest:g}", "the larger the better"), Choice(THUMBS, "1 is good, -1 bad")]
        return _question(shown, choices)
    if values == {1, 2} and total >= MANY:
        choices = [Choice("1-2", "2 is good, 1 is bad"), Choice("2-1", "1 is good, 2 is bad"), _STARS]
        return _question(f"{shown} and nothing else", choices)
    if highest <= 5:
        return _up_to_five(numbers)
    return _above_five(values, total)


def _up_to_five(numbers: Counter[float]) -> str | Question:
    values, total = frozenset(numbers), numbers.total()
    lowest, highest = min(values), max(values)
    if lowest >= 1 or (lowest == 0 and highest == 5 and numbers[0] <= UNRATED * total and _between(values) == 0):
        return STARS
    if highest <= 1:
        choices = [Choice("0-1", "a share from 0 to 1")]
    elif lowest == 0:
        unrated = Choice(STARS, "0 means that there is no rating: such rows are refused")
        choices = [Choice(f"0-{highest:g}", "0 is the worst"), unrated]
    else:
        choices = [Choice(f"{lowest:g}-5", f"{lowest:g} is the worst"), _STARS]
    return _question(f"are {_shown(values)}", choices)


def _above_five(values: Collection[float], total: int) -> str | Question:
    highest = max(values)
    if total >= WHOLE_SCALE_ROWS and set(values) in ({*range(1, 11)}, {*range(11)}):
        return "0-10" if 0 in values else "1-10"
    if highest > 100:
        return STARS  # no scale that anybody rates by: the rows are refused, and the file with them
    if highest <= 10:
        choices = [Choice("1-10", "1 is the worst, 10 the best"), Choice("0-10", "0 is the worst")]
        if highest in {6, 7}:
            choices.insert(0, Choice(f"1-{highest:g}", f"1 is the worst, {highest:g} the best"))
    else:
        choices = [Choice("0-100", "0 is the worst, 100 the best")]
        if highest <= 20:
            choices.insert(0, Choice("0-20", "0 is the worst, 20 the best"))
    return _question(f"are {_shown(values)}", choices)


def _between(values: Collection[float]) -> int:
    """How many lie between 0 and 1."""
    return sum(0 < value < 1 for value in values)


def _shown(values: Collection[float]) -> str:
    ordered = sorted(values)
    if len(ordered) > 8:
        return f"from {ordered[0]:g} to {ordered[-1]:g}"
    return ", ".join(f"{value:g}" for value in ordered)


def _question(found: str, choices: list[Choice]) -> Question:
    return Question(
        found=f"its ratings {found}, which can be read in several ways", key="rating_scale", choices=choices
    )
