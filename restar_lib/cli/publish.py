"""The commands that freeze training sets, and publish them and models: to the hub, or to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restar_lib.cli.shared import now, print_fields
from restar_lib.settings import settings

commands = typer.Typer()
snapshot = typer.Typer(help="Training sets, frozen and published.", no_args_is_help=True)
model = typer.Typer(help="Models, published.", no_args_is_help=True)
commands.add_typer(snapshot, name="snapshot")
commands.add_typer(model, name="model")

HeldOut = Annotated[
    Literal["stratified", "newest"],
    typer.Option(help="Held-out rows: with the mix of categories and stars of all, or the newest."),
]
Repository = Annotated[str, typer.Option("--repo", help="A repository on the hub, owner/name; needs HF_TOKEN.")]
Folder = Annotated[Path | None, typer.Option("--to", help="A local folder; a folder of its own is made in it.")]


@snapshot.command("freeze")
def freeze(*, held_out: HeldOut = "stratified") -> None:
    """Freeze what the tables hold now as a training set under the hash of its content."""
    from restar_lib.publishing.publish_snapshot import freeze as freeze_snapshot
    from restar_lib.store.database import engine

    print_fields(freeze_snapshot(engine(), settings(), held_out=held_out, now=now()))


@snapshot.command("push")
def push_snapshot(
    snapshot_hash: Annotated[str, typer.Argument(help="A frozen one; empty: freeze now, then push that.")] = "",
    *,
    repo: Repository = "",
    to: Folder = None,
    held_out: HeldOut = "stratified",
) -> None:
    """Publish a training set: JSON Lines for each category and split, and a card."""
    from restar_lib.publishing.publish_snapshot import find, push
    from restar_lib.publishing.publish_snapshot import freeze as freeze_snapshot
    from restar_lib.store.database import engine

    current = settings()
    frozen = (
        find(current, snapshot_hash)
        if snapshot_hash
        else freeze_snapshot(engine(), current, held_out=held_out, now=now())
    )
    print_fields(push(engine(), frozen, current, repository=repo, folder=to))


@model.command("push")
def push_model(
    version: Annotated[str, typer.Argument(help="A sealed version; empty: the one that serves.")] = "",
    *,
    repo: Repository = "",
    to: Folder = None,
) -> None:
    """Publish a model: safetensors and ONNX, a card with its metrics, the gate's verdict."""
    from restar_lib.publishing.publish_model import champion, push
    from restar_lib.store.database import engine

    print_fields(push(engine(), settings(), version or champion(engine()), repository=repo, folder=to))
