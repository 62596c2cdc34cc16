"""The first start of production's database server: three databases, each for its own role alone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from restar_lib.settings import PROJECT_ROOT
from restar_lib.store.database import migrate
from restar_lib.store.embedded_postgres import USER, EmbeddedPostgres

SCRIPT = PROJECT_ROOT / "include" / "postgres" / "10-databases.sh"
DATABASES = ("restar", "airflow", "mlflow")


@pytest.fixture
def secrets(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Path]:
    """The secrets as the script writes them, but roles and databases are called `first_...`, and go after the test."""
    folder = tmp_path / "secrets"
    subprocess.run([PROJECT_ROOT / "scripts" / "secrets", folder], check=True, capture_output=True)
    for name in DATABASES:
        path = folder / f"{name}_database_url"
        renamed = re.sub(rf"//{name}:(.*)/{name}$", rf"//first_{name}:\1/first_{name}", path.read_text())
        path.unlink()
        path.write_text(renamed)
    yield folder
    with postgres.connect("postgres") as connection:
        for name in DATABASES:
            own = sql.Identifier(f"first_{name}")
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(own))
            connection.execute(sql.SQL("drop role if exists {}").format(own))


def first_start(server: EmbeddedPostgres, secrets: Path) -> subprocess.CompletedProcess[str]:
    """Run the script as PostgreSQL's image does."""
    environment = {
        "PATH": f"{server.binaries}:{os.environ['PATH']}",
        "PGHOST": str(server.socket_folder),
        "SECRETS": str(secrets),
        "POSTGRES_USER": USER,
        "POSTGRES_PASSWORD": server.password,
    }
    return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)


def password_of(secrets: Path, name: str) -> str:
    """The password in the URL of a role."""
    return (secrets / f"{name}_database_url").read_text().split(":")[2].split("@")[0]


def enter(server: EmbeddedPostgres, secrets: Path, *, role: str, database: str) -> None:
    """Connect to `database` as `role`, and leave."""
    psycopg.connect(
        host=str(server.socket_folder),
        user=f"first_{role}",
        password=password_of(secrets, role),
        dbname=f"first_{database}",
    ).close()


def test_each_role_enters_its_own_database_and_no_other(postgres: EmbeddedPostgres, secrets: Path) -> None:
    """With the password of its URL; and our schema can be made there by the role that will use it."""
    done = first_start(postgres, secrets)
    assert (done.returncode, done.stderr) == (0, "")
    for role in DATABASES:
        enter(postgres, secrets, role=role, database=role)
        for other in set(DATABASES) - {role}:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                enter(postgres, secrets, role=role, database=other)
    own = f"first_restar:{password_of(secrets, 'restar')}@/first_restar?host={postgres.socket_folder}"
    migrate(f"postgresql+psycopg://{own}")


@pytest.mark.parametrize("password", ["p%40ss", "", "quo'te"])
def test_a_password_that_a_url_would_have_to_escape_is_refused_by_name(
    postgres: EmbeddedPostgres, secrets: Path, password: str
) -> None:
    """Else the role would get another password than its users send; nothing is made."""
    (secrets / "restar_database_url").write_text(f"postgresql+psycopg://first_restar:{password}@postgres/first_restar")
    done = first_start(postgres, secrets)
    assert (done.returncode, "secret restar_database_url" in done.stderr) == (1, True)
    with postgres.connect("postgres") as connection:
        assert connection.execute("select 1 from pg_database where datname like 'first_%'").fetchall() == []
