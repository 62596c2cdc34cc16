"""`restar doctor`: looks at everything that a run needs, and says for each thing what to do where it is not well.

Reads and asks, changes nothing, and goes on after a check that failed. What is not configured, or cannot be looked at
because something before it is away, says so. The checks are in `machine`, `stored_state` and `processes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from restar_lib.errors import RestarError
from restar_lib.operation.checks.check import Check, Examination, Examined, fail
from restar_lib.settings import Settings


def examine(patient: Examined, examinations: Sequence[Examination]) -> Iterator[Check]:
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
    from restar_lib.operation import databases
    from restar_lib.operation.checks import machine, processes, stored_state
    from restar_lib.store.database import engine_for

    embedded = databases.is_embedded(settings)
    url = None if settings.database.url is None else settings.database.url.get_secret_value()
    there = url is not None and databases.answers(databases.DatabaseAddress(name=databases.OURS, url=url))
    engine = engine_for(url) if url is not None and there else None
    patient = Examined(settings=settings, embedded=embedded, engine=engine)
    try:
        yield from examine(patient, (*machine.ALL, *stored_state.ALL, *processes.ALL))
    finally:
        if engine is not None:
            engine.dispose()
