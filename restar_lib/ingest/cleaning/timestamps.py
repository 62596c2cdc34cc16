"""Times as review files write them: epoch numbers, ISO dates, "01-May-24", "Reviewed in Italy on 1 May 2024".

Pure; everything comes out in UTC, a date as its midnight, a month as its first day. A date whose day and month could
be swapped (8/7/2015) is read where the caller knows the order, which only the whole file tells
(`ingest.inspection.date_orders`); dates with dots are written day first everywhere. "6 months ago" says nothing without
the day of reading. Times before there were online reviews are refused: zero, one and 1970 mean "missing".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Final

EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
EPOCH_UNITS = ((8 * 10**17, 1e9), (8 * 10**14, 1e6), (10**11, 1e3))
"""From the first on a number is in ns, then us, then ms: as seconds 10**11 would be the year 5138, as ms it is 1973."""
MOST_SECONDS: Final = 2 * 10**9
"""In 2033. Ten digits from here on are rather year, month, day and hour written together, and mean nothing certain."""
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""How dates are written without signs between, by their number of digits, from 19 or 20 on: as ms it would be 1976."""
MAX_CHARS: Final = 120
"""Longer ones are texts."""
PIVOT: Final = 69
"""Two digits from here on are of the last century, as POSIX reads them."""

_MONTHS_WRITTEN = """
jan january januar janvier enero ene gennaio gen janeiro januari
feb february februar fevrier fevr fev febrero febbraio fevereiro februari
mar march maerz marz mrz mars marzo marco maart mrt
apr april avril avr abril abr aprile
may mai mayo maggio mag maio mei
jun june juni juin junio giugno giu junho
jul july juli juillet juil julio luglio lug julho
aug august aout agosto ago augustus
sep sept september septembre septiembre settembre set setembro
oct october oktober okt octobre octubre ottobre ott outubro out
nov november novembre noviembre novembro
dec december dezember dez decembre diciembre dic dicembre dezembro
"""
MONTHS: Final = {
    name: number for number, line in enumerate(_MONTHS_WRITTEN.strip().splitlines(), start=1) for name in line.split()
}
"""English, German, French, Spanish, Italian, Portuguese and Dutch, short and long, without accents."""
_ACCENTS = str.maketrans("áàâãäéèêëíîïóôõöúûüç", "aaaaaeeeeiiioooouuuc")
_ZONES = {
    "cet": 1,
    "cest": 2,
    "bst": 1,
    "z": 0,
    "utc": 0,
    "gmt": 0,
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "mdt": -6,
    "pst": -8,
    "pdt": -7,
}
"""Names of zones in hours; those of the United States as in RFC 2822."""

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,9})?(?:e\+?[0-9]{1,2})?", re.IGNORECASE)
_CLOCK = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,][0-9]{1,9})?)?"
    r"(?:\s?(?P<half>[ap])\.?m\b\.?| uhr)?"
)
_ZONE = r"(?P<zone>z|[a-z]{3,4}|(?:utc|gmt)?\s?[-+][0-9]{2}:?[0-9]{2}(?: utc)?)"
_LATER = rf"(?:[,t\s]\s*(?:at |um |a las |alle |as |a |kl\.? ?|- )?{_CLOCK}(?:\s?{_ZONE}\b)?(?:\s?\([^()]*\))?)?"
_YEAR_FIRST = re.compile(
    rf"(?P<year>[0-9]{{4}})\s?[-/.年년]\s?(?P<month>[0-9]{{1,2}})\s?[-/.月월]\s?(?P<day>[0-9]{{1,2}})[.日일]?{_LATER}",
    re.IGNORECASE,
)
_NUMBERS = re.compile(
    rf"(?P<first>[0-9]{{1,2}})(?P<sign>[-/.])\s?(?P<second_part>[0-9]{{1,2}})(?P=sign)\s?(?P<year>[0-9]{{4}}|[0-9]{{2}}){_LATER}",
    re.IGNORECASE,
)
_YEAR = r"(?P<year>[0-9]{4}|'?[0-9]{2})(?![0-9:])"
_NAME = r"(?P<name>[^\W\d_]{3,10})\b\.?"
# What may stand before a date, as in "Reviewed in the United States on May 1, 2024".
_BEFORE = r"(?:[^0-9]*[^\w])?"
_DAY_NAME = re.compile(
    rf"{_BEFORE}(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th|er|\.)?[-/\s]\s?(?:de |of )?{_NAME}"
    rf"[-/,\s]\s?(?:de )?{_YEAR}{_LATER}"
)
_NAME_DAY = re.compile(rf"{_BEFORE}{_NAME}[-/\s]\s?(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:,\s?|[-/\s]){_YEAR}{_LATER}")
_NAME_YEAR = re.compile(rf"{_BEFORE}{_NAME}[-/,\s]\s?(?:de )?(?P<year>[0-9]{{4}}|'[0-9]{{2}})")
_UNIX = re.compile(rf"[a-z]{{3}} {_NAME} {{1,2}}(?P<day>[0-9]{{1,2}}) {_CLOCK}(?: {_ZONE})? (?P<year>[0-9]{{4}})")
"""As `date` and Goodreads write it: "Fri Nov 08 16:28:49 -0700 2013"."""
_OLD_AMAZON = re.compile(r"(?P<month>[0-9]{1,2}) (?P<day>[0-9]{1,2}), (?P<year>[0-9]{4})")
_MONTH_ALONE = re.compile(
    r"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})|(?P<month_first>[0-9]{1,2})/(?P<year_last>[0-9]{4})"
)
_RELATIVE = re.compile(
    r"\b(?:ago|yesterday|today|just now|vor (?:einem|einer|[0-9])|gestern|heute|il y a|hier|hace (?:un|una|[0-9])|ayer"
    r"|fa|ieri)\b",
    re.IGNORECASE,
)
_NAMED = (_DAY_NAME, _NAME_DAY, _UNIX, _NAME_YEAR)


class DateOrder(StrEnum):
    """Which of two numbers before the year comes first."""

    DAY = "day"
    MONTH = "month"


def parse_timestamp(value: Any, order: DateOrder | None = None) -> datetime | None:
    """The time that `value` says, in UTC; None where it says none between 1995 and 2100, or could say two."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        moment = _from_text(value.strip(), order) if isinstance(value, str) else _from_number(value)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if EARLIEST <= moment < LATEST else None


def order_of(value: str) -> frozenset[DateOrder]:
    """The orders in which a date of three numbers can be read; empty for every other form, and where both are equal.

    Both for 24/05/01 too: day first it is 2001, but it may begin with the year.
    """
    found = _NUMBERS.fullmatch(value.strip()) if len(value) <= MAX_CHARS else None
    if found is None or int(found["first"]) == int(found["second_part"]):
        return frozenset()
    months = {DateOrder.DAY: int(found["second_part"]), DateOrder.MONTH: int(found["first"])}
    if len(found["year"]) == 2 and months[DateOrder.MONTH] > 12 and 1 <= int(found["year"]) <= 31:
        return frozenset(DateOrder)
    return frozenset(order for order, month in months.items() if 1 <= month <= 12)


def is_dotted(value: str) -> bool:
    """Whether a date of three numbers is written with dots, which is day first everywhere, and not `24.05.13`."""
    found = _NUMBERS.fullmatch(value.strip())
    return found is not None and found["sign"] == "." and int(found["first"]) <= 12


def has_day_before_month(value: Any) -> bool:
    """Whether a date that begins with the year has the day next: "2024-13-05"."""
    found = _YEAR_FIRST.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= MAX_CHARS else None
    return found is not None and int(found["month"]) > 12 and 1 <= int(found["day"]) <= 12


def is_relative(value: Any) -> bool:
    """Whether a time counts from the day of reading: "6 months ago"."""
    return isinstance(value, str) and len(value) <= MAX_CHARS and _RELATIVE.search(value) is not None


def _from_number(value: float) -> datetime:
    digits = str(value) if isinstance(value, int) else ""
    if len(digits) in _DIGITS and digits[:2] in {"19", "20"}:
        return datetime.strptime(digits, _DIGITS[len(digits)]).replace(tzinfo=UTC)
    divisor = next((divisor for least, divisor in EPOCH_UNITS if abs(value) >= least), 1)
    if divisor == 1 and value >= MOST_SECONDS:
        raise ValueError(value)
    return datetime.fromtimestamp(value / divisor, UTC)


def _from_text(value: str, order: DateOrder | None) -> datetime:
    if value.isascii() and value.isdigit():
        return _from_number(int(value))
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return _from_written(value, order)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _from_written(value: str, order: DateOrder | None) -> datetime:
    if not value or len(value) > MAX_CHARS:
        raise ValueError(value)
    if _NUMBER.fullmatch(value):
        return _from_number(float(value))
    if found := _YEAR_FIRST.fullmatch(value) or _OLD_AMAZON.fullmatch(value):
        return _moment(found, int(found["month"]), int(found["day"]))
    if found := _MONTH_ALONE.fullmatch(value):
        year, month = found["year"] or found["year_last"], found["month"] or found["month_first"]
        return datetime(int(year), int(month), 1, tzinfo=UTC)
    if found := _NUMBERS.fullmatch(value):
        return _in_order(found, value, order)
    text = value.casefold().translate(_ACCENTS)
    for form in _NAMED:
        found = form.fullmatch(text)
        if found is not None and (month := MONTHS.get(found["name"])) is not None:
            return _moment(found, month, int(found.groupdict().get("day") or 1))
    raise ValueError(value)


def _in_order(found: re.Match[str], value: str, order: DateOrder | None) -> datetime:
    first, second = int(found["first"]), int(found["second_part"])
    possible = order_of(value)
    if possible and order not in possible:
        if len(possible) == 1:
            order = next(iter(possible))
        elif order is None and is_dotted(value):
            order = DateOrder.DAY
        else:
            raise ValueError(value)
    return _moment(found, *((first, second) if order is DateOrder.MONTH else (second, first)))


def _moment(found: re.Match[str], month: int, day: int) -> datetime:
    """The date and, where it is there, the time of day of a match."""
    parts = found.groupdict()
    moment = datetime(_year(parts["year"]), month, day, tzinfo=UTC)
    if parts.get("hour") is None:
        return moment
    hour = int(parts["hour"])
    if hour > 23 or int(parts["minute"]) > 59 or int(parts["second"] or 0) > 59:
        raise ValueError(f"there is no such time of day as {hour}:{parts['minute']}")
    if parts["half"]:
        hour = hour % 12 + (12 if parts["half"].casefold() == "p" else 0)
    clock = timedelta(hours=hour, minutes=int(parts["minute"]), seconds=int(parts["second"] or 0))
    return (moment + clock).replace(tzinfo=_zone(parts.get("zone"))).astimezone(UTC)


def _year(written: str) -> int:
    digits = written.removeprefix("'")
    return int(digits) if len(digits) == 4 else int(digits) + (1900 if int(digits) >= PIVOT else 2000)


def _zone(written: str | None) -> timezone:
    """Without a name it is UTC. Raises `ValueError` for a name that may mean several zones."""
    name = (written or "z").casefold().strip()
    if name in _ZONES:
        return timezone(timedelta(hours=_ZONES[name]))
    offset = name.removesuffix("utc").removeprefix("utc").removeprefix("gmt").strip().replace(":", "")
    if not offset[1:].isdigit():
        raise ValueError(f"{written} is no zone that we know")
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timezone(timedelta(minutes=minutes if offset[0] == "+" else -minutes))
