"""One PostgreSQL server for a whole test session, however many xdist workers it has, and databases cloned on it.

The first worker that asks starts the server, in a folder that pytest's own process has made; that process stops it
when the session ends. Templates (our migrated schema, a migrated Airflow) are made once, under a lock of that folder;
a clone of one takes about 50 ms. Nothing here needs the network, root or `../shared`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from psycopg import sql

from restar_lib.store.database import migrate
from restar_lib.store.embedded_postgres import EmbeddedPostgres

VARIABLE = "RESTAR_TESTS_FOLDER"
"""How workers learn of the folder: they inherit the environment of pytest's own process."""
OURS, AIRFLOW = "restar_template", "airflow_template"


def make_folder() -> Path:
    """A folder for this session; called once, by pytest's own process."""
    folder = Path(tempfile.mkdtemp(prefix="restar-tests-"))
    folder.chmod(0o755)
    os.environ[VARIABLE] = str(folder)
    return folder


def stop(folder: Path) -> None:
    """Stop the server, where one was started, and delete the folder."""
    pid_file = folder / "postgres.pid"
    if pid_file.exists() and psutil.pid_exists(int(pid_file.read_text())):
        process = psutil.Process(int(pid_file.read_text()))
        process.send_signal(signal.SIGINT)
        process.wait(30)
    _server(folder).remove()
    shutil.rmtree(folder, ignore_errors=True)


def running() -> EmbeddedPostgres:
    """The session's server with our template on it, started where it does not run yet."""
    folder = Path(os.environ[VARIABLE])
    server = _server(folder)
    with _locked(folder):
        if not (folder / "postgres.ready").exists():
            _start(server, folder)
    return server


def clone(server: EmbeddedPostgres, name: str, *, template: str) -> None:
    """A new database `name` with the content of `template`."""
    statement = sql.SQL("create database {} template {}")
    with server.connect("postgres") as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))


def drop(server: EmbeddedPostgres, name: str) -> None:
    """Delete a database, whoever is connected to it."""
    with server.connect("postgres") as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def airflow_database(server: EmbeddedPostgres, name: str) -> str:
    """URL of a new metadata database of a migrated Airflow with its simple login; the migration runs once a session."""
    folder = Path(os.environ[VARIABLE])
    with _locked(folder):
        if not (folder / "airflow.migrated").exists():
            _migrate_airflow(server, folder)
    clone(server, name, template=AIRFLOW)
    return server.url(name, driver="postgresql+psycopg2")


def _server(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(home=folder, password="only for this test session")


def _start(server: EmbeddedPostgres, folder: Path) -> None:
    server.prepare()
    with (folder / "postgres.log").open("w") as log:
        # fsync off: a test database need not survive a power cut, and cloning is five times as fast.
        # A session of its own: it outlives the worker that started it.
        process = subprocess.Popen(
            [*server.command(), "-c", "fsync=off"],
            user=server.user, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (folder / "postgres.pid").write_text(str(process.pid))  # at once: whatever fails now, it is stopped in the end
    server.wait_ready()
    server.create_databases(OURS)
    migrate(server.url(OURS))
    (folder / "postgres.ready").touch()


def _migrate_airflow(server: EmbeddedPostgres, folder: Path) -> None:
    server.create_databases(AIRFLOW)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("RESTAR_", "AIRFLOW"))}
    environment = ours | {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url(AIRFLOW, driver="postgresql+psycopg2"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    airflow = Path(sys.executable).parent / "airflow"
    subprocess.run([airflow, "db", "migrate"], env=environment, check=True, capture_output=True)
    (folder / "airflow.migrated").touch()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
