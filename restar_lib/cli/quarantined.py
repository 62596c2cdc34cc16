"""The commands of the quarantine: what was refused and why, and reading it again once a setting is mended."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from restar_lib.cli.shared import now
from restar_lib.domain import QuarantineReason
from restar_lib.settings import settings

commands = typer.Typer(help="Rows that were refused: look at them, read them again.", no_args_is_help=True)

Source = Annotated[str, typer.Option(help="Of this source alone (source.name).")]
OfReason = Annotated[QuarantineReason | None, typer.Option(help="Refused for this reason alone.")]


@commands.command("list")
def list_rows(
    *,
    source: Source = "",
    reason: OfReason = None,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="So many of the newest rows are shown.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Count the refused rows by source and reason, and show the newest ones."""
    from restar_lib.ingest import quarantine
    from restar_lib.store.database import engine

    with engine().connect() as connection:
        counts = quarantine.count_by_reason(connection, source=source or None, reason=reason)
        rows = quarantine.newest_rows(
            connection, limit=limit, source=source or None, reasons=[reason] if reason else ()
        )
    if as_json:
        print(json.dumps({"counts": [vars(one) for one in counts], "rows": [vars(one) for one in rows]}, default=str))
        return
    print(f"{sum(one.rows for one in counts):,} rows in quarantine")
    for count in counts:
        print(f"  {_shown(count.source)}: {count.rows:,} {count.reason}")
    for row in rows:
        print(f"{row.first_seen_at:%Y-%m-%d %H:%M} {_shown(row.source)}, {row.reason}: {_shown(row.detail)}")
        print(f"    {_shown(row.beginning)}")


@commands.command()
def retry(
    *,
    source: Annotated[str, typer.Option(help="Of this source; empty: of the configured one (source.name).")] = "",
    reason: OfReason = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, clean and count; write nothing.")] = False,
) -> None:
    """Read the refused rows again with today's settings; those that are good now become reviews.

    What a source is called and how its ids are understood (source.stable_ids) is taken from today's settings too.
    """
    from restar_lib.ingest.by_hand.quarantine_retry import retry as read_again
    from restar_lib.store.database import engine

    found = read_again(engine(), settings(), now=now(), source=source or None, reason=reason, dry_run=dry_run)
    if dry_run:
        print("dry run: nothing was written")
    for line in found.lines():
        print(line)


def _shown(text: str) -> str:
    """Rows hold what strangers wrote: signs that would steer a terminal are shown as escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
