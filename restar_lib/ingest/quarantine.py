"""Rows that were not taken, with the reason and the row itself: every statement on table `quarantine`.

The key is a hash of source name and raw row, so a row that comes again is counted again and stored once. It decides
nothing about a row (`ingest.cleaning` does). Runs in the caller's transaction: `ingest.load` stores rows,
`ingest.by_hand` reads them again, `privacy.forget` deletes those of a person, `operation.housekeeping` old ones.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, ScalarSelect, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from restar_lib.domain import QuarantineReason
from restar_lib.ingest.cleaning.clean import Rejection, identifier
from restar_lib.ingest.raw_rows import FieldMapping, RawRow, parse_line
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import Quarantine

SHOWN_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class ReasonCount:
    """How many rows of a source are stored for a reason."""

    source: str
    reason: QuarantineReason
    rows: int


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """A stored row, for people."""

    source: str
    reason: QuarantineReason
    detail: str
    beginning: str
    """The first `SHOWN_CHARS` characters of it."""
    first_seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class QuarantinedRow:
    """A stored row, as it can be read again."""

    row_hash: str
    reason: QuarantineReason
    detail: str
    raw: str
    fields: str | None
    """JSON of the fields by our names."""


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
            "fields": _fields_as_json(row),
            "ingest_run_id": ingest_run_id,
        }
        for row, rejection in rejected
    ]
    if rows:
        connection.execute(insert(Quarantine).on_conflict_do_nothing(index_elements=[Quarantine.row_hash]), rows)


def _fields_as_json(row: RawRow) -> str | None:
    if row.fields is None:
        return None
    try:
        return json.dumps(dict(row.fields), default=str)
    except (ValueError, RecursionError):  # no row stops an ingest, however deep it is nested
        return None


def number_of_rows() -> ScalarSelect[int]:
    """How many rows are stored, as a part of another statement."""
    return select(func.count()).select_from(Quarantine).scalar_subquery()


def count_by_reason(
    connection: Connection, *, source: str | None = None, reason: QuarantineReason | None = None
) -> list[ReasonCount]:
    """How many rows are stored, by source and reason, the most first."""
    rows = func.count().label("rows")
    wanted = select(Quarantine.source, Quarantine.reason, rows).where(*_of(source, reason))
    grouped = wanted.group_by(Quarantine.source, Quarantine.reason)
    ordered = grouped.order_by(rows.desc(), Quarantine.source, Quarantine.reason)
    return [ReasonCount(**row._asdict()) for row in connection.execute(ordered)]


def newest_rows(
    connection: Connection,
    *,
    limit: int,
    source: str | None = None,
    reasons: Collection[QuarantineReason] = (),
) -> list[ShownRow]:
    """The rows that came last, the newest first; of all reasons where none is named."""
    beginning = func.left(Quarantine.raw, SHOWN_CHARS).label("beginning")
    columns = (Quarantine.source, Quarantine.reason, Quarantine.detail, beginning, Quarantine.first_seen_at)
    wanted = [*_of(source, None), *((one_of(Quarantine.reason, reasons),) if reasons else ())]
    newest = select(*columns).where(*wanted).order_by(Quarantine.first_seen_at.desc(), Quarantine.row_hash)
    return [ShownRow(**row._asdict()) for row in connection.execute(newest.limit(limit))]


def rows_after(
    connection: Connection,
    last_hash: str,
    *,
    source: str,
    reason: QuarantineReason | None,
    limit: int,
    most_bytes: int,
) -> list[QuarantinedRow]:
    """The next rows of a source in the order of their hashes; fewer than `limit` where they are very long."""
    columns = (Quarantine.row_hash, Quarantine.reason, Quarantine.detail, Quarantine.raw, Quarantine.fields)
    wanted = select(*columns).where(Quarantine.row_hash > last_hash, *_of(source, reason))
    stream = connection.execute(wanted.order_by(Quarantine.row_hash).limit(limit).execution_options(yield_per=100))
    rows: list[QuarantinedRow] = []
    size = 0
    for row in stream:
        rows.append(QuarantinedRow(**row._asdict()))
        size += len(row.raw) + len(row.fields or "")
        if size >= most_bytes:
            break
    stream.close()
    return rows


def take_out(connection: Connection, row_hashes: Collection[str]) -> set[str]:
    """Delete these rows; returns those that were there, so that of two callers only one has a row."""
    gone = delete(Quarantine).where(one_of(Quarantine.row_hash, row_hashes)).returning(Quarantine.row_hash)
    return set(connection.scalars(gone))


def change_reasons(connection: Connection, rejected: Mapping[str, Rejection]) -> None:
    """These rows, by their hashes, are refused for another reason than before."""
    values = [
        {"of_row": row_hash, "reason": rejection.reason, "detail": rejection.detail}
        for row_hash, rejection in sorted(rejected.items())
    ]
    if values:
        this = update(Quarantine).where(Quarantine.row_hash == bindparam("of_row"))
        connection.execute(this.values(reason=bindparam("reason"), detail=bindparam("detail")), values)


def _of(source: str | None, reason: QuarantineReason | None) -> Sequence[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if source is not None:
        wanted.append(Quarantine.source == source)
    if reason is not None:
        wanted.append(Quarantine.reason == reason)
    return wanted


def rows_of_person(connection: Connection, user_id: str, mapping: FieldMapping) -> dict[str, str]:
    """The rejected rows that a person wrote, by their hash."""
    # Every row is read: an id may be written with escapes, and only parsing finds it.
    columns = (Quarantine.row_hash, Quarantine.raw, Quarantine.fields)
    everything = connection.execute(select(*columns).execution_options(yield_per=2000))
    return {
        row_hash: raw
        for row_hash, raw, fields in everything
        if is_by_person(raw.encode(), user_id, mapping) or _names(fields, user_id)
    }


def _names(fields: str | None, user_id: str) -> bool:
    return fields is not None and identifier(json.loads(fields).get("user_id")) == user_id


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
