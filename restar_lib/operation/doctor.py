"""`restar doctor`: checks everything that an installation needs, and says what to do where something is wrong.

It only reads, changes nothing, and goes on after a check that failed. What is not configured, or cannot be checked
because something that it needs is not running, says so. The checks are in `machine`, `stored_state` and `processes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from restar_lib.errors import RestarError
from restar_lib.operation.checks.check import Check, CheckContext, CheckFunction, fail
from restar_lib.settings import Settings


def run_checks(context: CheckContext, checks: Sequence[CheckFunction]) -> Iterator[Check]:
    """The checks one by one, as they are made; one that breaks is a failure with its reason."""
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            yield from check(context)
        except RestarError as error:
            yield fail(name, str(error))
        except Exception as error:  # noqa: BLE001 - one broken check must not prevent the next ones
            yield fail(name, f"could not be looked at: {type(error).__name__}: {str(error).strip()[:500]}")


def run_all_checks(settings: Settings) -> Iterator[Check]:
    """Everything, the machine first."""
    from restar_lib.operation import databases
    from restar_lib.operation.checks import machine, processes, stored_state
    from restar_lib.store.database import engine_for

    embedded = databases.is_embedded(settings)
    url = None if settings.database.url is None else settings.database.url.get_secret_value()
    there = url is not None and databases.answers(databases.DatabaseAddress(name=databases.OURS, url=url))
    engine = engine_for(url) if url is not None and there else None
    context = CheckContext(settings=settings, embedded=embedded, engine=engine)
    try:
        yield from run_checks(context, (*machine.ALL, *stored_state.ALL, *processes.ALL))
    finally:
        if engine is not None:
            engine.dispose()
