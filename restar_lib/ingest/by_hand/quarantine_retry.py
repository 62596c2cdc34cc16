"""Reads refused rows again, with today's mapping and rules, and stores those that are good now as reviews.

For whoever has mended a setting: a spelling of a column, a limit of words, the blocklist. A chunk of rows leaves the
quarantine in the transaction that stores it, under the lock of ingest: killed anywhere, run twice or beside another
one, it loses and doubles nothing. Rows that are still refused stay, with their reason of today. Those of a forgotten
person are deleted, as an ingest would have stored nothing of them.

A row is read from the fields that were stored with it, and from the row itself where that is a JSON object. What cannot
be read again is counted and left: malformed rows, rows of which only the beginning was kept, and rows of CSV files that
an earlier version stored without their fields. It opens no source. Called by `restar quarantine retry`.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine

from restar_lib.domain import Outcome, QuarantineReason
from restar_lib.ingest import quarantine
from restar_lib.ingest.chunks import MAX_CHUNK_BYTES
from restar_lib.ingest.cleaning.clean import UNDATED, Rejection
from restar_lib.ingest.cleaning.copy_lines import CleanedRow, CleaningOptions, CopyLine, clean_rows
from restar_lib.ingest.cleaning.timestamps import DateOrder, parse_timestamp
from restar_lib.ingest.inspection.shape import NOT_ON_SCALE, stars_of
from restar_lib.ingest.load import LOCK, RunOfSource, begin_run, finish_run, store_rows
from restar_lib.ingest.quarantine import QuarantinedRow
from restar_lib.ingest.raw_rows import FieldMapping, RawRow, parse_line
from restar_lib.ingest.tombstones import screen
from restar_lib.settings import Settings
from restar_lib.store.database import lock

log = logging.getLogger(__name__)

RUN_KEY: Final = "quarantine retry"
MADE_WHILE_READING: Final = {"rating": QuarantineReason.BAD_RATING, "reviewed_at": QuarantineReason.BAD_TIMESTAMP}
"""Fields that a reader makes of the whole file, as a rating of another scale, and how a row without a good one ends."""


@dataclass(frozen=True, kw_only=True)
class RetryCounts:
    """How the rows of one source ended that were read again."""

    source: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    """Those that left the quarantine, by what they became."""
    refused: Counter[QuarantineReason] = field(default_factory=Counter)
    """Those that stay, by their reason of today."""
    unreadable: int = 0
    """Those that stay because they cannot be read again."""
    forgotten: int = 0
    """Those that were deleted, because their author was forgotten."""

    def lines(self) -> Iterator[str]:
        """For people."""
        looked_at = self.outcomes.total() + self.refused.total() + self.unreadable + self.forgotten
        yield f"{self.source}: {looked_at:,} rows read again, {self.outcomes.total():,} left the quarantine"
        yield from (f"  {outcome}: {number:,}" for outcome, number in self.outcomes.items() if number)
        yield from (f"  still refused as {reason}: {number:,}" for reason, number in self.refused.most_common())
        if self.forgotten:
            yield f"  deleted, of people who were forgotten: {self.forgotten:,}"
        if self.unreadable:
            yield (
                f"  cannot be read again: {self.unreadable:,} (malformed, kept in part, or of a CSV file and stored by"
                " an earlier version). Mend them at their source, under another name of the file, and ingest that"
            )


def retry(
    engine: Engine,
    settings: Settings,
    *,
    now: datetime,
    source: str | None = None,
    reason: QuarantineReason | None = None,
    dry_run: bool = False,
) -> RetryCounts:
    """Read the refused rows of `source` again (default: the configured one), or those of one reason.

    A dry run does the same and takes each chunk back; what stands in two chunks is new in both.
    """
    work = _Retry(engine=engine, settings=settings, source=source or settings.source.name, now=now, dry_run=dry_run)
    last_hash = ""
    while rows := work.next_rows(last_hash, reason):
        last_hash = rows[-1].row_hash
        work.take(rows)
    if work.run is not None and not dry_run:
        finish_run(engine, work.run, now=now)
    log.info("%s", "; ".join(line.strip() for line in work.counts.lines()))
    return work.counts


@dataclass(frozen=True, kw_only=True)
class _Readable:
    """A row that can be read again."""

    stored: QuarantinedRow
    row: RawRow
    cleaned: CleanedRow


class _Retry:
    """One call of `retry`."""

    def __init__(self, *, engine: Engine, settings: Settings, source: str, now: datetime, dry_run: bool) -> None:
        self._engine, self._settings, self._source, self._now, self._dry_run = engine, settings, source, now, dry_run
        self._mapping = FieldMapping.from_config(settings.source.fields)
        self._options = CleaningOptions(source=source, ingest=settings.ingest, dataset=settings.dataset)
        self.counts = RetryCounts(source=source)
        self.run: RunOfSource | None = None
        """Begun with the first row that is stored."""

    def next_rows(self, last_hash: str, reason: QuarantineReason | None) -> list[QuarantinedRow]:
        """The next chunk."""
        limit = self._settings.ingest.chunk_rows
        with self._engine.connect() as connection:
            return quarantine.rows_after(
                connection, last_hash, source=self._source, reason=reason, limit=limit, most_bytes=MAX_CHUNK_BYTES
            )

    def take(self, rows: Sequence[QuarantinedRow]) -> None:
        """Clean a chunk and store what is good, in one transaction; count it when that is through."""
        readable = self._cleaned(rows)
        with self._engine.connect() as connection, connection.begin() as transaction:
            lock(connection, LOCK)
            counts, run = self._store(connection, readable)
            if self._dry_run:
                transaction.rollback()
        self.run = self.run if self._dry_run else run
        self.counts = _sum(self.counts, counts, unreadable=len(rows) - len(readable))

    def _cleaned(self, rows: Sequence[QuarantinedRow]) -> list[_Readable]:
        read = [(one, _fields(one, self._mapping)) for one in rows]
        found = [(one, self._as_told(one, fields)) for one, fields in read if fields is not None]
        results = clean_rows([fields for _, fields in found], self._options)
        return [
            _Readable(stored=one, row=RawRow(raw=one.raw.encode(), fields=fields), cleaned=result)
            for (one, fields), result in zip(found, results, strict=True)
        ]

    def _as_told(self, stored: QuarantinedRow, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields, by the scale and the order that the settings name, where the row was refused for lack of them."""
        source, told = self._settings.source, dict(fields)
        rating, time = told.get("rating"), told.get("reviewed_at")
        if stored.reason is QuarantineReason.BAD_RATING and source.rating_scale:
            told["rating"] = stars_of(rating, source.rating_scale) or f"{rating} {NOT_ON_SCALE}"
        if stored.reason is QuarantineReason.BAD_TIMESTAMP and source.date_order:
            moment = parse_timestamp(time, DateOrder(source.date_order))
            told["reviewed_at"] = time if moment is None else moment.isoformat()
        return told

    def _store(self, connection: Connection, readable: Sequence[_Readable]) -> tuple[RetryCounts, RunOfSource | None]:
        rows, cleaned = [one.row for one in readable], [one.cleaned for one in readable]
        screened = screen(connection, self._settings.home, rows, cleaned, source=self._source)
        both = list(zip(readable, screened, strict=True))
        taken = quarantine.take_out(connection, [one.stored.row_hash for one, result in both if not _stays(result)])
        good = [(one.row, result) for one, result in both if _is_taken(one, result, taken)]
        run, outcomes = self.run, Counter[Outcome]()
        if good:
            run = run or begin_run(connection, self._settings, source=self._source, run_key=RUN_KEY, now=self._now)
            outcomes = store_rows(connection, *zip(*good, strict=True), run=run).outcomes
        refused = {one.stored.row_hash: why for one, why in both if isinstance(why, Rejection) and _stays(why)}
        before = {one.stored.row_hash: (one.stored.reason, one.stored.detail) for one in readable}
        changed = {key: why for key, why in refused.items() if (why.reason, why.detail) != before[key]}
        quarantine.change_reasons(connection, changed)
        counts = RetryCounts(
            source=self._source,
            outcomes=outcomes,
            refused=Counter(why.reason for why in refused.values()),
            forgotten=len(taken) - len(good),
        )
        return counts, run


def _stays(result: CleanedRow) -> bool:
    return isinstance(result, Rejection) and result.reason is not QuarantineReason.FORGOTTEN


def _is_taken(one: _Readable, result: CleanedRow, taken: set[str]) -> bool:
    """Whether it is good, and nobody else has taken it out meanwhile."""
    return isinstance(result, CopyLine) and one.stored.row_hash in taken


def _fields(stored: QuarantinedRow, mapping: FieldMapping) -> Mapping[str, Any] | None:
    """The row's fields by our names; None where it cannot be read again.

    Today's mapping decides where the row itself is JSON. What a reader made of the whole file stays as it was stored,
    unless the row was refused for exactly that; a rating that was not on its file's scale does not become stars.
    """
    kept: dict[str, Any] = {} if stored.fields is None else json.loads(stored.fields)
    read, _ = parse_line(stored.raw.encode(), mapping)
    if read is None:
        return None if stored.fields is None else kept
    if "reviewed_at" in read and kept.pop(UNDATED, False):  # the time of the reading stood in for one that is there
        del kept["reviewed_at"]
    made = {
        name: kept[name]
        for name, refused_as in MADE_WHILE_READING.items()
        if name in kept and (stored.reason is not refused_as or kept[name] == f"{read.get(name)} {NOT_ON_SCALE}")
    }
    return kept | read | made


def _sum(counts: RetryCounts, more: RetryCounts, *, unreadable: int) -> RetryCounts:
    return RetryCounts(
        source=counts.source,
        outcomes=counts.outcomes + more.outcomes,
        refused=counts.refused + more.refused,
        unreadable=counts.unreadable + unreadable,
        forgotten=counts.forgotten + more.forgotten,
    )
