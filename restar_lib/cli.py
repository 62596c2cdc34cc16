"""The command line: `restar --help`.

Each command is a thin edge: it reads the settings, calls one function of the library, prints what came of it, and turns
a named error into one line and an exit code. Libraries are imported inside the commands, so that `--help` is instant.
"""

from __future__ import annotations

import getpass
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from restar_lib.errors import RestarError
from restar_lib.settings import Loaded, Settings, load, process_environment, settings

app = typer.Typer(
    help="Re*Star reads what a review really says, asks people where it is unsure, and learns from their answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config = typer.Typer(help="The configuration in force.", no_args_is_help=True)
app.add_typer(config, name="config")

Reason = Annotated[str, typer.Option(help="Why; it stands in the release log for ever.")]


def main() -> None:
    """Entry point: named errors become one line on standard error and their exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for chatty in ("httpx", "alembic"):  # a line for each poll or plugin helps nobody
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        app()
    except RestarError as error:
        print(f"restar: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@app.command()
def run(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after one turn of the loop.")] = False,
    reviews: Annotated[
        str, typer.Option(help="A file, glob or folder of JSON Lines (plain or .gz); empty: simulated reviews.")
    ] = "",
) -> None:
    """Start everything on this machine, turn the loop once, and keep running until Ctrl-C."""
    from restar_lib.embedded.runner import run as run_embedded

    logging.getLogger("restar_lib").setLevel(logging.WARNING)  # the view says what happens
    run_embedded(settings(), once=once, reviews=reviews)


@app.command()
def reset(*, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Wipe the state folder: database, models, labels, logs."""
    from restar_lib.embedded.runner import wipe

    home = settings().home
    if not yes:
        typer.confirm(f"Delete everything in {home}, the labels of people included?", abort=True)
    print("wiped" if wipe(home) else f"nothing to wipe in {home}")


@config.command("show")
def show() -> None:
    """Print every effective value and where it came from."""
    loaded = load(environment=process_environment())
    for line in _configuration_lines(loaded):
        print(line)


@app.command()
def ingest(*, max_rows: Annotated[int | None, typer.Option(min=1, help="Read at most so many rows.")] = None) -> None:
    """Read new reviews from the configured source."""
    from restar_lib.ingest.sources import open_source
    from restar_lib.ingest.upsert import ingest as ingest_rows
    from restar_lib.store.engine import engine

    current = settings()
    counts = ingest_rows(engine(), open_source(current), current, run_key="cli", max_rows=max_rows, now=_now())
    _print_fields(counts)


@app.command()
def score() -> None:
    """Score new reviews with the champion and queue the doubtful ones."""
    from restar_lib.registry.release import champion_folder
    from restar_lib.scoring.batch import score_new
    from restar_lib.store.engine import engine

    current = settings()
    folder = champion_folder(engine(), current)
    if folder is None:
        print("no champion yet: train and release a first model (`make run`, or the DAG retrain_sentiment)")
        return
    _print_fields(score_new(engine(), current, model_folder=folder, now=_now()))


@app.command()
def label(*, labeler: Annotated[str, typer.Option(help="Your name.")] = "") -> None:
    """Label reviews in this terminal with single keys."""
    from restar_lib.labeling.terminal import label_in_terminal
    from restar_lib.store.engine import engine

    label_in_terminal(engine(), settings(), labeler=labeler or getpass.getuser())


@app.command("label-demo")
def label_demo(*, limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many labels.")] = None) -> None:
    """Answer the queue as the demo labelers do; their labels stay marked as `demo` for ever."""
    from restar_lib.labeling.demo import answer_all
    from restar_lib.store.engine import engine

    print(f"{answer_all(engine(), settings(), limit=limit, now=_now)} labels given")


@app.command()
def release(version: str, *, reason: Reason) -> None:
    """Put a model version into service."""
    from restar_lib.registry.release import release as release_version
    from restar_lib.store.engine import engine

    _print_fields(release_version(engine(), settings(), version=version, by=_who(), reason=reason, now=_now()))


@app.command("roll-back")
def roll_back(*, reason: Reason) -> None:
    """Go back to the model that served before the current one."""
    from restar_lib.registry.release import roll_back as roll_back_release
    from restar_lib.store.engine import engine

    _print_fields(roll_back_release(engine(), settings(), by=_who(), reason=reason, now=_now()))


@app.command()
def reconcile() -> None:
    """Make the pointer on disk say what the release log says."""
    from restar_lib.registry.release import reconcile as reconcile_pointer
    from restar_lib.store.engine import engine

    champion = reconcile_pointer(engine(), settings())
    print(
        f"the champion is {champion.model_version} (release {champion.release_id})" if champion else "no champion yet"
    )


@app.command()
def serve() -> None:
    """Run the HTTP API."""
    from restar_lib.serving.app import run as run_api

    run_api(settings())


@app.command("mail-catcher")
def mail_catcher() -> None:
    """Catch mails on loopback and write them as .eml files."""
    from restar_lib.embedded.mail_catcher import run as run_catcher

    current = settings()
    run_catcher(port=current.embedded.mail_port, folder=current.home / "mail")


@app.command()
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


def _print_fields(result: object) -> None:
    for name, value in vars(result).items():
        print(f"{name}: {value}")


def _now() -> datetime:
    return datetime.now(UTC)


def _who() -> str:
    return f"cli:{getpass.getuser()}"


if __name__ == "__main__":
    main()
