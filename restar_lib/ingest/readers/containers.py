"""Rows that lie inside other JSON: an object around them, pages, rows by key, columns, Python's own spelling.

What the rows lie in is found in the first megabytes: the place nearest to the top whose objects have a text and a
rating or a time, in the spellings of `source.fields`. ijson (kept, streams in constant memory) reads them from there.
Only columns are held in memory as a whole, and refused above a size. Such files do not grow, they are written anew: a
file is recognised by size and time, and the place in it is a number of rows.
Plain JSON Lines and arrays of rows need none of this (`readers.lines`, `readers.json_values`).
"""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any, Final

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import FieldMapping, RawRow
from restar_lib.ingest.readers.compression import Content, beginning
from restar_lib.ingest.readers.cursor import FilePosition

SAMPLE_BYTES: Final = 2 << 20
LOOKED_AT_VALUES: Final = 3
"""Top-level values of the sample that are looked through; the first entry of a feed may describe the feed."""
MAX_DEPTH: Final = 6
MAX_COLUMNS_BYTES: Final = 256 << 20
MAX_LITERAL_BYTES: Final = 200_000
MAX_LITERAL_DEPTH: Final = 20
ARROW: Final = " > "


class RowsKind(Enum):
    """What the rows lie in."""

    LIST = "a list of rows"
    KEYED = "rows by key"
    COLUMNS = "columns"
    TABLE = "lists of values with a row of names"


@dataclass(frozen=True, kw_only=True)
class Container:
    """Where the rows are."""

    kind: RowsKind
    path: str
    """Of the rows, in ijson's words: `reviews.item`."""
    names: tuple[str, ...] = ()
    """Of the columns, where each row is a list of values."""

    def __str__(self) -> str:
        """In words."""
        steps = [step for step in self.path.split(".") if step not in {"", "item"}]
        return self.kind.value + (f" in `{ARROW.join(steps)}`" if steps else "")


def find_container(content: Content, mapping: FieldMapping) -> Container | None:
    """What the rows of this JSON lie in; None where the values themselves are rows, or no row is found."""
    sample = beginning(content, SAMPLE_BYTES)
    for value in islice(_values(sample), LOOKED_AT_VALUES):
        if isinstance(value, dict) and _is_review(value, mapping):
            return None
        found = _search(value, mapping, path="", depth=0)
        if found is not None:
            return None if found.kind is RowsKind.LIST and found.path == "item" else found
    return None


def read_container(
    content: Content, container: Container, mapping: FieldMapping, start: int, *, address: str
) -> Iterator[tuple[RawRow, FilePosition]]:
    """The rows from number `start` on. Raises `SourceError` where the JSON is damaged, behind the rows before that."""
    import ijson

    content.seek(0)
    try:
        ahead = _one_ahead(_objects(content, container, address=address))
        for number, (value, last) in enumerate(ahead, start=1):
            if number <= start:
                continue
            raw = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
            row = (
                RawRow(raw=raw, fields=mapping.ours(value), is_resolved=True)
                if isinstance(value, dict)
                else RawRow(raw=raw, fields=None, problem=f"no object in {container}")
            )
            yield row, FilePosition(end=number, reread_from=None, last=last, tail=b"")
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{address}: damaged or cut off ({error}); the rows before that are read and kept. Put the whole file in "
            "its place, or move it away, and run again"
        ) from error


def literal_row(line: bytes) -> dict[str, Any] | None:
    """The object in a line of Python, as `print(row)` writes it; None where it is none. Runs no code."""
    if len(line) > MAX_LITERAL_BYTES or not line.startswith(b"{") or _depth(line) > MAX_LITERAL_DEPTH:
        return None
    try:
        value = ast.literal_eval(line.decode("utf-8"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _depth(line: bytes) -> int:
    """More brackets than that can be open at once nowhere in the line."""
    return max(line.count(b"["), line.count(b"("), line.count(b"{")) if len(line) > 2000 else 0


def _is_review(value: Mapping[str, Any], mapping: FieldMapping) -> bool:
    found = mapping.ours(value)
    # A list under the name of a text is the list of the reviews.
    return isinstance(found.get("text"), str) and ("rating" in found or "reviewed_at" in found)


def _search(value: Any, mapping: FieldMapping, *, path: str, depth: int) -> Container | None:
    """The rows nearest to the top of `value`, breadth first enough: its own lists before those of its parts."""
    if depth > MAX_DEPTH:
        return None
    parts = list(_parts(value, path))
    for part, inner in [(path, value), *parts]:
        if (found := _rows_in(inner, mapping, path=part)) is not None:
            return found
    deeper = (_search(inner, mapping, path=part, depth=depth + 1) for part, inner in parts)
    return next((found for found in deeper if found is not None), None)


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((_below(path, key), inner) for key, inner in value.items() if isinstance(inner, dict | list))
    elif isinstance(value, list):
        first = [inner for inner in value[:LOOKED_AT_VALUES] if isinstance(inner, dict | list)]
        yield from ((_below(path, "item"), inner) for inner in first)


def _rows_in(value: Any, mapping: FieldMapping, *, path: str) -> Container | None:
    """How the rows lie in this list or object, where they do."""
    if isinstance(value, list):
        return _rows_in_list(value, mapping, path=path)
    return _rows_in_object(value, mapping, path=path) if isinstance(value, dict) else None


def _rows_in_list(value: list[Any], mapping: FieldMapping, *, path: str) -> Container | None:
    if any(isinstance(one, dict) and _is_review(one, mapping) for one in value[:20]):
        return Container(kind=RowsKind.LIST, path=_below(path, "item"))
    names = value[0] if value and isinstance(value[0], list) else []
    if path == "" and _are_names(names, mapping):
        return Container(kind=RowsKind.TABLE, path="item", names=tuple(names))
    return None


def _rows_in_object(value: dict[str, Any], mapping: FieldMapping, *, path: str) -> Container | None:
    names = value.get("columns") or []
    if isinstance(value.get("data"), list) and _are_names(names, mapping):
        return Container(kind=RowsKind.TABLE, path=_below(path, "data.item"), names=tuple(names))
    inner = list(value.values())[:20]
    if inner and all(isinstance(one, dict) for one in inner) and any(_is_review(one, mapping) for one in inner):
        return Container(kind=RowsKind.KEYED, path=path)
    columns = [name for name, part in value.items() if isinstance(part, dict | list)]
    if path == "" and _are_names(columns, mapping) and _are_columns([value[name] for name in columns]):
        return Container(kind=RowsKind.COLUMNS, path="")
    return None


def _are_names(names: Any, mapping: FieldMapping) -> bool:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    named = {name for name, _ in mapping.places(names)}
    return "text" in named and bool(named & {"rating", "reviewed_at"})


def _are_columns(parts: list[Any]) -> bool:
    """Whether these are columns of plain values, all of the same length."""
    lengths = {len(part) for part in parts}
    firsts = [next(iter(part.values() if isinstance(part, dict) else part), None) for part in parts]
    return len(lengths) == 1 and not any(isinstance(first, dict | list) for first in firsts)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _values(sample: bytes) -> Iterator[Any]:
    """The top-level values of the sample; of one that is cut off, what there is of it."""
    import ijson

    builder, begun = ijson.ObjectBuilder(), False
    depth = 0
    try:
        for event, value in ijson.basic_parse(io.BytesIO(sample), multiple_values=True, use_float=True):
            builder.event(event, value)
            begun = True
            depth += (event in {"start_map", "start_array"}) - (event in {"end_map", "end_array"})
            if depth == 0:
                yield builder.value
                builder, begun = ijson.ObjectBuilder(), False
    except (ijson.JSONError, UnicodeDecodeError):
        if begun and hasattr(builder, "value"):
            yield builder.value


def _objects(content: Content, container: Container, *, address: str) -> Iterator[Any]:
    import ijson

    if container.kind is RowsKind.COLUMNS:
        yield from _rows_of_columns(content, address=address)
        return
    options = {"multiple_values": True, "use_float": True}
    if container.kind is RowsKind.KEYED:
        yield from (value for _, value in ijson.kvitems(content, container.path, **options))
        return
    rows = ijson.items(content, container.path, **options)
    if container.kind is RowsKind.LIST:
        yield from rows
        return
    for row in rows:
        if isinstance(row, list) and tuple(row) != container.names:
            yield dict(zip(container.names, row, strict=False))


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
    values = [part.values() if isinstance(part, dict) else part for part in columns.values()]
    yield from (dict(zip(columns, row, strict=True)) for row in zip(*values, strict=False))


def _one_ahead(values: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """Each value, and whether it is the last one."""
    missing = object()
    before = missing
    for value in values:
        if before is not missing:
            yield before, False
        before = value
    if before is not missing:
        yield before, True
