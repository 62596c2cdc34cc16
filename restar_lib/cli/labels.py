"""The commands of the labeling queue."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from restar_lib.cli.shared import now
from restar_lib.settings import settings

commands = typer.Typer()


@commands.command()
def label(*, labeler: Annotated[str, typer.Option(help="Your name.")] = "") -> None:
    """Label reviews in this terminal with single keys."""
    from restar_lib.labeling.terminal import label_in_terminal
    from restar_lib.store.database import engine

    label_in_terminal(engine(), settings(), labeler=labeler or getpass.getuser())


@commands.command("label-demo")
def label_demo(*, limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many labels.")] = None) -> None:
    """Answer the queue as the demo labelers do; their labels stay marked as `demo` for ever."""
    from restar_lib.demo.labelers import answer_all
    from restar_lib.store.database import engine

    print(f"{answer_all(engine(), settings(), limit=limit, now=now)} labels given")
