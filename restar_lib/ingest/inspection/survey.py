"""Looks through the rows of a file before any is stored: which ratings and times there are, and what cannot be read.

One quick pass that cleans nothing and keeps counts and a few examples, so its memory does not grow with the file. It
decides nothing (`inspection.decisions` does).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from restar_lib.domain import QuarantineReason
from restar_lib.ingest.cleaning.timestamps import (
    DateOrder,
    has_day_before_month,
    is_dotted,
    is_relative,
    order_of,
    parse_timestamp,
)
from restar_lib.ingest.raw_rows import NEEDED, RawRow

EVERY_ROW: Final = 20_000_000
"""No more are looked at, however large the file is."""
DISTINCT_RATINGS: Final = 1000
KEPT_ROWS: Final = 200
"""The first rows are kept, for examples and for the names in them, ..."""
KEPT_BYTES: Final = 4 << 20
"""... as far as they are not larger together: a row may hold pictures."""
EXAMPLES: Final = 3
OTHER = "other values"


class TimeKind(StrEnum):
    """What the time of a row can be."""

    READ = "read"
    NEEDS_ORDER = "needs an order"
    RELATIVE = "relative"
    UNREADABLE = "unreadable"
    MISSING = "missing"


@dataclass(kw_only=True)
class Survey:
    """What was seen."""

    rows: int = 0
    first: list[RawRow] = field(default_factory=list)
    kept_bytes: int = 0
    malformed: int = 0
    missing_text: int = 0
    ratings_and_times: Counter[tuple[Any, TimeKind]] = field(default_factory=Counter)
    """Rows with a text, by their rating as it is written (None where there is none) and what their time is."""
    orders: Counter[DateOrder] = field(default_factory=Counter)
    """Dates that can be read in this order alone."""
    examples: dict[str, list[RawRow]] = field(default_factory=dict)
    """By what is wrong, in the words of `QuarantineReason` or of what a time can be."""
    seen: set[str] = field(default_factory=set)
    """Our names of fields that some row has."""
    days_before_months: int = 0
    """Dates such as 2024-13-05."""
    text_chars: int = 0
    title_chars: int = 0

    @property
    def ratings(self) -> Counter[Any]:
        """Rows by rating."""
        found: Counter[Any] = Counter()
        for (rating, _), number in self.ratings_and_times.items():
            found[rating] += number
        return found

    @property
    def times(self) -> Counter[TimeKind]:
        """Rows by what their time is."""
        found: Counter[TimeKind] = Counter()
        for (_, time), number in self.ratings_and_times.items():
            found[time] += number
        return found

    def objects(self) -> list[dict[str, Any]]:
        """The first rows as they are in JSON; none where they are something else."""
        found = []
        for row in self.first:
            with suppress(ValueError, RecursionError):
                value = json.loads(row.raw)
                if isinstance(value, dict):
                    found.append(value)
        return found

    def names(self) -> list[str]:
        """The names that the first rows have, in JSON."""
        return list(dict.fromkeys(name for row in self.objects() for name in row))


def survey(rows: Iterable[RawRow], *, at_most: int) -> Survey:
    """Look through so many rows at most."""
    found = Survey()
    for row in islice(rows, at_most):
        _add(found, row)
    return found


def _add(found: Survey, row: RawRow) -> None:
    found.rows += 1
    if len(found.first) < KEPT_ROWS and found.kept_bytes < KEPT_BYTES:
        found.first.append(row)
        found.kept_bytes += len(row.raw)
    if found.rows <= KEPT_ROWS:
        found.seen |= set(row.fields or ())
    fields = row.fields
    if fields is None:
        found.malformed += 1
        _keep(found, QuarantineReason.MALFORMED, row)
        return
    text, title = fields.get("text"), fields.get("title")
    if isinstance(title, str):
        found.title_chars += len(title)
    if not isinstance(text, str) or not text.strip():
        found.missing_text += 1
        _keep(found, QuarantineReason.MISSING_TEXT, row)
        return
    found.text_chars += len(text)
    time = _time(found, fields, row)
    key = (_rating(fields.get("rating")), time)
    if key not in found.ratings_and_times and len(found.ratings_and_times) >= DISTINCT_RATINGS:
        key = (OTHER, time)
    found.ratings_and_times[key] += 1


def _rating(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)[:80]


def _time(found: Survey, fields: Mapping[str, Any], row: RawRow) -> TimeKind:
    value = fields.get("reviewed_at")
    if value is None:
        return TimeKind.MISSING
    if isinstance(value, str) and (orders := order_of(value)):
        if len(orders) == 1:
            found.orders.update(orders)
            return TimeKind.READ
        if not is_dotted(value):
            _keep(found, TimeKind.NEEDS_ORDER, row)
            return TimeKind.NEEDS_ORDER
    if parse_timestamp(value) is not None:
        return TimeKind.READ
    found.days_before_months += has_day_before_month(value)
    kind = TimeKind.RELATIVE if is_relative(value) else TimeKind.UNREADABLE
    _keep(found, kind, row)
    return kind


def _keep(found: Survey, what: str, row: RawRow) -> None:
    kept = found.examples.setdefault(what, [])
    if len(kept) < EXAMPLES:
        kept.append(row)


def missing_fields(found: Survey) -> Sequence[str]:
    """What every review needs and no row that could be split has; empty where no row could be."""
    if not found.seen and found.malformed == found.rows:
        return ()
    return [name for name in NEEDED if name not in found.seen]
