"""Rows that lie inside other JSON: an object around them, pages, products with reviews, rows by key, columns.

The whole text is looked through once, event by event (ijson: kept, streams in constant memory), for the places whose
objects have a text, and a rating or a time, in the spellings of `source.fields`. Of an object with such objects inside,
the inner ones are the rows: a product has a description and a rating, too. The rows of all places are read, in their
order in the file. Only columns are held in memory as a whole, and refused above a size. Such files do not grow, they
are written anew: a file is recognised by size and time, and the place in it is a number of rows.
Plain JSON Lines and arrays of rows need none of this (`readers.lines`, `readers.json_values`).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import FieldMapping, RawRow, as_line
from restar_lib.ingest.readers.compression import DAMAGED, Content
from restar_lib.ingest.readers.cursor import FilePosition

MAX_PLACES: Final = 500_000
"""Different places with an object in them, held in memory; rows by key have one each."""
NESTED_NAMES: Final = 3
"""`author.name.label` is a name of the object that has the author."""
MAX_COLUMNS_BYTES: Final = 256 << 20
MAX_LITERAL_BYTES: Final = 200_000
MAX_LITERAL_DEPTH: Final = 20
ITEM: Final = "item"
SCALARS: Final = frozenset({"string", "number", "boolean"})


class RowsKind(Enum):
    """What the rows lie in."""

    PLACES = "rows"
    COLUMNS = "columns"
    TABLE = "lists of values with a row of names"


@dataclass(frozen=True, kw_only=True)
class Container:
    """Where the rows are."""

    kind: RowsKind
    places: frozenset[str] = frozenset()
    """In ijson's words, such as `reviews.item`."""
    names: tuple[str, ...] = ()
    """Of the columns, where each row is a list of values."""

    def __str__(self) -> str:
        """In words."""
        steps = sorted({_in_words(place) for place in self.places} - {""})
        shown = ", ".join(f"`{step}`" for step in steps[:3]) + (f" and {len(steps) - 3} more" if len(steps) > 3 else "")
        return self.kind.value + (f" in {shown}" if shown else "")


@dataclass(kw_only=True)
class _Seen:
    """What a look through the events has found."""

    names: dict[str, dict[str, None]] = field(default_factory=dict)
    """By place of an object, the names of its values, and those of objects in it with dots."""
    top: dict[str, None] = field(default_factory=dict)
    """Names of the top-level object."""
    first_list: list[str] = field(default_factory=list)
    """The values of the first list within a list, or of `columns`, ..."""
    list_ended: bool = False
    """... and whether it has ended."""


def find_container(
    content: Content, mapping: FieldMapping, *, address: str, most_places: int = MAX_PLACES
) -> Container | None:
    """What the rows of this JSON lie in; None where the values themselves are rows, or no row is found.

    Raises `SourceError` where they lie in too many places to remember.
    """
    seen = _look_through(content, most_places)
    if len(seen.names) >= most_places:
        raise SourceError(
            f"{address}: its objects lie in more than {most_places:,} different places, as rows by key do; write the "
            "rows as a list, or one a line. Nothing of this file was read"
        )
    places = _rows_among(seen, mapping)
    if places:
        return None if places in ({""}, {ITEM}) else Container(kind=RowsKind.PLACES, places=frozenset(places))
    if _are_names(list(seen.top), mapping):
        return Container(kind=RowsKind.COLUMNS)
    if _are_names(seen.first_list, mapping):
        place = "data.item" if "columns" in seen.top else ITEM
        return Container(kind=RowsKind.TABLE, places=frozenset({place}), names=tuple(seen.first_list))
    return None


def read_container(
    content: Content, container: Container, mapping: FieldMapping, start: int, *, address: str
) -> Iterator[tuple[RawRow, FilePosition]]:
    """The rows from number `start` on. Raises `SourceError` where the JSON is damaged, behind the rows before that."""
    import ijson

    content.seek(0)
    number, before = 0, None
    try:
        for value in _objects(content, container, address=address):
            if before is not None and number > start:
                yield _row(before, number, mapping, last=False)
            number, before = number + 1, value
    except (ijson.JSONError, UnicodeDecodeError) as error:
        if before is not None and number > start:
            yield _row(before, number, mapping, last=False)
        raise SourceError(
            f"{address}: no JSON behind row {number:,} ({error}); the rows before that are read and kept. Put the "
            "whole file in its place, or move it away, and run again"
        ) from error
    if before is not None and number > start:
        yield _row(before, number, mapping, last=True)


def literal_row(line: bytes) -> dict[str, Any] | None:
    """The object in a line of Python, as `print(row)` writes it; None where it is none. Runs no code."""
    if len(line) > MAX_LITERAL_BYTES or not line.startswith(b"{") or _depth(line) > MAX_LITERAL_DEPTH:
        return None
    try:
        value = ast.literal_eval(line.decode("utf-8"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _row(value: dict[str, Any], number: int, mapping: FieldMapping, *, last: bool) -> tuple[RawRow, FilePosition]:
    row = RawRow(raw=as_line(value), fields=mapping.ours(value), is_resolved=True)
    return row, FilePosition(end=number, reread_from=None, last=last, tail=b"")


def _depth(line: bytes) -> int:
    """More brackets than that can be open at once nowhere in the line."""
    return max(line.count(b"["), line.count(b"("), line.count(b"{")) if len(line) > 2000 else 0


def _look_through(content: Content, most_places: int) -> _Seen:
    import ijson

    seen = _Seen()
    content.seek(0)
    with suppress(ijson.JSONError, UnicodeDecodeError, *DAMAGED):  # what was seen before counts
        events = ijson.parse(content, multiple_values=True, use_float=True)
        for place, event, value in events:
            if event == "map_key":
                if place == "":
                    seen.top[value] = None
            elif event in SCALARS:
                _note(seen, place, value)
            elif event == "end_array" and place in {ITEM, "columns"}:
                seen.list_ended = True
            if len(seen.names) >= most_places:
                break
    return seen


def _note(seen: _Seen, place: str, value: Any) -> None:
    """Take in a plain value: its name belongs to its object, and with dots to those around it up to a list."""
    parts = place.split(".")
    if parts[-1] == ITEM:
        if place in {"item.item", "columns.item"} and not seen.list_ended and isinstance(value, str):
            seen.first_list.append(value)
        return
    for taken in range(1, NESTED_NAMES + 1):
        if taken > len(parts) or ITEM in parts[-taken:]:
            return
        seen.names.setdefault(".".join(parts[:-taken]), {})[".".join(parts[-taken:])] = None


def _rows_among(seen: _Seen, mapping: FieldMapping) -> set[str]:
    """The places whose objects are rows. Those with ratings go before, then those that lie in lists of others."""
    found: dict[str, bool] = {}
    for place, names in seen.names.items():
        named = {name for name, _ in mapping.places(names)}
        if "text" in named and named & {"rating", "reviewed_at"}:
            found[place] = "rating" in named
    rows = {place for place, has_rating in found.items() if has_rating} or set(found)
    for place in list(rows):
        for outer, between in _around(place):
            if outer in rows or outer in found:
                # A part of a row has no row of its own; what has a list of rows is none.
                rows.discard(outer if ITEM in between else place)
    return rows


def _around(place: str) -> Iterator[tuple[str, Sequence[str]]]:
    """The places of the objects around one, and the steps from there."""
    parts = place.split(".") if place else []
    yield from ((".".join(parts[:end]), parts[end:]) for end in range(len(parts)))


def has_rows_inside(value: Any, mapping: FieldMapping) -> bool:
    """Whether a list in this object, or in an object in it, begins with a review."""
    if not isinstance(value, dict):
        return False
    inner = [one for one in value.values() if isinstance(one, dict | list)]
    lists = [one for one in inner if isinstance(one, list)]
    if any(part and isinstance(part[0], dict) and _is_review(part[0], mapping) for part in lists):
        return True
    return any(has_rows_inside(one, mapping) for one in inner)


def _is_review(value: dict[str, Any], mapping: FieldMapping) -> bool:
    found = mapping.ours(value)
    return isinstance(found.get("text"), str) and "rating" in found


def _are_names(names: Sequence[str], mapping: FieldMapping) -> bool:
    named = {name for name, _ in mapping.places(names)}
    return "text" in named and bool(named & {"rating", "reviewed_at"})


def _in_words(place: str) -> str:
    return " > ".join(step for step in place.split(".") if step not in {"", ITEM})


def _objects(content: Content, container: Container, *, address: str) -> Iterator[dict[str, Any]]:
    import ijson

    if container.kind is RowsKind.COLUMNS:
        yield from _rows_of_columns(content, address=address)
    elif container.kind is RowsKind.TABLE:
        for row in ijson.items(content, next(iter(container.places)), multiple_values=True, use_float=True):
            if isinstance(row, list) and tuple(row) != container.names:
                yield dict(zip(container.names, row, strict=False))
    elif len(container.places) == 1:
        rows = ijson.items(content, next(iter(container.places)), multiple_values=True, use_float=True)
        yield from (row for row in rows if isinstance(row, dict))
    else:
        yield from _objects_at(content, container.places)


def _objects_at(content: Content, places: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The objects of several places, in their order in the file."""
    import ijson

    builder, depth = None, 0
    for place, event, value in ijson.parse(content, multiple_values=True, use_float=True):
        if builder is None and event == "start_map" and place in places:
            builder, depth = ijson.ObjectBuilder(), 0
        if builder is not None:
            builder.event(event, value)
            depth += (event in {"start_map", "start_array"}) - (event in {"end_map", "end_array"})
            if depth == 0:
                yield builder.value
                builder = None


def _rows_of_columns(content: Content, *, address: str) -> Iterator[dict[str, Any]]:
    read = content.read(MAX_COLUMNS_BYTES + 1)
    if len(read) > MAX_COLUMNS_BYTES:
        raise SourceError(
            f"{address}: columns of more than {MAX_COLUMNS_BYTES >> 20} MiB in one JSON object do not fit into memory; "
            "write rows instead (pandas: to_json(..., orient='records', lines=True)). Nothing of this file was read"
        )
    try:
        columns = {name: part for name, part in json.loads(read).items() if isinstance(part, dict | list)}
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{address}: not JSON: {error}. Nothing of this file was read") from error
    keyed = {name: part if isinstance(part, dict) else dict(enumerate(part)) for name, part in columns.items()}
    # By their keys, not by their places: a column may lack some, or have them in another order.
    keys = dict.fromkeys(key for part in keyed.values() for key in part)
    yield from ({name: part[key] for name, part in keyed.items() if key in part} for key in keys)
