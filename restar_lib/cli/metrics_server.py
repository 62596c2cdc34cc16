"""The command that Prometheus' inner address answers with."""

from __future__ import annotations

from typing import Annotated

import typer

commands = typer.Typer()


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
