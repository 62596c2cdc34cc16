"""The commands of whoever operates an installation."""

from __future__ import annotations

import json
from typing import Any

import typer

from restar_lib.settings import Loaded, Settings, load, process_environment, settings

commands = typer.Typer()
config = typer.Typer(help="The configuration in force.", no_args_is_help=True)
commands.add_typer(config, name="config")


@config.command("show")
def show() -> None:
    """Print every effective value and where it came from."""
    loaded = load(environment=process_environment())
    for line in _configuration_lines(loaded):
        print(line)


@commands.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    from restar_lib.store.engine import database_url
    from restar_lib.store.engine import migrate as migrate_database

    migrate_database(database_url(settings()))
    print("the schema is up to date")


def _configuration_lines(loaded: Loaded) -> list[str]:
    values: dict[str, Any] = loaded.settings.model_dump(mode="json")
    lines = [f"profile = {loaded.settings.profile}", f"home = {loaded.settings.home}"]
    for section in Settings.model_fields:
        if isinstance(values[section], dict):
            for key, value in values[section].items():
                origin = loaded.origins.get(f"{section}.{key}", "default")
                lines.append(f"{section}.{key} = {json.dumps(value, ensure_ascii=False)}  ({origin})")
    return lines
