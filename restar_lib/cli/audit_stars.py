"""The command that lists the reviews whose stars most likely lie."""

from __future__ import annotations

from typing import Annotated

import typer

from restar_lib.cli.shared import find_snapshot, now
from restar_lib.settings import settings

commands = typer.Typer()

PRINTED = 10
WIDTH = 100


@commands.command("audit-stars")
def audit_stars(
    *,
    snapshot: Annotated[str, typer.Option(help="A frozen one, by its hash; empty: the newest.")] = "",
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many reviews are listed.")] = 100,
    stars: Annotated[list[int] | None, typer.Option(min=1, max=5, help="List these alone, e.g. --stars 5.")] = None,
    enqueue: Annotated[
        bool, typer.Option("--enqueue", help="Ask people about the listed ones (training side).")
    ] = False,
) -> None:
    """List the reviews whose stars their text contradicts most; writes a page, JSON and CSV, and changes no label."""
    from restar_lib.dataset.snapshot import load
    from restar_lib.label_audit.ask_people import ask_people
    from restar_lib.label_audit.audit import audit
    from restar_lib.label_audit.audit_store import save
    from restar_lib.label_audit.page import headline, in_words
    from restar_lib.label_audit.read_features import read

    current = settings()
    found = audit(
        read(load(find_snapshot(current, snapshot)), current.training, progress=print),
        top=top,
        stars=stars or (),
        simulated=current.simulated_notice is not None,
        seed=current.training.seed,
        now=now(),
    )
    print(f"{headline(found)}.")
    if found.agreement:
        print(in_words(found.agreement))
    for one in found.listed[:PRINTED]:
        text = one.text if len(one.text) <= WIDTH else f"{one.text[: WIDTH - 1]}\u2026"
        print(f"  {one.review_id}  {one.stars} stars, reads {one.expresses} ({100 * one.sure:.0f} % sure): {text}")
    written = save(current, found)
    print(f"page: {written.html}\njson: {written.json}\ncsv: {written.csv}\nin Airflow: {written.url}")
    if enqueue:
        from restar_lib.store.database import engine

        print(f"{ask_people(engine(), found, current.selection)} new tasks in the queue, with reason disagreement")
