"""What was decided about a file (`FileShape`), and its rows by that: ratings as stars, dates without a doubt.

Pure. A shape is decided once, from all rows that a first reading finds (`inspection.decisions`), and stored with the
place that was reached, so that what is appended later is read in the same way. Rows of a file of the usual kind (UTF-8,
stars from 1 to 5, dates that can be read in one way) pass as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from restar_lib.ingest.cleaning.clean import UNDATED
from restar_lib.ingest.cleaning.ratings import THUMBS, RatingScale, explicit_stars, plain_number, thumb_stars
from restar_lib.ingest.cleaning.timestamps import DateOrder, parse_timestamp
from restar_lib.ingest.raw_rows import FieldMapping, RawRow

STARS = "1-5"
NOT_ON_SCALE = "(not on the scale of its file)"
"""Behind a rating that must not pass as stars: 2 where there are thumbs."""


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What the configuration says about all files of a source (section `source`)."""

    mapping: FieldMapping
    encoding: str = ""
    """Empty: found in the file."""
    rating_scale: str = ""
    """As `1-10` or `thumbs`; empty: found in the file where it is certain."""
    date_order: DateOrder | None = None
    reviewed_at: Literal["", "file", "reading"] = ""
    """The time of rows that bring none: when the file was written, or now; empty: such rows are refused."""
    max_refused: float = 1.0
    """A file of whose rows a larger share cannot be read is refused as a whole."""


@dataclass(frozen=True, kw_only=True)
class FileShape:
    """How one file is to be read, as far as it is not of the usual kind."""

    encoding: str = "utf-8"
    rating_scale: str = STARS
    date_order: DateOrder | None = None
    swapped: bool = False
    """Whether the column that is called the title holds the text, and the other way round."""

    @classmethod
    def from_state(cls, stored: Mapping[str, Any]) -> FileShape:
        """As it was stored with the file's place."""
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in stored.items() if name in known}
        if values.get("date_order"):
            values["date_order"] = DateOrder(values["date_order"])
        return cls(**values)

    def as_state(self) -> dict[str, Any]:
        """What is not of the usual kind, as JSON."""
        return {name: value for name, value in vars(self).items() if value != getattr(FileShape, name)}


Resolve = Callable[[RawRow], RawRow]


def resolver(shape: FileShape, options: FileOptions, *, written_at: datetime | None, now: datetime) -> Resolve:
    """What makes of each row one that says its stars and its time without a doubt; `now` is the time of the reading."""
    default_time = {"file": written_at, "reading": now}.get(options.reviewed_at)
    if shape == FileShape(encoding=shape.encoding) and default_time is None:
        return _as_it_is
    rating = _rating_converter(shape.rating_scale)

    def resolve(row: RawRow) -> RawRow:
        if row.fields is None:
            return row
        found = dict(row.fields)
        if shape.swapped:
            found = _swapped(found)
        if rating is not None and "rating" in found:
            found["rating"] = rating(found["rating"])
        moment = parse_timestamp(found.get("reviewed_at"), shape.date_order)
        if moment is not None and shape.date_order is not None:
            found["reviewed_at"] = moment.isoformat()
        elif moment is None and default_time is not None:
            found |= {"reviewed_at": default_time.isoformat(), UNDATED: True}
        return RawRow(raw=row.raw, fields=found, is_resolved=True)

    return resolve


def stars_of(value: Any, scale: str) -> int | None:
    """The stars of a rating on this scale, `1-5` included; None where it is not on it."""
    if scale == THUMBS:
        return thumb_stars(value)
    number = plain_number(value)
    if number is None:
        return explicit_stars(value) if isinstance(value, str) else None
    return RatingScale.parse(scale).stars(number)


def _as_it_is(row: RawRow) -> RawRow:
    return row


def _swapped(found: dict[str, Any]) -> dict[str, Any]:
    """Text and title exchanged."""
    text, title = found.pop("text", None), found.pop("title", None)
    return found | {name: value for name, value in (("text", title), ("title", text)) if value is not None}


def _rating_converter(scale: str) -> Callable[[Any], Any] | None:
    if scale == STARS:
        return None

    def convert(value: Any) -> Any:
        stars = stars_of(value, scale)
        return f"{value} {NOT_ON_SCALE}" if stars is None else stars

    return convert
