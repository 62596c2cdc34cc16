"""The newest rows that could not be read, for the mail of an alert: one short line each.

They are read when the mail is built and stored nowhere: they are people's words, and `restar forget` must find them. So
a mail that is built later shows what is there then. Which share of rows is too much is `monitoring.refused_rows`'.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine

from restar_lib.domain import QuarantineReason
from restar_lib.ingest import quarantine

BY_RULE: Final = frozenset(
    {
        QuarantineReason.TOO_SHORT,
        QuarantineReason.TOO_LONG,
        QuarantineReason.BLOCKLISTED,
        QuarantineReason.FORGOTTEN,
    }
)
"""Reasons that say nothing against a source: the rows were read, and left out on purpose."""
EXAMPLES: Final = 3
MOST_CHARS: Final = 120


def examples(engine: Engine) -> tuple[str, ...]:
    """Each with its reason and what is wrong with it; none where nothing could not be read."""
    misread = [reason for reason in QuarantineReason if reason not in BY_RULE]
    with engine.connect() as connection:
        rows = quarantine.newest_rows(connection, limit=EXAMPLES, reasons=misread)
    return tuple(
        f"{row.reason} in {in_one_line(row.source)}, {in_one_line(row.detail)}: {in_one_line(row.beginning)}"
        for row in rows
    )


def in_one_line(text: str) -> str:
    """The beginning of what strangers wrote: no line breaks, no signs that steer a terminal or a mail program."""
    shown = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return shown if len(shown) <= MOST_CHARS else f"{shown[:MOST_CHARS]} ..."
