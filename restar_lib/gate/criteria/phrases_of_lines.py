"""Words that several lines of a verdict share."""

from __future__ import annotations


def at_least(value: float, floor: float) -> str:
    """How a value stands to its floor."""
    return "at least" if value >= floor else "under"


def at_most(value: float, limit: float) -> str:
    """How a value stands to its limit."""
    return "at most" if value <= limit else "above"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ..."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
