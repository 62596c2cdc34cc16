"""What all commands share: how a result is printed, who asks, and what time it is."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer

Reason = Annotated[str, typer.Option(help="Why; it stands in the release log for ever.")]


def print_fields(result: object) -> None:
    """One line for each field of a result."""
    for name, value in vars(result).items():
        print(f"{name}: {value}")


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def who() -> str:
    """The user at this terminal, as the logs name them."""
    return f"cli:{getpass.getuser()}"
