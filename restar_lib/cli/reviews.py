"""The commands that move reviews: from a source into the tables, and through the model."""

from __future__ import annotations

from typing import Annotated

import typer

from restar_lib.cli.edge import now, print_fields
from restar_lib.settings import settings

commands = typer.Typer()


@commands.command()
def ingest(*, max_rows: Annotated[int | None, typer.Option(min=1, help="Read at most so many rows.")] = None) -> None:
    """Read new reviews from the configured source."""
    from restar_lib.ingest.sources import open_source
    from restar_lib.ingest.upsert import ingest as ingest_rows
    from restar_lib.store.engine import engine

    current = settings()
    counts = ingest_rows(engine(), open_source(current), current, run_key="cli", max_rows=max_rows, now=now())
    print_fields(counts)


@commands.command()
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
    print_fields(score_new(engine(), current, model_folder=folder, now=now()))
