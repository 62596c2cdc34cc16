"""A file that can be read in more than one way: what was found, the keys to set, and what may be set there.

Raised where nobody can be asked it is an error of one line for each file; `restar inspect` and `make run` ask in a
terminal (`inspection.answers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from restar_lib.errors import SourceError

OptionKey = Literal["rating_scale", "date_order", "reviewed_at"]


class Choice(NamedTuple):
    """One way to read it."""

    value: str
    meaning: str


class Question(NamedTuple):
    """One thing that the file does not say."""

    found: str
    """What was found, as the beginning of a sentence."""
    key: OptionKey
    """Of section `source`."""
    choices: Sequence[Choice]

    def in_words(self) -> str:
        """What was found and what to set, for the environment and for YAML."""
        variable = f"RESTAR_SOURCE__{self.key.upper()}"
        ways = " or ".join(f"{variable}={_quoted(choice.value)} ({choice.meaning})" for choice in self.choices)
        return f"{self.found}. Set {ways}; in YAML source.{self.key}"


class Undecided(SourceError):
    """A file can be read in more than one way; nothing of it was read."""

    def __init__(self, *, address: str, questions: Sequence[Question]) -> None:
        self.address, self.questions = address, tuple(questions)
        asked = ". ".join(question.in_words() for question in questions)
        super().__init__(
            f"{address}: {asked}. `restar inspect` shows what was understood. Nothing of this file was read"
        )


def _quoted(value: str) -> str:
    """As a shell takes it."""
    return f"'{value}'" if " " in value else value
