"""Drills: drift made on purpose, so that people know every step from the first alert to the all-clear."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from restar_lib.errors import EmbeddedError
from restar_lib.settings import settings

if TYPE_CHECKING:
    from rich.console import Console

    from restar_lib.embedded.drill import Drill, DrillResult
    from restar_lib.embedded.services import EmbeddedInstallation

commands = typer.Typer(help="Trouble made on purpose, on simulated reviews.", no_args_is_help=True)


@commands.command("drift")
def drift_drill(
    *, once: Annotated[bool, typer.Option("--once", help="End what was started for the drill.")] = False
) -> None:
    """Let the simulator drift and show the chain from the reviews to the mail and its links.

    On the installation that is running; where none is, one is started as by `make run`, and runs until Ctrl-C.
    """
    from restar_lib.embedded.runner import is_running, run

    current = settings()
    if is_running(current.home):
        _on_the_running_one(lambda drill: drill.drift())
    else:
        run(current, once=once, reviews="", then=_drift_on)


@commands.command("calm")
def calm_drill() -> None:
    """Let usual reviews follow on the running installation until the incident ends, and show the all-clear."""
    _on_the_running_one(lambda drill: drill.calm())


def _on_the_running_one(play: Callable[[Drill], DrillResult]) -> None:
    from rich.console import Console

    from restar_lib.embedded.runner import is_running
    from restar_lib.embedded.services import EmbeddedInstallation

    current = settings()
    if not is_running(current.home):
        raise EmbeddedError(f"nothing runs on {current.home}: start it with `make run` or `restar drill drift`")
    _play(EmbeddedInstallation.of(current), Console(), play)


def _drift_on(installation: EmbeddedInstallation, console: Console) -> None:
    _play(installation, console, lambda drill: drill.drift())


def _play(installation: EmbeddedInstallation, console: Console, play: Callable[[Drill], DrillResult]) -> None:
    from restar_lib.embedded.drill import open_drill
    from restar_lib.monitoring.alerts.incidents import IncidentStage
    from restar_lib.monitoring.alerts.links import links_for

    with open_drill(installation, console) as drill:
        caught = play(drill)
    print(f"\nthe mail: {caught.mail}\n  {caught.subject}")
    for place in links_for(caught.alert, drill.settings).all:
        print(f"  {place.text}: {place.url}")
    if caught.alert.stage is not IncidentStage.ENDED:
        print("\nact on it, or let usual reviews follow until the all-clear: restar drill calm")
