"""Times as review files write them: epoch seconds or milliseconds, ISO dates, "09 13, 2009".

Pure; everything comes out in UTC, a date as its midnight. Dates whose day and month could be swapped (8/7/2015) are
not guessed at. Times before there were online reviews are refused: zero, one and 1970 mean "missing".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MILLISECONDS_FROM = 10**11
"""From here on a number is milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973."""
WRITTEN_FORMS = ("%m %d, %Y", "%B %d, %Y", "%b %d, %Y")


def parse_timestamp(value: Any) -> datetime | None:
    """The time that `value` says, in UTC; None where it says none between 1990 and 2100."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        moment = _from_text(value.strip()) if isinstance(value, str) else _from_number(value)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if EARLIEST <= moment < LATEST else None


def _from_number(value: float) -> datetime:
    seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
    return datetime.fromtimestamp(seconds, UTC)


def _from_text(value: str) -> datetime:
    # Eight digits are a date (20150831); any other number of them counts seconds or milliseconds.
    if value.isascii() and value.isdigit() and len(value) != len("20150831"):
        return _from_number(int(value))
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = _from_written(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _from_written(value: str) -> datetime:
    for form in WRITTEN_FORMS:
        try:
            return datetime.strptime(value, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError(value)
