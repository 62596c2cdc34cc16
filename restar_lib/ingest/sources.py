"""What a source of reviews is: rows, one after the other, each with the cursor to go on from.

A source streams in constant memory and starts right after any cursor that it once handed out. It knows the spelling
of its fields and turns them into ours; it judges nothing (`ingest.cleaning`) and stores nothing (`ingest.upsert`).
A row that cannot be read is a row too, with its problem: it ends in quarantine, and the next one is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from restar_lib.errors import ConfigurationError, SourceError
from restar_lib.settings import Settings

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

Cursor = dict[str, Any]
"""How far a source is read: JSON, understood by the source that made it and nobody else."""

Window = tuple[datetime, datetime]
"""When the wanted reviews were written; the end does not belong to it."""


@dataclass(frozen=True, kw_only=True)
class RawRow:
    """One row as it was read."""

    raw: bytes
    """The row itself, for the quarantine; an over-long one is its beginning and a note of its length and hash."""
    fields: Mapping[str, Any] | None
    """Values by our names, absent ones left out; None where the row is malformed."""
    problem: str = ""
    """What is wrong with a malformed row."""
    cursor_after: Cursor | None
    """Reading goes on behind this row from here; None where a window is read, which moves no cursor."""


class Source(Protocol):
    """Somewhere reviews come from."""

    @property
    def name(self) -> str:
        """Key of the cursor; two sources never share one."""

    @property
    def kind(self) -> str:
        """The word for it in YAML: `simulated` or `files`."""

    def rows(self, cursor: Cursor | None) -> Iterator[RawRow]:
        """All rows after `cursor`, or from the beginning. Raises `SourceError` where it cannot be read."""


def open_source(settings: Settings, *, window: Window | None = None) -> Source:
    """The configured source; nothing is opened before its rows are asked for.

    With a `window`, only the reviews written in it are read and no cursor moves. Raises `ConfigurationError` where the
    source cannot do that.
    """
    # Here, not above: both import this module for `RawRow`.
    from restar_lib.ingest.files import FilesSource
    from restar_lib.ingest.hub import HubSource
    from restar_lib.ingest.hub_files import HubFiles
    from restar_lib.ingest.published import SnapshotSource
    from restar_lib.ingest.simulated import SimulatedSource

    config = settings.source
    if window is not None and config.kind != "files":
        raise ConfigurationError(
            f"source.kind = {config.kind}: only files can be read by a window of time (a backfill, source.by, "
            "--since); run ingest_reviews by hand without one, and it goes on from the cursor"
        )
    if config.kind == "hub":
        mapping = FieldMapping.from_config(config.fields)
        return HubSource(
            name=config.name, config=settings.hub, mapping=mapping, files=HubFiles.from_config(settings.hub)
        )
    if config.kind == "files":
        mapping = FieldMapping.from_config(config.fields)
        return FilesSource(name=config.name, path=config.path, mapping=mapping, storage=config.storage, window=window)
    if config.kind == "snapshot":
        return SnapshotSource.from_settings(settings)
    return SimulatedSource(name=config.name, config=settings.simulated)


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


def check_kind(source: Source, cursor: Cursor | None) -> None:
    """Raise `SourceError` where `cursor` was made by a source of another kind."""
    if cursor is not None and cursor.get("kind") != source.kind:
        raise SourceError(
            f"source {source.name!r} was read as {cursor.get('kind')!r} so far and is {source.kind!r} now: "
            "give the new one another source.name, or wipe the state with `make reset`"
        )
