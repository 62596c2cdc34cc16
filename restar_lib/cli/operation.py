"""The commands of whoever operates an installation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from restar_lib.cli.shared import now
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
    from restar_lib.store.database import database_url
    from restar_lib.store.database import migrate as migrate_database

    migrate_database(database_url(settings()))
    print("the schema is up to date")


@commands.command()
def doctor() -> None:
    """Look at everything that a run needs; each line says what to do. Ends with 1 where something fails."""
    from restar_lib.operation.checks.check import CheckStatus
    from restar_lib.operation.doctor import run_all_checks

    found = []
    for check in run_all_checks(settings()):
        print(check)
        found.append(check.status)
    counts = ", ".join(f"{found.count(status)} {status.value}" for status in CheckStatus)
    print(counts)
    if CheckStatus.FAIL in found:
        raise typer.Exit(1)


@commands.command()
def housekeeping(
    *, for_good: Annotated[bool, typer.Option("--for-good", help="Do it; else only count what would go.")] = False
) -> None:
    """Give abandoned tasks back and delete what is old, as the DAG of that name does every morning."""
    from restar_lib.operation.housekeeping import tidy
    from restar_lib.store.database import engine

    tidy(engine(), settings(), now=now(), dry_run=not for_good)  # it logs what it did


@commands.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A new folder, or one file where it ends in .tar.")],
    *,
    secrets: Annotated[
        bool, typer.Option(help="Embedded only: with the passwords and keys, without which Airflow's rows are useless.")
    ] = True,
) -> None:
    """Back up databases, models, snapshots and reports, while everything runs."""
    from restar_lib.operation.backup import back_up

    print(back_up(settings(), target, now=now(), secrets=secrets, say=print))


@commands.command()
def restore(
    source: Annotated[Path, typer.Argument(help="The folder or .tar file of a backup.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only look whether the backup is whole.")] = False,
) -> None:
    """Restore a backup into an empty state folder and empty databases, and prove it."""
    from restar_lib.operation import backup_folder
    from restar_lib.operation.restore import restore as restore_backup

    if check:
        with backup_folder.opened(source) as folder:
            manifest = backup_folder.verify(folder)
        print(f"the backup of {manifest.taken_at} is whole: {len(manifest.files):,} files, {manifest.bytes:,} bytes")
        return
    print(restore_backup(settings(), source, say=print))


@commands.command()
def forget(
    *,
    user: Annotated[str, typer.Option(help="The user id, as it stands in the reviews.")],
    for_good: Annotated[bool, typer.Option("--for-good", help="Do it; else only count what would go.")] = False,
) -> None:
    """Forget a person: reviews, tasks, training sets, traces in files; lists the models that saw them."""
    from restar_lib.privacy.forget import forget as forget_person
    from restar_lib.store.database import engine

    report = forget_person(engine(), settings(), user_id=user, now=now(), dry_run=not for_good)
    for line in report.advice:
        print(f"- {line}")
    if not report.complete:
        raise typer.Exit(1)


def _configuration_lines(loaded: Loaded) -> list[str]:
    values: dict[str, Any] = loaded.settings.model_dump(mode="json")
    lines = [f"profile = {loaded.settings.profile}", f"home = {loaded.settings.home}"]
    for section in Settings.model_fields:
        if isinstance(values[section], dict):
            for key, value in values[section].items():
                origin = loaded.origins.get(f"{section}.{key}", "default")
                lines.append(f"{section}.{key} = {json.dumps(value, ensure_ascii=False)}  ({origin})")
    return lines
