"""`restar doctor`: looks at everything that a run needs, and says for each thing what to do where it is not well.

Reads and asks, changes nothing, and goes on after a check that failed. What is not configured, or cannot be looked at
because something before it is away, says so. The checks stand in `checks_machine`, `checks_state`, `checks_services`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Engine

from restar_lib.errors import RestarError
from restar_lib.settings import Settings


class Health(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    """It runs, or need not run now; somebody should know."""
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health
    detail: str
    remedy: str = ""
    """What to do; empty where it is well."""

    def __str__(self) -> str:
        """One line."""
        return f"{self.health.value:4}  {self.name}: {self.detail}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is examined."""

    settings: Settings
    embedded: bool
    """Whether the database server belongs to the state folder."""
    engine: Engine | None
    """None where our database does not answer."""


Examination = Callable[[Patient], Iterable[Check]]


def ok(name: str, detail: str) -> Check:
    """It is well."""
    return Check(name=name, health=Health.OK, detail=detail)


def warn(name: str, detail: str, remedy: str = "") -> Check:
    """It runs, or need not run now."""
    return Check(name=name, health=Health.WARN, detail=detail, remedy=remedy)


def fail(name: str, detail: str, remedy: str = "") -> Check:
    """A run would fail."""
    return Check(name=name, health=Health.FAIL, detail=detail, remedy=remedy)


def examine(patient: Patient, examinations: Sequence[Examination]) -> Iterator[Check]:
    """The checks one by one, as they are made; one that breaks is a failure with its reason."""
    for examination in examinations:
        name = examination.__name__.replace("_", " ")
        try:
            yield from examination(patient)
        except RestarError as error:
            yield fail(name, str(error))
        except Exception as error:  # noqa: BLE001 - a doctor who faints helps nobody: the next check may still be made
            yield fail(name, f"could not be looked at: {type(error).__name__}: {str(error).strip()[:500]}")


def examine_all(settings: Settings) -> Iterator[Check]:
    """Everything, the machine first."""
    from restar_lib.operation import checks_machine, checks_services, checks_state, databases
    from restar_lib.store.engine import engine_for

    embedded = databases.is_embedded(settings)
    url = None if settings.database.url is None else settings.database.url.get_secret_value()
    there = url is not None and databases.answers(databases.Place(name=databases.OURS, url=url))
    engine = engine_for(url) if url is not None and there else None
    patient = Patient(settings=settings, embedded=embedded, engine=engine)
    try:
        yield from examine(patient, (*checks_machine.ALL, *checks_state.ALL, *checks_services.ALL))
    finally:
        if engine is not None:
            engine.dispose()
