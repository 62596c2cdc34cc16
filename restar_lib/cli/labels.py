"""The commands of the labeling queue."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from restar_lib.cli.shared import now, print_fields
from restar_lib.settings import settings

commands = typer.Typer()
queue_commands = typer.Typer(help="The queue: what waits, and what is set aside.", no_args_is_help=True)
commands.add_typer(queue_commands, name="labels")


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


@queue_commands.command()
def summary() -> None:
    """How many tasks wait, are answered, or are set aside, and why."""
    from restar_lib.labeling.queue import counts
    from restar_lib.store.database import engine

    found = counts(engine())
    print_fields(found)
    print(f"waiting: {found.waiting}")
    print(f"set aside: {found.why_aside or 0}")


@queue_commands.command()
def reopen(
    *, task: Annotated[list[int] | None, typer.Option(help="This task alone; may be given several times.")] = None
) -> None:
    """Ask again about tasks that are set aside: skips are forgotten, and people who disagree look once more."""
    from restar_lib.labeling.set_aside import ask_again
    from restar_lib.store.database import engine

    print(f"{ask_again(engine(), settings(), now=now(), task_ids=task or ())} tasks are asked about again")
