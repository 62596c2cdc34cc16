"""`airflow_with_roles`: a real Airflow API server under FAB's login, with our roles, one person in each, and something to look at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from restar_lib.orchestration.roles import ADMIN, LABELER, LEAD, OPERATOR
from restar_lib.settings import PROJECT_ROOT
from restar_lib.store.database import migrate
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from tests.web.conftest import RunningAirflow, environment_for, free_port, serving

PEOPLE = {"lara": LABELER, "leo": LEAD, "olga": OPERATOR, "ann": ADMIN}
PASSWORD = "Only for this test session 1!"
"""Everybody's."""
BIN = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class AirflowWithRoles:
    """The running server and its people."""

    airflow: RunningAirflow
    environment: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(self, person: str, method: str, path: str, json: object = None) -> httpx.Response:
        """One request in the person's name."""
        headers = {"Authorization": f"Bearer {self._token(person)}", "X-Restar-Desk": "1"}
        return httpx.request(method, f"{self.airflow.url}{path}", headers=headers, json=json, timeout=60)

    def _token(self, person: str) -> str:
        if person not in self.tokens:
            body = {"username": person, "password": PASSWORD}
            answer = httpx.post(f"{self.airflow.url}/auth/token", json=body, timeout=60).raise_for_status()
            self.tokens[person] = answer.json()["access_token"]
        return self.tokens[person]

    def init(self) -> str:
        """`restar production-init`, as docker-compose's `migrate` calls it; returns what it printed."""
        password_file = self.airflow.home / "admin_password"
        password_file.write_text(PASSWORD)
        command = [BIN / "restar", "production-init", "--admin", "ann", "--admin-password-file", password_file]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="session")
def airflow_with_roles(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowWithRoles]:
    """Started once a session: migrated, initialised, DAGs known, server answering."""
    home = tmp_path_factory.mktemp("airflow-fab")
    postgres.create_databases("airflow_fab", "restar_fab")
    migrate(postgres.url("restar_fab"))
    port = free_port()
    environment = environment_for(
        home, port=port, airflow_database=postgres.url("airflow_fab", driver="postgresql+psycopg2")
    ) | {
        "RESTAR_DATABASE__URL": postgres.url("restar_fab"),
        "RESTAR_LABELING__LABELERS": "[]",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__FAB__CONFIG_FILE": str(PROJECT_ROOT / "include" / "airflow" / "webserver_config.py"),
        "AIRFLOW__FAB__AUTH_RATE_LIMITED": "False",
    }
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        subprocess.run([BIN / "airflow", *command], env=environment, check=True, capture_output=True)
    airflow = RunningAirflow(url=f"http://127.0.0.1:{port}", database_url=postgres.url("restar_fab"), home=home)
    made = AirflowWithRoles(airflow=airflow, environment=environment)
    made.init()
    with serving(airflow, environment):
        for person, role in PEOPLE.items():
            if role != ADMIN:
                register(made, person, role)
        yield made


def register(airflow_with_roles: AirflowWithRoles, person: str, role: str) -> None:
    """An administrator makes an account."""
    body = {
        "username": person, "first_name": person, "last_name": role, "email": f"{person}@example.com",
        "password": PASSWORD, "roles": [{"name": role}],
    }  # fmt: skip
    airflow_with_roles.ask("ann", "POST", "/auth/fab/v1/users", body).raise_for_status()
