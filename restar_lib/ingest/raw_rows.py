"""One row as a source holds it (`RawRow`), and how other people spell its fields (`FieldMapping`).

Pure: it opens nothing, judges no value (`ingest.cleaning` does) and knows no source. A spelling is added in
`include/config/default.yaml`, section `source.fields`. Made by the readers and the sources, read by cleaning and by the
quarantine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from restar_lib.errors import ConfigurationError, SourceError

Cursor = dict[str, Any]
"""How far a source is read: JSON that only the source that made it understands.

Where it names a `file`, it holds the `state` of this file alone; those of others are looked up (`FileStates`).
"""
FileState = dict[str, Any]
"""How far one file is read: offset, head, head_bytes, tail, tail_bytes, unterminated_from, cut, complete, and as what:
looked_at, shape."""
FileStates = Callable[[Sequence[str]], Mapping[str, FileState]]
"""Looks up the states of some files by their names; a file that was never read is left out."""


def no_file_is_read(names: Sequence[str]) -> Mapping[str, FileState]:
    """The lookup of a source that was never read."""
    del names
    return {}


TYPE_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}

FIELDS = (
    "review_id",
    "text",
    "title",
    "rating",
    "asin",
    "parent_asin",
    "product_category",
    "user_id",
    "reviewed_at",
)
"""Our names of the fields of a raw row; `source.fields` maps other spellings to them."""
REMEMBERED_COLUMNS = 500
"""Sets of columns whose places are remembered: the rows of a file have few."""
_SEPARATORS = re.compile(r"[\s_-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class RawRow:
    """One row as it was read."""

    raw: bytes
    """The row itself, for the quarantine; an over-long one is its beginning and a note of its length and hash."""
    fields: Mapping[str, Any] | None
    """Values by our names, absent ones left out; None where the row is malformed."""
    problem: str = ""
    """What is wrong with a malformed row."""
    cursor_after: Cursor | None = None
    """Reading goes on behind this row from here. None as it comes from a file, and where a window moves no cursor."""
    is_resolved: bool = False
    """Whether the fields say more than the row itself: it was on another scale, within another object, ..."""

    @property
    def for_cleaning(self) -> Mapping[str, Any] | str:
        """What cleaning needs of it: no cursor, which can be large, and no raw bytes."""
        return self.problem if self.fields is None else self.fields

    def with_cursor(self, cursor_after: Cursor) -> RawRow:
        """This row with its cursor. Called for every row, and `dataclasses.replace` takes twice as long."""
        return RawRow(
            raw=self.raw,
            fields=self.fields,
            problem=self.problem,
            cursor_after=cursor_after,
            is_resolved=self.is_resolved,
        )


def plain_name(name: str) -> str:
    """A column's name as it is compared: without case, blanks, `_` and `-`."""
    return _SEPARATORS.sub("", name).casefold()


Place = tuple[str, ...]
"""The name of a column, and below it those of nested objects."""


@dataclass(frozen=True)
class FieldMapping:
    """Our field names and their spellings in a source, in the order in which they are tried.

    Names are compared by `plain_name`. A spelling with dots is a column of that name, or reaches into nested objects.
    """

    spellings: Mapping[str, tuple[str, ...]]
    _places: dict[tuple[str, ...], list[tuple[str, list[Place]]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def from_config(cls, config: Mapping[str, tuple[str, ...]]) -> FieldMapping:
        """From `source.fields`; a field that is not in there is called as we call it."""
        unknown = sorted(set(config) - set(FIELDS))
        if unknown:
            raise ConfigurationError(f"source.fields: unknown field {unknown[0]!r}; known are: {', '.join(FIELDS)}")
        return cls({name: tuple(config.get(name, (name,))) for name in FIELDS})

    def for_table(self, columns: Iterable[str]) -> FieldMapping:
        """For rows that all have these columns: text and rating are one of them, the first that is spelled so.

        Where a text is empty, another column does not stand in for it.
        """
        places = dict(self.places(column.strip() for column in columns))
        one = {name: (places[name][0][0],) for name in NEEDED if name in places and len(places[name][0]) == 1}
        return FieldMapping({**self.spellings, **one})

    def ours(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of `row` under our names: the first spelling that has a value wins, and an object is none."""
        found = {}
        for name, places in self.places(row):  # plain loops: this runs for every row
            for place in places:
                value = row[place[0]]
                if len(place) > 1 or value.__class__ is dict:
                    value = value_at(row, place)
                if value is not None and value != "":
                    found[name] = value
                    break
        return found

    def places(self, columns: Iterable[str]) -> list[tuple[str, list[Place]]]:
        """By our names, where in these columns a field may be; fields that no column is spelled like are left out."""
        names = tuple(columns)
        places = self._places.get(names)
        if places is None:
            if len(self._places) >= REMEMBERED_COLUMNS:
                self._places.clear()
            places = self._places[names] = self._find(names)
        return places

    def _find(self, columns: tuple[str, ...]) -> list[tuple[str, list[Place]]]:
        by_name: dict[str, list[str]] = {}
        for column in columns:
            by_name.setdefault(plain_name(column), []).append(column)
        found = []
        for name, spellings in self.spellings.items():
            places = [place for spelling in spellings for place in _spelled(spelling, by_name)]
            if places:
                found.append((name, list(dict.fromkeys(places))))
        return found


def _spelled(spelling: str, by_name: Mapping[str, list[str]]) -> list[Place]:
    """Columns of this spelling, and what it reaches inside others."""
    places: list[Place] = [(column,) for column in by_name.get(plain_name(spelling), ())]
    parts = spelling.split(".")
    for end in range(1, len(parts)):
        head = by_name.get(plain_name(".".join(parts[:end])), ())
        places += [(column, *parts[end:]) for column in head]
    return places


def value_at(row: Mapping[str, Any], place: Place) -> Any:
    """What is there; None where nothing is, or an object. A list is several rows, and never looked into."""
    value = row.get(place[0])
    for name in place[1:]:
        if not isinstance(value, dict):
            return None
        wanted = plain_name(name)
        value = next((inner for key, inner in value.items() if plain_name(str(key)) == wanted), None)
    return None if isinstance(value, dict) else value


NEEDED: Final = {"text": "the text", "rating": "the rating"}
"""What every file must have a column for, with the word for it; where there is no time, one can be chosen."""
SHOWN_NAMES: Final = 25
SHOWN_SPELLINGS: Final = 12


def refuse_columns(columns: Iterable[str], mapping: FieldMapping, *, address: str, where: str) -> None:
    """Raise `SourceError` where no column is spelled like a field that every review needs; `where` they were sought."""
    names = list(columns)
    named = {name for name, _ in mapping.places(names)}
    missing = [name for name in NEEDED if name not in named]
    if not missing:
        return
    words = " and none for ".join(NEEDED[name] for name in missing)
    found = ", ".join(column[:40] for column in names[:SHOWN_NAMES]).encode("utf-8", "backslashreplace").decode()
    ways = ", ".join(f'{name}: ["<the name of {NEEDED[name]}>"]' for name in missing)
    known = "; ".join(
        f"{name} as {', '.join(mapping.spellings[name][:SHOWN_SPELLINGS])}"
        + (", ..." if len(mapping.spellings[name]) > SHOWN_SPELLINGS else "")
        for name in missing
    )
    raise SourceError(
        f"{address}: no column for {words} in {where}. Found are: {found or 'none'}. If they are among these, set "
        f"RESTAR_SOURCE__FIELDS='{{{ways}}}'; in YAML source.fields. Known spellings: {known}. Nothing of this file "
        "was read"
    )


def as_line(values: Mapping[str, Any]) -> bytes:
    """A row that is no text in its file, as a line of JSON for the quarantine."""
    return json.dumps(values, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")


def parse_line(line: bytes, mapping: FieldMapping) -> tuple[dict[str, Any] | None, str]:
    """One line of JSON as our fields, or None and the problem. Never raises: a malformed line stops nothing."""
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return None, f"not UTF-8: byte {error.object[error.start]:#04x} at position {error.start}"
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    if not isinstance(row, dict):
        return None, f"not a JSON object but {TYPE_NAMES.get(type(row), 'a number')}"
    return mapping.ours(row), ""
