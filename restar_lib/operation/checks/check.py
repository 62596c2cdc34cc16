"""What one check of `restar doctor` is given and what it answers. It looks at nothing by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Engine

from restar_lib.settings import Settings


class CheckStatus(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    """It runs, or need not run now; somebody should know."""
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: CheckStatus
    detail: str
    remedy: str = ""
    """What to do; empty where it is well."""

    def __str__(self) -> str:
        """One line."""
        return f"{self.health.value:4}  {self.name}: {self.detail}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What is examined."""

    settings: Settings
    embedded: bool
    """Whether the database server belongs to the state folder."""
    engine: Engine | None
    """None where our database does not answer."""


Examination = Callable[[Examined], Iterable[Check]]


def ok(name: str, detail: str) -> Check:
    """It is well."""
    return Check(name=name, health=CheckStatus.OK, detail=detail)


def warn(name: str, detail: str, remedy: str = "") -> Check:
    """It runs, or need not run now."""
    return Check(name=name, health=CheckStatus.WARN, detail=detail, remedy=remedy)


def fail(name: str, detail: str, remedy: str = "") -> Check:
    """A run would fail."""
    return Check(name=name, health=CheckStatus.FAIL, detail=detail, remedy=remedy)
