"""The commands that move reviews: from a source into the tables, and through the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restar_lib.cli.shared import now, print_fields
from restar_lib.settings import Settings, settings

if TYPE_CHECKING:
    from restar_lib.ingest.sources.base import Window

commands = typer.Typer()


@commands.command()
def ingest(
    *,
    max_rows: Annotated[int | None, typer.Option(min=1, help="Read at most so many rows.")] = None,
    since: Annotated[str, typer.Option(help="Take the reviews written from this date on, and move no cursor.")] = "",
    until: Annotated[str, typer.Option(help="The end of that window; this date does not belong to it.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, clean and count; write nothing.")] = False,
) -> None:
    """Read new reviews from the configured source."""
    from restar_lib.ingest.counts import refuse_damaged
    from restar_lib.ingest.windows import asked_window, ingest_configured
    from restar_lib.store.database import engine

    current, window = settings(), asked_window(since, until)
    if dry_run:
        _show_dry_run(current, window, max_rows=max_rows)
        return
    counts = ingest_configured(engine(), current, run_key="cli", asked=window, max_rows=max_rows, now=now())
    print_fields(counts)
    refuse_damaged(counts.problem)


def _show_dry_run(current: Settings, window: Window | None, *, max_rows: int | None) -> None:
    from restar_lib.ingest.dry_run import dry_run
    from restar_lib.ingest.sources.configured import open_source
    from restar_lib.store.database import engine

    if current.database.url is None:
        print("no database is configured: as if nothing were known and nothing read")
    known = engine() if current.database.url else None
    result = dry_run(open_source(current, window=window), current, engine=known, max_rows=max_rows)
    for line in result.lines():
        print(line)
    if result.failure is not None:
        raise result.failure


@commands.command()
def score() -> None:
    """Score new reviews with the champion and queue the doubtful ones."""
    from restar_lib.releases.release import following_champion_folder
    from restar_lib.scoring.batch import score_new
    from restar_lib.store.database import engine

    current = settings()
    folder = following_champion_folder(engine(), current)
    if folder is None:
        print("no champion yet: train and release a first model (`make run`, or the DAG retrain_sentiment)")
        return
    print_fields(score_new(engine(), current, model_folder=folder, now=now()))
