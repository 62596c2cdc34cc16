"""The commands that show what was trained: all versions, two side by side, the verdicts, and MLflow's own pages."""

from __future__ import annotations

from typing import Annotated

import typer

from restar_lib.cli.shared import find_snapshot
from restar_lib.settings import process_environment, settings

commands = typer.Typer()

COLUMNS = ("version", "when", "mode", "encoder", "rows", "val. F1", "accuracy", "macro-F1", "verdict", "")


@commands.command("runs")
def version_table(
    *, limit: Annotated[int, typer.Option(min=1, help="How many are listed, newest first.")] = 20
) -> None:
    """List every model version: how it was trained, what it scored on the test rows, and what the gate said."""
    from restar_lib.store.database import engine
    from restar_lib.tracking.versions import all_versions

    found = all_versions(engine(), settings())
    if not found:
        print("no model version yet: `make run` trains the first one")
        return
    rows = [
        (
            one.version, f"{one.at:%Y-%m-%d %H:%M}", one.mode, one.encoder[-24:],
            "-" if one.train_rows is None else f"{one.train_rows:,}",
            _figure(one.validation_macro_f1), _figure(one.accuracy), _figure(one.macro_f1), one.verdict, one.remark,
        )
        for one in found[:limit]
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    for row in (COLUMNS, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if len(found) > limit:
        print(f"and {len(found) - limit} older: --limit {len(found)}")


@commands.command()
def compare(
    first: Annotated[str, typer.Argument(help="A model version.")],
    second: Annotated[str, typer.Argument(help="Another one; differences are it minus the first.")],
    *,
    snapshot: Annotated[
        str, typer.Option(help="Hash of the snapshot whose test rows both answer (the beginning is enough).")
    ] = "",
    html: Annotated[bool, typer.Option("--html", help="Also write a page into the reports folder.")] = False,
) -> None:
    """Put two versions side by side: what differs in their making, and both on the same test rows."""
    from restar_lib.reports.page_store import report_files, write_file
    from restar_lib.store.database import engine
    from restar_lib.tracking.compare import side_by_side
    from restar_lib.tracking.comparison_page import KIND, draw, lines

    current = settings()
    known = engine() if current.database.url else None
    named = find_snapshot(current, snapshot).name if snapshot else ""
    found = side_by_side(current, first, second, engine=known, snapshot_hash=named)
    for line in lines(found):
        print(line)
    if html:
        page = report_files(current, KIND, f"{first}-and-{second}").html
        write_file(page, draw(found))
        print(f"\npage: {page}")


@commands.command("mlflow")
def mlflow_pages(*, port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Serve MLflow's own pages on this machine until Ctrl-C: loopback alone, because they have no login."""
    from restar_lib.tracking.mlflow_server import HOST, command, environment, serve

    current = settings()
    words, given = command(current, port=port), environment(current, process_environment())
    where = f"http://{HOST}:{port} (this machine alone, no login; from elsewhere: ssh -L {port}:{HOST}:{port})"
    print(f"MLflow: {where}", flush=True)
    raise typer.Exit(serve(words, given))


@commands.command()
def verdicts(
    *,
    version: Annotated[str | None, typer.Option(help="Show every line of this version's newest verdict.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many are listed, newest first.")] = 20,
) -> None:
    """List what the gate said, or show one verdict line by line."""
    from restar_lib.artifacts.sealed_folder import locate
    from restar_lib.gate.page import verdict_page
    from restar_lib.gate.verdict import render
    from restar_lib.gate.verdict_log import newest
    from restar_lib.store.database import engine

    found = newest(engine(), limit=limit, challenger=version)
    if not found:
        if version:
            locate(settings().models_dir, version)  # raises where there is none
        print(f"no verdict on {version} yet" if version else "no verdict yet")
        return
    if version:
        print(render(found[0]))
        print(f"  its page: {verdict_page(settings(), found[0]).html}")
    for verdict in found[1:] if version else found:
        figures = " / ".join(_figure(verdict.number(line, "value")) for line in ("accuracy", "macro_f1"))
        why = ", ".join(line.name for line in verdict.refusing) or "-"
        print(
            f"{verdict.verdict_id:>5}  {verdict.created_at:%Y-%m-%d %H:%M}  {verdict.challenger} against "
            f"{verdict.champion or 'no champion':<13}  {verdict.word:<11}  {figures}  {why}"
        )


def _figure(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"
