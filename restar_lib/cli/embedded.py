"""The commands of the embedded installation: everything on this machine."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from restar_lib.settings import Settings, load, process_environment, settings

commands = typer.Typer()
HUB, HUB_PROFILE = "hub", "amazon"


@commands.command()
def run(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after one turn of the loop.")] = False,
    reviews: Annotated[
        str,
        typer.Option(help="Files (JSON, CSV, Parquet, ...), a glob, a folder, a URL, or `hub`; empty: simulated."),
    ] = "",
) -> None:
    """Start everything on this machine, turn the loop once, and keep running until Ctrl-C."""
    from restar_lib.cli.inspect_files import chosen_settings
    from restar_lib.demo.replay import is_planned
    from restar_lib.embedded.feeds import REPLAY
    from restar_lib.embedded.runner import run as run_embedded

    logging.getLogger("restar_lib").setLevel(logging.WARNING)  # the view says what happens
    current = settings_for(reviews)
    if reviews and reviews != HUB and not is_planned(current.home / REPLAY):
        current = chosen_settings(current, reviews)
    run_embedded(current, once=once, reviews=reviews)


@commands.command()
def reset(*, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Wipe the state folder: database, models, labels, logs."""
    from restar_lib.embedded.runner import wipe

    home = settings().home
    if not yes:
        typer.confirm(f"Delete everything in {home}, the labels of people included?", abort=True)
    print("wiped" if wipe(home) else f"nothing to wipe in {home}")


@commands.command("mail-catcher")
def mail_catcher() -> None:
    """Catch mails on loopback and write them as .eml files."""
    from restar_lib.embedded.mail_catcher import run as run_catcher

    current = settings()
    run_catcher(port=current.embedded.mail_port, folder=current.home / "mail")


def settings_for(reviews: str) -> Settings:
    """The settings in force; `--reviews hub` brings its own profile where none is named."""
    environment = process_environment()
    if reviews == HUB:
        environment.setdefault("RESTAR_PROFILE", HUB_PROFILE)
    return load(environment=environment).settings
