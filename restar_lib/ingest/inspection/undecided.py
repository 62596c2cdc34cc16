"""A file that can be read in two ways: what was found, the key to set, and what may be set there.

Raised where nobody can be asked it is an error of one line; `restar inspect` and `make run` ask in a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from restar_lib.errors import SourceError

OptionKey = Literal["rating_scale", "date_order", "encoding"]


class Choice(NamedTuple):
    """One way to read it."""

    value: str
    meaning: str


class Undecided(SourceError):
    """A file can be read in more than one way; nothing of it was read."""

    def __init__(self, *, address: str, found: str, key: OptionKey, choices: Sequence[Choice]) -> None:
        self.address, self.found, self.key, self.choices = address, found, key, tuple(choices)
        ways = " or ".join(f'source.{key}: "{choice.value}" ({choice.meaning})' for choice in choices)
        super().__init__(
            f"{address}: {found}, which can be read in more than one way. Set {ways}. Nothing of this file was read"
        )
