"""An installation of the first schema, with data in every table, comes up to the newest one and loses nothing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, table, text

from restar_lib.ingest.load import ingest
from restar_lib.ingest.source_progress import windows_until
from restar_lib.ingest.sources.configured import open_source
from restar_lib.settings import Settings
from restar_lib.store.database import alembic_config, engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from restar_lib.store.tables import AlertDelivery, AlertRow, Base
from tests.review_files import review, write_rows

FIRST = "0001"
ROWS = Path(__file__).with_name("first_schema.sql")


@pytest.fixture
def first_schema(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """A database of the first schema with data in every table."""
    with postgres.connect("postgres") as connection:
        connection.execute("create database of_the_first_schema")
        engine = engine_for(postgres.url("of_the_first_schema"))
        to(engine, FIRST)
        with postgres.connect("of_the_first_schema") as filling:
            filling.execute(ROWS.read_bytes())
        yield engine
        engine.dispose()
        connection.execute("drop database of_the_first_schema with (force)")


def to(engine: Engine, revision: str) -> None:
    """Migrate up or down to a revision."""
    config = alembic_config(engine.url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision() or ""
    (command.upgrade if revision > found else command.downgrade)(config, revision)


def content(engine: Engine) -> dict[str, list[dict[str, str]]]:
    """Every row of every table but Alembic's own, column by column."""
    tables = [name for name in inspect(engine).get_table_names() if name != "alembic_version"]
    with engine.connect() as connection:
        return {
            name: sorted(
                (
                    {column: str(value) for column, value in row.items()}
                    for row in connection.execute(select(text("*")).select_from(table(name))).mappings()
                ),
                key=str,
            )
            for name in tables
        }


def revisions() -> list[str]:
    """All, the first one first."""
    return [script.revision for script in ScriptDirectory.from_config(alembic_config("")).walk_revisions()][::-1]


def kept(before: dict[str, list[dict[str, str]]], after: dict[str, list[dict[str, str]]]) -> list[str]:
    """What is not as it was: a table or row that went, or a value that changed in a column that is still there."""
    lost = []
    for name, rows in ((name, rows) for name, rows in before.items() if rows):
        if len(after.get(name, [])) < len(rows):
            lost.append(f"{name}: {len(rows)} rows before, {len(after.get(name, []))} after")
            continue
        common = set(rows[0]) & set(after[name][0])
        shown = [sorted((column, row[column]) for column in common) for row in (*rows, *after[name])]
        lost += [f"{name}: {row}" for row in shown[: len(rows)] if row not in shown[len(rows) :]]
    return lost


def test_every_table_of_the_first_schema_has_data_in_this_test(first_schema: Engine) -> None:
    """Else the tests below prove nothing about it."""
    assert [name for name, rows in content(first_schema).items() if not rows] == []


def test_no_step_up_loses_a_row(first_schema: Engine) -> None:
    """Neither a row nor a value of a column that the next schema still has; the end is what the tables say."""
    for before, after in pairwise(revisions()):
        was = content(first_schema)
        to(first_schema, after)
        assert kept(was, content(first_schema)) == [], f"{before} to {after}"
    with first_schema.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_each_step_can_be_taken_back_and_again(first_schema: Engine) -> None:
    """Down to the first schema with its data, which the newest version then takes up again."""
    was = content(first_schema)
    to(first_schema, revisions()[-1])
    for revision in revisions()[-2::-1]:
        to(first_schema, revision)
    assert content(first_schema) == was
    to(first_schema, revisions()[-1])
    assert kept(was, content(first_schema)) == []


def test_what_the_first_version_wrote_is_read_by_this_one(first_schema: Engine) -> None:
    """An alert that was mailed is not mailed again after the upgrade; one that waits still waits."""
    to(first_schema, revisions()[-1])
    waiting = select(AlertRow.alert_key).join(AlertDelivery).where(AlertDelivery.delivered_at.is_(None))
    with first_schema.connect() as connection:
        assert connection.scalars(waiting).all() == ["drift:next"]


def test_an_upgrade_that_fails_half_way_leaves_the_old_schema(first_schema: Engine) -> None:
    """All steps are one transaction: somebody holds a table here, and gives up waiting for it."""
    was = content(first_schema)
    with first_schema.begin() as other:
        other.execute(text("lock table snapshot in access exclusive mode"))
        with first_schema.connect() as impatient:
            database = impatient.execute(text("select current_database()")).scalar_one()
            impatient.execute(text(f'alter database "{database}" set lock_timeout = 300'))
            impatient.commit()
        with pytest.raises(Exception, match="lock timeout"):
            to(first_schema, revisions()[-1])
    assert content(first_schema) == was
    with first_schema.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == FIRST


def test_files_that_were_half_read_are_read_on_after_the_upgrade(
    first_schema: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """The states of all files stood in one cursor; each has a row now, and only the rest is read."""
    for name, first in (("a.jsonl", 0), ("b.jsonl", 5)):
        write_rows(tmp_path / "in" / name, [review(first + number) for number in range(5)])
    chosen = smoke.source.model_copy(update={"kind": "files", "name": "shop", "path": str(tmp_path / "in")})
    source = open_source(smoke.model_copy(update={"source": chosen}))
    rows = [row.cursor_after or {} for row in source.rows(None)]
    old = {"kind": "files", "files": {"a.jsonl": rows[4]["state"]}, "file": "b.jsonl", "state": rows[6]["state"]}
    to(first_schema, "0004")
    with first_schema.begin() as connection:
        connection.execute(
            text("insert into source_cursor (source, cursor, rows_read) values ('shop', :cursor, 7)"),
            {"cursor": json.dumps(old)},
        )
    to(first_schema, revisions()[-1])
    counts = ingest(first_schema, source, smoke, run_key="test", now=datetime(2026, 9, 1, tzinfo=UTC))
    assert (counts.rows_read, counts.new) == (3, 3)


def test_the_window_of_the_last_scheduled_run_is_remembered_by_the_upgrade(first_schema: Engine) -> None:
    """A source that is read by windows goes on where the last scheduled one ended, not where one by hand did."""
    to(first_schema, "0004")
    with first_schema.begin() as connection:
        for run_key, until in (
            ("scheduled__1", "2026-03-02"),
            ("scheduled__2", "2026-03-03"),
            ("manual__1", "2026-05-01"),
        ):
            connection.execute(
                text(
                    "insert into ingest_run (source, run_key, window_start, window_end, finished_at)"
                    " values ('windows', :run_key, '2026-03-01', :until, now())"
                ),
                {"run_key": run_key, "until": until},
            )
    to(first_schema, revisions()[-1])
    assert windows_until(first_schema, "windows") == datetime(2026, 3, 3, tzinfo=UTC)
