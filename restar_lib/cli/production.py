"""The commands of a production installation: its roles, and the process that Prometheus scrapes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restar_lib.cli.shared import print_fields
from restar_lib.errors import ConfigurationError

commands = typer.Typer()

SHORTEST_PASSWORD = 12


@commands.command("production-init")
def production_init(
    *,
    admin: Annotated[str, typer.Option(help="Name of the first administrator.")],
    admin_password_file: Annotated[
        Path, typer.Option(help="A file with the password that the first administrator starts with.")
    ],
    email: Annotated[str, typer.Option(help="The administrator's address; only FAB wants it.")] = "admin@localhost",
) -> None:
    """Install the roles labeler, lead and operator in Airflow's FAB login, and the first administrator. Safe to repeat.

    An administrator who is there already keeps the password that he has.
    """
    password = _password(admin_password_file)
    from restar_lib.orchestration.roles import install_roles

    print_fields(install_roles(admin=admin, password=password, email=email))


@commands.command()
def metrics(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; it has no login, so keep it inside.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 9108,
    airflow: Annotated[
        str, typer.Option(help="URL of Airflow's API server, as seen from here; empty: not asked.")
    ] = "",
) -> None:
    """Serve the loop's numbers (queue, sources, releases, incidents) to Prometheus."""
    from restar_lib.monitoring.exporter.http import run
    from restar_lib.store.database import engine

    run(engine(), host=host, port=port, airflow_url=airflow)


def _password(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"--admin-password-file {path}: {error.strerror}; `scripts/secrets` makes one"
        ) from None
    if len(password) < SHORTEST_PASSWORD:
        raise ConfigurationError(
            f"--admin-password-file {path}: {len(password)} characters, at least {SHORTEST_PASSWORD} are needed"
        )
    return password
