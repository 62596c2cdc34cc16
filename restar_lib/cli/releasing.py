"""The commands that decide what serves, and the serving process itself."""

from __future__ import annotations

import typer

from restar_lib.cli.shared import Reason, now, print_fields, who
from restar_lib.settings import settings

commands = typer.Typer()


@commands.command()
def release(version: str, *, reason: Reason) -> None:
    """Put a model version into service."""
    from restar_lib.releases.release import release as release_version
    from restar_lib.store.database import engine

    print_fields(release_version(engine(), settings(), version=version, by=who(), reason=reason, now=now()))


@commands.command("roll-back")
def roll_back(*, reason: Reason) -> None:
    """Go back to the model that served before the current one."""
    from restar_lib.releases.release import roll_back as roll_back_release
    from restar_lib.store.database import engine

    print_fields(roll_back_release(engine(), settings(), by=who(), reason=reason, now=now()))


@commands.command()
def reconcile() -> None:
    """Make the pointer on disk say what the release log says."""
    from restar_lib.releases.release import reconcile as reconcile_pointer
    from restar_lib.store.database import engine

    champion = reconcile_pointer(engine(), settings())
    print(
        f"the champion is {champion.model_version} (release {champion.release_id})" if champion else "no champion yet"
    )


@commands.command()
def serve() -> None:
    """Run the HTTP API."""
    from restar_lib.serving.api import run as run_api

    run_api(settings())
