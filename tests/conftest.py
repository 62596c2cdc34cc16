"""Fixtures for every kind of test: a real PostgreSQL server, and a fresh migrated database for each test.

The server is the embedded one, started once a session in a temporary folder. A test's database is cloned from a
migrated template (about 50 ms). Nothing here needs the network, root or `../shared`.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import Engine

from restar_lib.settings import Settings, load
from restar_lib.store.database import engine_for, migrate
from restar_lib.store.embedded_postgres import EmbeddedPostgres

TEMPLATE = "restar_template"
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running server, stopped and deleted after the session."""
    with tempfile.TemporaryDirectory(prefix="restar-tests-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(home=Path(folder), password="only for this test session")
        server.prepare()
        with (Path(folder) / "postgres.log").open("w") as log:
            # fsync off: a test database need not survive a power cut, and cloning is five times as fast.
            process = subprocess.Popen(
                [*server.command(), "-c", "fsync=off"], user=server.user, cwd="/", stdout=log, stderr=log
            )
        try:
            server.wait_ready()
            server.create_databases(TEMPLATE)
            migrate(server.url(TEMPLATE))
            yield server
        finally:
            process.terminate()
            process.wait(20)
            server.remove()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh, migrated database of this test's own."""
    name = f"restar_{next(_numbers)}"
    with postgres.connect("postgres") as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        )
        yield postgres.url(name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on this test's database."""
    made = engine_for(database_url)
    yield made
    made.dispose()


@pytest.fixture
def smoke(tmp_path: Path) -> Settings:
    """The `smoke` profile with its state in this test's folder (no database URL: pass `engine` instead)."""
    return load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(tmp_path / "var")}).settings
