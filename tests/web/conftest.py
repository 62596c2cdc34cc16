"""`airflow`: a real Airflow API server with our plugin, and `desk_engine`: the database that its desk works on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, delete

from restar_lib.settings import PROJECT_ROOT
from restar_lib.store.database import engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from restar_lib.store.tables import IngestRun, Label, LabelSkip, LabelTask, ReviewRow
from tests import shared_server

PASSWORDS = {"ada": "a password of ada", "ben": "a password of ben"}
"""Ada may label, Ben may only sign in."""
PATIENCE = 180
AIRFLOW = Path(sys.executable).parent / "airflow"


@dataclass(frozen=True, kw_only=True)
class RunningAirflow:
    """An API server that answers."""

    url: str
    database_url: str
    home: Path

    def token(self, user: str) -> str:
        """A bearer token, as a script gets it."""
        answer = httpx.post(f"{self.url}/auth/token", json={"username": user, "password": PASSWORDS[user]}, timeout=30)
        token: str = answer.raise_for_status().json()["access_token"]
        return token


@pytest.fixture(scope="session")
def airflow(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAirflow]:
    """Started once a session; its own metadata database, its own Re*Star database."""
    home = tmp_path_factory.mktemp("airflow-web")
    shared_server.clone(postgres, "restar_web", template=shared_server.OURS)
    database_url = postgres.url("restar_web")
    port = free_port()
    metadata = shared_server.airflow_database(postgres, "airflow_web")
    environment = environment_for(home, port=port, airflow_database=metadata)
    environment |= {"RESTAR_DATABASE__URL": database_url}
    running = RunningAirflow(url=f"http://127.0.0.1:{port}", database_url=database_url, home=home)
    with serving(running, environment):
        yield running


@contextmanager
def serving(airflow: RunningAirflow, environment: dict[str, str]) -> Iterator[None]:
    """An API server of this description, ended with all its workers."""
    with (airflow.home / "server.log").open("w") as log:
        # A session of its own: the server starts workers, and all of them must end with it.
        server = subprocess.Popen(
            [AIRFLOW, "api-server"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_it_answers(airflow, server=server)
            yield
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture
def desk_engine(airflow: RunningAirflow) -> Iterator[Engine]:
    """An engine on the desk's database, emptied after the test."""
    engine = engine_for(airflow.database_url)
    yield engine
    with engine.begin() as connection:
        for table in (Label, LabelSkip, LabelTask, ReviewRow, IngestRun):
            connection.execute(delete(table))
    engine.dispose()


def environment_for(home: Path, *, port: int, airflow_database: str) -> dict[str, str]:
    """What the API server needs to know; nothing of the Airflow or Re*Star that may run on this machine already."""
    (home / "passwords.json").write_text(json.dumps(PASSWORDS))
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("RESTAR_", "AIRFLOW"))}
    airflow = {
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "ada:viewer,ben:viewer",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "DATABASE__SQL_ALCHEMY_CONN": airflow_database,
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__WORKERS": "1",
        "API__SECRET_KEY": "only for this test session",
        "API_AUTH__JWT_SECRET": "only for this test session, and long enough for HMAC with SHA-512, which wants 64",
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }
    return (
        ours
        | {f"AIRFLOW__{key}": value for key, value in airflow.items()}
        | {
            "AIRFLOW_HOME": str(home),
            "RESTAR_PROFILE": "smoke",
            "RESTAR_HOME": str(home / "var"),
            "RESTAR_LABELING__LABELERS": '["ada"]',
        }
    )


def wait_until_it_answers(airflow: RunningAirflow, *, server: subprocess.Popen[bytes]) -> None:
    """Return once the API answers; fail with the server's log where it does not."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{airflow.url}/api/v2/version", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    log = (airflow.home / "server.log").read_text()
    pytest.fail(f"the API server did not answer within {PATIENCE} s (exit code {server.poll()}):\n{log[-6000:]}")


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
