"""A picture of everything that an installation holds, without what may differ: clocks, and numbers that a sequence gave.

Two installations that went through the same work have equal pictures, whatever happened on the way. A number that
points at another row is replaced by what that row is about. What a killed process left under a hidden name is no part
of it: nobody reads it, and housekeeping removes it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, select

from restar_lib.store.tables import Base
from tests.faults.world import World

Picture = dict[str, Any]

CLOCKS = {"started_at", "finished_at"}
ABOUT = {"label_task": "review_id", "verdict": "challenger", "release": "model_version"}
"""What a row with a number for its key is about; for others the number is left out."""
MEASURED = {"latency", "clean_process"}
"""Lines of a verdict that hold seconds and memory."""
VERDICT_PAGE = re.compile(r"verdict(-\d+)?\.html$")
"""Pages with the verdict's number and those lines; what they say stands in the tables."""
SUMMED = {"ingest_run", "label_task_total"}
"""Each try or statement has a row of its own; together they hold the counts of one."""


def picture(world: World) -> Picture:
    """Tables and files."""
    with world.engine() as engine, engine.connect() as connection:
        tables = {table.name: _rows(connection, table) for table in Base.metadata.sorted_tables}
    return {"tables": tables, "files": dict(_files(world.home))}


def difference(expected: Picture, found: Picture) -> list[str]:
    """What is not the same, for the message of a test."""
    lines = []
    for part in ("tables", "files"):
        for name in sorted(expected[part].keys() | found[part].keys()):
            one, other = expected[part].get(name), found[part].get(name)
            if one != other:
                lines.append(f"{part[:-1]} {name}: {_told(one, other)}")
    return lines


def _told(expected: object, found: object) -> str:
    if not (isinstance(expected, list) and isinstance(found, list)):
        return f"expected {expected}, found {found}"
    rows = Counter(map(str, expected)), Counter(map(str, found))
    missing, added = list((rows[0] - rows[1]).elements()), list((rows[1] - rows[0]).elements())
    return f"{len(missing)} rows missing, {len(added)} too many, for example {missing[:2]} and {added[:2]}"


def _rows(connection: Connection, table: Table) -> list[Any]:
    names = {table.name: {row[0]: row[1] for row in connection.execute(_subjects(table))} for table in _referred(table)}
    kept = [column for column in table.columns if not _is_clock(column) and column.identity is None]
    rows = [
        {column.name: _value(column, row[position], names) for position, column in enumerate(kept)}
        for row in connection.execute(select(*kept))
    ]
    if table.name in SUMMED:
        return [_sum(rows)]
    return sorted(rows, key=str)


def _is_clock(column: Column[Any]) -> bool:
    given = column.server_default is not None and "now()" in str(getattr(column.server_default, "arg", ""))
    return given or column.name in CLOCKS


def _referred(table: Table) -> Iterator[Table]:
    for key in table.foreign_keys:
        if key.column.identity is not None:
            yield key.column.table


def _subjects(table: Table) -> Any:
    number = next(column for column in table.columns if column.identity is not None)
    return select(number, table.columns[ABOUT[table.name]] if table.name in ABOUT else None)


def _value(column: Column[Any], value: Any, names: dict[str, dict[int, Any]]) -> Any:
    for key in column.foreign_keys:
        if key.column.table.name in names:
            return names[key.column.table.name].get(value)
    return _without_measures(value) if column.table.name == "verdict" and column.name == "lines" else value


def _without_measures(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**line, "detail": "", "numbers": {}} if line["name"] in MEASURED else line for line in lines]


def _sum(rows: list[dict[str, Any]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update({name: value for name, value in row.items() if isinstance(value, int)})
    return dict(total)


def _files(home: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield VERDICT_PAGE.sub("verdict.html", str(name)), _content(path)


def _content(path: Path) -> str:
    if path.name == "champion.json":
        pointer = json.loads(path.read_text())
        return json.dumps({**pointer, "release_id": None})
    if VERDICT_PAGE.search(path.name):
        return "a page"
    if path.name.endswith(".verdict.json"):
        return json.dumps(_without_measures(json.loads(path.read_text())["lines"]))
    return hashlib.sha256(path.read_bytes()).hexdigest()
