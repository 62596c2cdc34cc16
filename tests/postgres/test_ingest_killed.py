"""Ingest in several processes, and killed at any step: the end state is that of one undisturbed run."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, func, select

from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.load import ingest
from restar_lib.ingest.raw_rows import FIELDS, FieldMapping
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from restar_lib.store.tables import IngestRun, Quarantine, ReviewRow, SourceCursor

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")


def source_of(tmp_path: Path, rows: int) -> FilesSource:
    """Originals, copies, an id that comes twice, and rows to refuse, in turns."""
    file = tmp_path / "a.jsonl"
    lines = []
    for number in range(rows):
        text = f"Review number {number - number % 4} says that this thing is a good one to have."
        fields = {
            "review_id": f"R{number - number % 7 % 2}",
            "text": text,
            "rating": 5,
            "reviewed_at": 1378944000 + number,
        }
        lines.append(json.dumps(fields).encode() if number % 5 else b"{oops %d" % number)
    file.write_bytes(b"\n".join(lines) + b"\n")
    return FilesSource(
        name="shop", path=str(file), options=FileOptions(mapping=FieldMapping({name: (name,) for name in FIELDS}))
    )


def chunks_of(settings: Settings, rows: int) -> Settings:
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"chunk_rows": rows})})


def read(engine: Engine, source: FilesSource, settings: Settings) -> None:
    ingest(engine, source, settings, run_key="test", now=NOW)


def state(engine: Engine) -> dict[str, Any]:
    """All that must be the same, however it came about: no run ids, no clock."""
    reviews = select(ReviewRow.review_id, ReviewRow.text, ReviewRow.duplicate_of, ReviewRow.side, ReviewRow.reviewed_at)
    refused = select(Quarantine.row_hash, Quarantine.raw, Quarantine.reason)
    names = ("rows_read", "new", "already_known", "duplicate_text", "quarantined")
    with engine.connect() as connection:
        return {
            "reviews": connection.execute(reviews.order_by(ReviewRow.review_id)).all(),
            "quarantine": connection.execute(refused.order_by(Quarantine.row_hash)).all(),
            "cursor": connection.execute(select(SourceCursor.cursor, SourceCursor.rows_read)).all(),
            "counts": connection.execute(select(*(func.sum(getattr(IngestRun, name)) for name in names))).one(),
        }


def undisturbed(postgres: EmbeddedPostgres, source: FilesSource, settings: Settings) -> dict[str, Any]:
    """The state after one run in a database of its own."""
    with postgres.connect("postgres") as connection:
        connection.execute("create database restar_undisturbed template restar_template")
    engine = engine_for(postgres.url("restar_undisturbed"))
    read(engine, source, settings)
    found = state(engine)
    engine.dispose()
    with postgres.connect("postgres") as connection:
        connection.execute("drop database restar_undisturbed")
    assert all(count > 0 for count in found["counts"])
    return found


def child(url: str, source: FilesSource, settings: Settings, prepare: Callable[[Engine], None]) -> None:
    engine = engine_for(url)
    prepare(engine)
    read(engine, source, settings)
    engine.dispose()


def kill_at(step: int) -> Callable[[Engine], None]:
    """Kill this process right before its `step`-th statement or commit."""

    def prepare(engine: Engine) -> None:
        steps = iter(range(1, step + 1))

        def count(*_: Any) -> None:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(engine, "before_cursor_execute", count)
        event.listen(engine, "commit", count)

    return prepare


def start(url: str, source: FilesSource, settings: Settings, prepare: Callable[[Engine], None] = id) -> Any:
    process = FORK.Process(target=child, args=(url, source, settings, prepare))
    process.start()
    return process


def test_a_run_killed_before_any_statement_loses_and_doubles_nothing(
    postgres: EmbeddedPostgres, engine: Engine, database_url: str, smoke: Settings, tmp_path: Path
) -> None:
    """Run after run is killed one step later, each going on where the last was stopped; then one comes through."""
    source, settings = source_of(tmp_path, 150), chunks_of(smoke, 10)
    expected = undisturbed(postgres, source, settings)
    for step in range(1, 18):  # a run's beginning has four steps, a chunk twelve
        process = start(database_url, source, settings, kill_at(step))
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert 0 < state(engine)["counts"][0] < 150
    read(engine, source, settings)
    assert state(engine) == expected


def test_two_runs_at_once_read_every_row_once(
    postgres: EmbeddedPostgres, engine: Engine, database_url: str, smoke: Settings, tmp_path: Path
) -> None:
    """Three processes on one source: together they do what one does."""
    source, settings = source_of(tmp_path, 600), chunks_of(smoke, 20)
    expected = undisturbed(postgres, source, settings)
    processes = [start(database_url, source, settings) for _ in range(3)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert state(engine) == expected
