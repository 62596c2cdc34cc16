"""One check of `restar doctor`: what a check function is given, and the result that it yields.

It checks nothing by itself (`machine`, `stored_state` and `processes` do) and prints nothing (`cli.operation` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Engine

from restar_lib.settings import Settings


class CheckStatus(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARN = "warn"
    """It works, or need not work now; the operator should know."""
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was checked."""

    name: str
    status: CheckStatus
    detail: str
    remedy: str = ""
    """What to do; empty where all is well."""

    def __str__(self) -> str:
        """One line."""
        return f"{self.status.value:4}  {self.name}: {self.detail}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """The installation that is checked."""

    settings: Settings
    embedded: bool
    """Whether the database server belongs to the state folder."""
    engine: Engine | None
    """None where our database does not answer."""


CheckFunction = Callable[[CheckContext], Iterable[Check]]


def ok(name: str, detail: str) -> Check:
    """A check that found all well."""
    return Check(name=name, status=CheckStatus.OK, detail=detail)


def warn(name: str, detail: str, remedy: str = "") -> Check:
    """A check that found something the operator should know."""
    return Check(name=name, status=CheckStatus.WARN, detail=detail, remedy=remedy)


def fail(name: str, detail: str, remedy: str = "") -> Check:
    """A check that found something that does not work."""
    return Check(name=name, status=CheckStatus.FAIL, detail=detail, remedy=remedy)
