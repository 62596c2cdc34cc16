"""Counts the steps of regular expressions, so that a test can say how they grow with a text, without a clock.

Follows the parsed form of a pattern as Python's own engine does, one alternative after the other and back again, and
counts every comparison of a character and every start. Python's engine skips some of these steps and takes no others,
so a pattern that is linear here is linear there. It knows the constructs that our patterns use, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

ONE = {c.LITERAL, c.NOT_LITERAL, c.ANY, c.IN}
GREEDY, POSSESSIVE = c.MAX_REPEAT, c.POSSESSIVE_REPEAT


def is_word(one: str) -> bool:
    """Whether it is a letter, a digit or an underscore."""
    return one.isalnum() or one == "_"


CATEGORIES = {c.CATEGORY_SPACE: str.isspace, c.CATEGORY_DIGIT: str.isdecimal, c.CATEGORY_WORD: is_word}
OPPOSITES = {
    c.CATEGORY_NOT_SPACE: c.CATEGORY_SPACE,
    c.CATEGORY_NOT_DIGIT: c.CATEGORY_DIGIT,
    c.CATEGORY_NOT_WORD: c.CATEGORY_WORD,
}


class CountingPattern:
    """A compiled pattern, and the steps that its searches took."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern, self.steps = pattern, 0
        self._nodes = list(parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))
        self._ignores_case = bool(pattern.flags & re.IGNORECASE)

    def search(self, text: str, place: int = 0) -> re.Match[str] | None:
        """As the pattern itself, counted."""
        span, found = self._first(text, place), self._pattern.search(text, place)
        assert span == (found.span() if found else None), "the counter and the pattern disagree"
        return found

    def through(self, text: str) -> int:
        """The steps of a substitution in the whole text."""
        before, place = self.steps, 0
        while place <= len(text) and (span := self._first(text, place)):
            place = span[1] + (span[0] == span[1])
        return self.steps - before

    def _first(self, text: str, place: int) -> tuple[int, int] | None:
        for start in range(place, len(text) + 1):
            self.steps += 1
            for end in self._ends(self._nodes, text, start):
                return start, end
        return None

    def _ends(self, nodes: list[Any], text: str, at: int) -> Iterator[int]:
        """Where a match of `nodes` may end, the preferred ends first."""
        if not nodes:
            yield at
            return
        for end in self._node(nodes[0], text, at):
            yield from self._ends(nodes[1:], text, end)

    def _node(self, node: tuple[Any, Any], text: str, at: int) -> Iterator[int]:
        kind, value = node
        if kind in ONE:
            if self._one(node, text, at):
                yield at + 1
        elif kind in {GREEDY, POSSESSIVE, c.MIN_REPEAT}:
            ends = self._repeat(kind, value, text, at)
            yield from islice(ends, 1) if kind is POSSESSIVE else ends
        elif kind is c.SUBPATTERN:
            yield from self._ends(list(value[3]), text, at)
        elif kind is c.BRANCH:
            for branch in value[1]:
                yield from self._ends(list(branch), text, at)
        elif kind is c.AT and value is c.AT_BOUNDARY:
            if _is_word_at(text, at - 1) != _is_word_at(text, at):
                yield at
        else:
            raise NotImplementedError(f"{kind} is not counted yet")

    def _repeat(self, kind: Any, value: tuple[int, int, Any], text: str, at: int) -> Iterator[int]:
        least, most, inner = value[0], value[1], list(value[2])
        if len(inner) == 1 and inner[0][0] in ONE:
            if kind is c.MIN_REPEAT:
                yield from self._lazily(inner[0], text, at, least=least)
                return
            end = at
            while end - at < most and self._one(inner[0], text, end):
                end += 1
            for place in range(end, at + least - 1, -1):
                self.steps += 1
                yield place
            return
        for end in self._ends(inner, text, at) if most else ():
            if end > at:
                yield from self._repeat(kind, (max(0, least - 1), most - 1, inner), text, end)
        if least == 0:
            yield at

    def _lazily(self, one: tuple[Any, Any], text: str, at: int, *, least: int) -> Iterator[int]:
        end = at
        while True:
            if end - at >= least:
                yield end
            if not self._one(one, text, end):
                return
            end += 1

    def _one(self, node: tuple[Any, Any], text: str, at: int) -> bool:
        self.steps += 1
        if at >= len(text):
            return False
        kind, value = node
        if kind is c.ANY:
            return text[at] != "\n" or bool(self._pattern.flags & re.DOTALL)
        spellings = {text[at], text[at].lower(), text[at].upper()} if self._ignores_case else {text[at]}
        if kind is c.IN:
            return _in_set(value, spellings)
        return (kind is c.LITERAL) == (chr(value) in spellings)


def _is_word_at(text: str, at: int) -> bool:
    return 0 <= at < len(text) and is_word(text[at])


def _in_set(items: list[tuple[Any, Any]], spellings: set[str]) -> bool:
    negated = items[0][0] is c.NEGATE
    return negated != any(_item_matches(item, one) for item in items[negated:] for one in spellings)


def _item_matches(item: tuple[Any, Any], one: str) -> bool:
    kind, value = item
    if kind is c.RANGE:
        return value[0] <= ord(one[0]) <= value[1] and len(one) == 1
    if kind is c.CATEGORY:
        return not CATEGORIES[OPPOSITES[value]](one) if value in OPPOSITES else bool(CATEGORIES[value](one))
    return one == chr(value)
