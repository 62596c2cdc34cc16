"""`house`: a real Airflow with a metadata database of its own, in its own process, for the whole session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from restar_lib.settings import PROJECT_ROOT
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from tests import shared_server

DAGS = PROJECT_ROOT / "dags"


@dataclass(frozen=True)
class AirflowHouse:
    """Asks the Airflow process and waits for its answer."""

    process: subprocess.Popen[str]
    log: Path

    def ask(self, do: str, *, environment: dict[str, str] | None = None, **request: Any) -> Any:
        """One request, one answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, "environment": environment or {}, **request}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"failed": "the process ended"}')
        if "failed" in answer:
            pytest.fail(f"{do} in Airflow's process: {answer['failed']}\n{self.log.read_text()[-4000:]}")
        return answer["answer"]


@pytest.fixture(scope="session")
def airflow_environment(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a migrated Airflow that knows the project's DAGs and nothing else."""
    home = tmp_path_factory.mktemp("airflow")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RESTAR_", "AIRFLOW"))},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": shared_server.airflow_database(postgres, "airflow_dags"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "only for this test session, and long enough",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "RESTAR_PROFILE": "smoke",
        "RESTAR_HOME": str(home / "var"),
    }


@pytest.fixture(scope="session")
def house(airflow_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHouse]:
    """A running Airflow process."""
    log = tmp_path_factory.mktemp("airflow-log") / "airflow.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("airflow_process.py"))],
            env=airflow_environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        yield AirflowHouse(process=process, log=log)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """This test's own database and state folder, as Airflow's process is told of them."""
    return {
        "RESTAR_DATABASE__URL": database_url,
        "RESTAR_HOME": str(tmp_path / "var"),
        "RESTAR_ORCHESTRATION__RETRIES": "0",
    }
