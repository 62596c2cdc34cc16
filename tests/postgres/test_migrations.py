"""An installation of the first schema, with data in every table, comes up to the newest one and loses nothing."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, table, text

from restar_lib.store.database import alembic_config, engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from restar_lib.store.tables import AlertDelivery, AlertRow, Base

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
