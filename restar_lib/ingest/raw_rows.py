"""One row as a source holds it (`RawRow`), and how other people spell its fields (`FieldMapping`).

Pure: it opens nothing, judges no value (`ingest.cleaning` does) and knows no source. A spelling is added in
`include/config/default.yaml`, section `source.fields`. Made by the readers and the sources, read by cleaning and by the
quarantine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restar_lib.errors import ConfigurationError

Cursor = dict[str, Any]
"""How far a source is read: JSON that only the source that made it understands.

Where it names a `file`, it holds the `state` of this file alone; those of others are looked up (`FileStates`).
"""
FileState = dict[str, Any]
"""How far one file is read: offset, head, head_bytes, tail, tail_bytes, unterminated_from, cut, complete."""
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

    def with_cursor(self, cursor_after: Cursor) -> RawRow:
        """This row with its cursor. Called for every row, and `dataclasses.replace` takes twice as long."""
        return RawRow(raw=self.raw, fields=self.fields, problem=self.problem, cursor_after=cursor_after)


@dataclass(frozen=True)
class FieldMapping:
    """Our field names and their spellings in a source, in the order in which they are tried."""

    spellings: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_config(cls, config: Mapping[str, tuple[str, ...]]) -> FieldMapping:
        """From `source.fields`; a field that is not in there is called as we call it."""
        unknown = sorted(set(config) - set(FIELDS))
        if unknown:
            raise ConfigurationError(f"source.fields: unknown field {unknown[0]!r}; known are: {', '.join(FIELDS)}")
        return cls({name: tuple(config.get(name, (name,))) for name in FIELDS})

    def ours(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of `row` under our names: the first spelling that has a value wins."""
        found = {}
        for name, spellings in self.spellings.items():  # plain loops: this runs for every row
            for spelling in spellings:
                value = row.get(spelling)
                if value is not None:
                    found[name] = value
                    break
        return found


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
