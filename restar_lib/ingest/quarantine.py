"""Rows that were not taken, with the reason and the row itself: every statement on table `quarantine`.

The key is a hash of source name and raw row, so a row that comes again is counted again and stored once. It decides
nothing about a row (`ingest.cleaning` does). Runs in the caller's transaction: `ingest.load` stores rows,
`privacy.forget` deletes those of a person, `operation.housekeeping` old ones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, ScalarSelect, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from restar_lib.ingest.cleaning.clean import Rejection, identifier
from restar_lib.ingest.raw_rows import FieldMapping, RawRow, parse_line
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import Quarantine


def store_rejected(
    connection: Connection, rejected: Iterable[tuple[RawRow, Rejection]], *, source: str, ingest_run_id: int
) -> None:
    """Store these rows, each with why it was not taken; one that is stored already stays as it is."""
    rows = [
        {
            "row_hash": row_hash(source, row.raw),
            "source": source,
            "reason": rejection.reason,
            "detail": rejection.detail,
            "raw": readable_text(row.raw),
            "ingest_run_id": ingest_run_id,
        }
        for row, rejection in rejected
    ]
    if rows:
        connection.execute(insert(Quarantine).on_conflict_do_nothing(index_elements=[Quarantine.row_hash]), rows)


def number_of_rows() -> ScalarSelect[int]:
    """How many rows are stored, as a part of another statement."""
    return select(func.count()).select_from(Quarantine).scalar_subquery()


def rows_of_person(connection: Connection, user_id: str, mapping: FieldMapping) -> dict[str, str]:
    """The rejected rows that a person wrote, by their hash."""
    # Every row is read: an id may be written with escapes, and only parsing finds it.
    statement = select(Quarantine.row_hash, Quarantine.raw).execution_options(yield_per=2000)
    everything = connection.execute(statement)
    return {row_hash: raw for row_hash, raw in everything if is_by_person(raw.encode(), user_id, mapping)}


def is_by_person(raw: bytes, user_id: str, mapping: FieldMapping) -> bool:
    """Whether a raw row is this person's; one that cannot be parsed is, where it holds the id as a whole word."""
    fields, _ = parse_line(raw, mapping)
    if fields is not None:
        return identifier(fields.get("user_id")) == user_id
    return re.search(rb"(?<!\w)" + re.escape(user_id.encode()) + rb"(?!\w)", raw) is not None


def erase(connection: Connection, row_hashes: Collection[str]) -> None:
    """Delete these rows."""
    connection.execute(delete(Quarantine).where(one_of(Quarantine.row_hash, row_hashes)))


def count_old(connection: Connection, *, before: datetime) -> int:
    """How many rows `erase_old` would delete."""
    return connection.execute(select(func.count()).where(Quarantine.first_seen_at < before)).scalar_one()


def erase_old(connection: Connection, *, before: datetime) -> int:
    """Delete the rows that came before; returns how many. The counts of their runs stay."""
    return connection.execute(delete(Quarantine).where(Quarantine.first_seen_at < before)).rowcount


def readable_text(raw: bytes) -> str:
    """A raw row as a text: Postgres takes neither broken UTF-8 nor NUL; both stay readable."""
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def row_hash(source: str, raw: bytes) -> str:
    """SHA-256 (hex) of source name and raw row: the key of a row that was not taken."""
    return hashlib.sha256(source.encode() + b"\0" + raw).hexdigest()
