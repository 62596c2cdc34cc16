"""A DAG file is parsed every minute: it loads Airflow and our light modules, nothing that thinks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.dags.conftest import DAGS

HEAVY = {"torch", "transformers", "datasets", "evidently", "mlflow", "pandas", "sklearn", "onnxruntime", "numpy"}
FILES = sorted(DAGS.glob("*.py"))
REPORT = "import sys; print(' '.join(name.partition('.')[0] for name in sys.modules))"


def loaded(statement: str, environment: dict[str, str]) -> set[str]:
    """Top-level modules in a fresh interpreter that ran `statement`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{REPORT}"], env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture(scope="session")
def airflow_alone(airflow_environment: dict[str, str]) -> set[str]:
    """What Airflow loads without us."""
    return loaded(
        "import airflow.sdk, airflow.triggers.base, airflow.providers.standard.operators.hitl", airflow_environment
    )


def test_parsing_every_dag_loads_nothing_heavy(airflow_environment: dict[str, str], airflow_alone: set[str]) -> None:
    """All DAG files together bring in no training, scoring, drift or experiment library."""
    runs = "\n".join(f"runpy.run_path({str(path)!r})" for path in FILES)
    brought = loaded(f"import runpy\n{runs}", airflow_environment) - airflow_alone
    assert brought & HEAVY == set(), "import it inside the task's body"
    assert "restar_lib" in brought


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_dag_file_is_short(path: Path) -> None:
    """Wiring only: a DAG that grows thinks, and thinking belongs into `restar_lib`."""
    assert len(path.read_text().splitlines()) <= 140
