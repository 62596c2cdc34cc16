"""The command line: `restar --help`.

Each command is a thin edge: it reads the settings, calls one function of the library, prints what came of it, and turns
a named error into one line and an exit code. Libraries are imported inside the commands, so that `--help` is instant.
"""

from __future__ import annotations

import logging
import sys

import typer

from restar_lib.cli import (
    drills,
    embedded,
    evaluations,
    ingest_and_score,
    inspect_files,
    labels,
    operation,
    predict,
    production,
    publish,
    quarantined,
    releasing,
    trainings,
)
from restar_lib.errors import RestarError

app = typer.Typer(
    help="Re*Star reads what a review really says, asks people where it is unsure, and learns from their answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (
    embedded,
    inspect_files,
    ingest_and_score,
    labels,
    releasing,
    trainings,
    predict,
    evaluations,
    operation,
    production,
    publish,
):
    app.add_typer(group.commands)
app.add_typer(drills.commands, name="drill")
app.add_typer(quarantined.commands, name="quarantine")


def main() -> None:
    """Entry point: named errors become one line on standard error and their exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for chatty in ("httpx", "httpx2", "alembic"):  # a line for each poll or plugin helps nobody
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        app()
    except RestarError as error:
        print(f"restar: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
