"""The command that shows what the gate said."""

from __future__ import annotations

from typing import Annotated

import typer

from restar_lib.settings import settings

commands = typer.Typer()


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
