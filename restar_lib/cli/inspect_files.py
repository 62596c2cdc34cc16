"""`restar inspect`: what the program understands of review files, as tables, before anything is read for good.

Also the beginning of `make run REVIEWS=`. In a terminal, what a file does not say is asked; without one it is refused
with the setting that says it. Reads; stores nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restar_lib.errors import SourceError
from restar_lib.settings import Settings, settings

if TYPE_CHECKING:
    from rich.console import Console

    from restar_lib.ingest.inspection.report import Inspection
    from restar_lib.ingest.inspection.shape import FileOptions
    from restar_lib.ingest.inspection.undecided import Question

commands = typer.Typer()
SHOWN_FILES = 3
"""Of a folder so many are shown in full, the others in one line each."""
LISTED_FILES = 50


@commands.command()
def inspect(
    path: Annotated[str, typer.Argument(help="A file, a glob, a folder, or a URL of one.")],
    *,
    ask: Annotated[bool, typer.Option(help="In a terminal, ask what a file does not say.")] = True,
) -> None:
    """Show what is understood of review files: columns, ratings, times, what is refused, and the YAML to keep.

    Examples: `restar inspect reviews.csv`, `RESTAR_SOURCE__RATING_SCALE=0-100 restar inspect export.xlsx`.
    """
    from restar_lib.ingest.sources.configured import file_options

    current = settings()
    reports, _ = inspect_all(path, file_options(current.source), current, ask=ask and is_terminal())
    refused = [report for report in reports if not report.is_read]
    if refused:
        raise SourceError(
            f"not read as they are: {len(refused):,} of {len(reports):,} files; what each needs is said above"
        )


def chosen_settings(current: Settings, reviews: str) -> Settings:
    """The settings with what a person answered about the files of `make run REVIEWS=`.

    Raises `SourceError` where a file cannot be read as it is and nobody can be asked.
    """
    from restar_lib.ingest.sources.configured import file_options

    reports, options = inspect_all(reviews, file_options(current.source), current, ask=is_terminal())
    for report in reports:
        if report.failure is not None:
            raise report.failure
    changed = {
        "rating_scale": options.rating_scale,
        "date_order": str(options.date_order or ""),
        "reviewed_at": options.reviewed_at,
    }
    return current.model_copy(update={"source": current.source.model_copy(update=changed)})


def inspect_all(
    path: str, options: FileOptions, current: Settings, *, ask: bool
) -> tuple[Sequence[Inspection], FileOptions]:
    """Inspect the files at `path` one after the other, show them, and ask where that is wanted."""
    from rich.console import Console

    from restar_lib.ingest.file_rows import inspect_file
    from restar_lib.ingest.readers.storage import find_files

    console = Console(highlight=False, soft_wrap=False)
    found = find_files(path, storage=current.source.storage)
    if found.not_taken:
        console.print(f"not read, because of their names: {found.not_taken}", markup=False)
    reports: list[Inspection] = []
    for number, name in enumerate(found):
        report = inspect_file(found[name], options, current.ingest)
        while ask and (questions := _questions(report)):
            show(console, report, path=path, with_failure=False)
            options = _with_answers(options, questions)
            report = inspect_file(found[name], options, current.ingest)
        if number < SHOWN_FILES:
            show(console, report, path=path)
        elif number < LISTED_FILES or not report.is_read:
            console.print(f"{report.address}: {_outcome(report)}", markup=False)
        reports.append(report)
    return reports, options


def show(console: Console, report: Inspection, *, path: str, with_failure: bool = True) -> None:
    """One file in full; without its failure where that is asked about next."""
    from rich.markup import escape
    from rich.table import Table

    console.rule(escape(report.address), align="left")
    if report.columns:
        console.print(f"{report.in_words}; {report.rows:,} rows looked at", markup=False)
        table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
        for title in ("field", "column", "example"):
            table.add_column(title, overflow="fold")
        for column in report.columns:
            table.add_row(column.field, escape(column.name) or "-", escape(column.example))
        console.print(table)
        if report.others:
            console.print(f"columns that are not read: {', '.join(report.others[:20])}", markup=False)
        _show_ratings(console, report)
    if report.failure is not None and not with_failure:
        return
    if report.failure is not None:
        console.print(f"[bold red]not read:[/] {escape(str(report.failure).removeprefix(report.address + ': '))}")
        return
    for line in report.decided():
        console.print(f"[yellow]{escape(line)}[/]")
    if report.rows:
        _show_cleaned(console, report)
        console.print("[bold]to keep it so[/]")
        console.print(report.settings(path=path), markup=False, soft_wrap=True)


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _show_ratings(console: Console, report: Inspection) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    table.add_column("rating")
    table.add_column("is")
    table.add_column("rows", justify="right")
    for value, (stars, rows) in report.ratings.items():
        is_decided = report.shape is not None
        meaning = (_stars(stars) if stars else "refused") if is_decided else "?"
        table.add_row(escape(value), meaning, f"{rows:,}")
    console.print(table)


def _show_cleaned(console: Console, report: Inspection) -> None:
    from rich.markup import escape
    from rich.table import Table

    span = f", from {report.oldest:%Y-%m-%d} to {report.newest:%Y-%m-%d}" if report.oldest and report.newest else ""
    console.print(f"of the first {report.cleaned:,} rows {report.taken:,} would be taken{span}", markup=False)
    for reason, number in report.refused.most_common():
        console.print(f"  {reason}: {number:,}, such as {report.refused_examples[reason]}", markup=False)
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    for title in ("stars", "date", "text"):
        table.add_column(title, no_wrap=True)
    room = max(console.width - len("stars  2024-05-01  "), 20)
    for review in report.reviews:
        table.add_row(str(review.rating), f"{review.reviewed_at:%Y-%m-%d}", escape(review.text[:room]))
    console.print(table)


def _stars(number: int) -> str:
    return "1 star" if number == 1 else f"{number} stars"


def _outcome(report: Inspection) -> str:
    if report.failure is not None:
        return str(report.failure).removeprefix(f"{report.address}: ")
    return report.line()


def _questions(report: Inspection) -> Sequence[Question]:
    from restar_lib.ingest.inspection.undecided import Undecided

    return report.failure.questions if isinstance(report.failure, Undecided) else ()


def _with_answers(options: FileOptions, questions: Sequence[Question]) -> FileOptions:
    """The options with what a person says to each question; Ctrl-C or an empty answer ends the command."""
    from rich.prompt import IntPrompt

    from restar_lib.ingest.cleaning.timestamps import DateOrder

    answers: dict[str, Any] = {}
    for question in questions:
        print(f"\n{question.found}.")
        for number, choice in enumerate(question.choices, start=1):
            print(f"  {number}  {choice.value}: {choice.meaning}")
        print("  0  leave it, and stop here")
        picked = IntPrompt.ask("which", choices=[str(number) for number in range(len(question.choices) + 1)])
        if not picked:
            raise typer.Abort
        value = question.choices[picked - 1].value
        answers[question.key] = DateOrder(value) if question.key == "date_order" else value
    return replace(options, **answers)
