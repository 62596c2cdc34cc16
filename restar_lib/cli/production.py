"""The commands that a production installation runs beside those of every other one."""

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
