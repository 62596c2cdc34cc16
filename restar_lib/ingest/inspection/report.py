"""What was understood of one file, for people: which column is what, ratings, times, what is refused, examples, YAML.

Made by `restar inspect` and at the beginning of `make run REVIEWS=`; the log of an ingest has its one line for each new
kind of file. Reads the file's first rows and stores nothing; how it looks in a terminal is `cli.inspect_files`'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import yaml

from restar_lib.domain import QuarantineReason, Review
from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning.clean import Rejection, clean_row
from restar_lib.ingest.inspection.shape import STARS, FileOptions, FileShape, stars_of
from restar_lib.ingest.inspection.survey import OTHER, Survey
from restar_lib.ingest.quarantine import readable_text
from restar_lib.ingest.raw_rows import FIELDS, Place, RawRow, value_at
from restar_lib.settings import IngestSettings

CLEANED_ROWS: Final = 2_000
EXAMPLES: Final = 10
SHOWN_CHARS: Final = 60
SHOWN_RATINGS: Final = 12


@dataclass(frozen=True, kw_only=True)
class Column:
    """One field of a review, and where it was found."""

    field: str
    """Our name."""
    name: str
    """Of the column; empty where there is none."""
    example: str


@dataclass(kw_only=True)
class Inspection:
    """One file."""

    address: str
    in_words: str = ""
    rows: int = 0
    """That were looked at."""
    columns: Sequence[Column] = ()
    others: Sequence[str] = ()
    """Columns that nobody reads."""
    ratings: Mapping[str, tuple[int | None, int]] = field(default_factory=dict)
    """By rating as written its stars (None where it has none) and its rows, the commonest first."""
    shape: FileShape | None = None
    """None where the file is not read."""
    reviewed_at: str = ""
    """Where the time of rows that bring none comes from, as in `FileOptions`."""
    oldest: datetime | None = None
    newest: datetime | None = None
    cleaned: int = 0
    """Of the first rows so many were cleaned, ..."""
    taken: int = 0
    refused: Counter[QuarantineReason] = field(default_factory=Counter)
    """... and these would go to quarantine."""
    refused_examples: dict[QuarantineReason, str] = field(default_factory=dict)
    reviews: list[Review] = field(default_factory=list)
    failure: SourceError | None = None
    """Why it is not read."""

    @property
    def is_read(self) -> bool:
        """Whether an ingest would read it."""
        return self.failure is None

    def line(self) -> str:
        """In one line, for a log."""
        named = ", ".join(f"{column.field} = {column.name}" for column in self.columns if column.name)
        others = f"; {len(self.others)} other columns are not read" if self.others else ""
        return f"{self.in_words}: {named}; {'; '.join(self.decided()) or 'stars from 1 to 5'}{others}"

    def decided(self) -> Iterator[str]:
        """What is not as usual, in words."""
        shape = self.shape or FileShape()
        if shape.rating_scale != STARS:
            yield f"ratings on the scale {shape.rating_scale}" + (
                ", so there are two classes and no neutral one" if shape.rating_scale == "thumbs" else ""
            )
        elif self.two_classes:
            yield "ratings of two classes, positive and negative: there is no neutral one"
        if shape.date_order:
            yield f"dates with the {shape.date_order} first"
        if shape.swapped:
            yield "the longer texts stand in the column of titles, so title and text are exchanged"

    @property
    def two_classes(self) -> bool:
        """Whether all ratings are 1 or 5 stars, in words that say two classes."""
        found = {stars for stars, _ in self.ratings.values()}
        return found == {1, 5} and not any(name.strip() in {"1", "5", "1.0", "5.0"} for name in self.ratings)

    def settings(self, *, path: str) -> str:
        """The YAML that says all of this, to keep."""
        shape = self.shape or FileShape()
        source: dict[str, Any] = {"kind": "files", "path": path}
        chosen = {
            "rating_scale": shape.rating_scale,
            "date_order": str(shape.date_order or ""),
            "reviewed_at": self.reviewed_at,
        }
        usual = {"rating_scale": STARS, "date_order": "", "reviewed_at": ""}
        source |= {key: value for key, value in chosen.items() if value != usual[key]}
        if shape.encoding != "utf-8":
            source["encoding"] = shape.encoding
        source["fields"] = {column.field: [column.name] for column in self.columns if column.name}
        return yaml.safe_dump({"source": source}, sort_keys=False, allow_unicode=True, default_flow_style=None).rstrip()


def columns_of(found: Survey, options: FileOptions, names: Sequence[str]) -> tuple[list[Column], list[str]]:
    """Where the first rows have each field, with an example, and the names that nobody reads."""
    places, objects = dict(options.mapping.places(names)), found.objects()
    columns: list[Column] = []
    used: set[str] = set()
    for name in FIELDS:
        example = next((row.fields[name] for row in found.first if row.fields and row.fields.get(name)), None)
        place = _place_with_value(places.get(name, []), objects)
        if place or example is not None:
            used.update(place[:1])
            columns.append(Column(field=name, name=".".join(place) or name, example=_short(example)))
    return columns, [name for name in names if name and name not in used]


def _place_with_value(places: Sequence[Place], objects: Sequence[Mapping[str, Any]]) -> Place:
    """The first of these places where one of the rows has something; of a table, the first column."""
    filled = (place for place in places if any(value_at(row, place) is not None for row in objects))
    return next(filled, places[0] if places else ())


def ratings_of(found: Survey, scale: str) -> dict[str, tuple[int | None, int]]:
    """Ratings as written, with their stars and rows; the commonest ones."""
    common = found.ratings.most_common(SHOWN_RATINGS)
    return {
        "none" if value is None else str(value)[:SHOWN_CHARS]: (
            None if value in {None, OTHER} else stars_of(value, scale),
            rows,
        )
        for value, rows in common
    }


def add_cleaned(report: Inspection, rows: Sequence[RawRow], config: IngestSettings) -> None:
    """Clean these resolved rows, and add what would become of them."""
    for row in rows:
        report.cleaned += 1
        result = clean_row(row.for_cleaning, config, source="")
        if isinstance(result, Rejection):
            report.refused[result.reason] += 1
            report.refused_examples.setdefault(result.reason, f"{result.detail}: {_short(readable_text(row.raw))}")
            continue
        report.taken += 1
        report.oldest = min(report.oldest or result.reviewed_at, result.reviewed_at)
        report.newest = max(report.newest or result.reviewed_at, result.reviewed_at)
        if len(report.reviews) < EXAMPLES:
            report.reviews.append(result)


def _short(value: Any) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."
