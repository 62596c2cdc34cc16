"""Runs that `make run` starts: which failure ends a turn, and which does not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from restar_lib.embedded.airflow_api import AirflowApi, DagRun, Task
from restar_lib.embedded.dag_runs import DagRuns
from restar_lib.embedded.progress import Step
from restar_lib.embedded.services import EmbeddedInstallation
from restar_lib.errors import TurnFailed
from restar_lib.settings import Settings
from restar_lib.state_folder import load_secrets
from restar_lib.store.embedded_postgres import EmbeddedPostgres


class EndedIngest:
    """Stands in for Airflow: an ingest that has ended with these tasks failed."""

    def __init__(self, *failed: str) -> None:
        self.failed = failed

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> DagRun:
        """A run that has ended already."""
        del conf
        state = "failed" if self.failed else "success"
        return DagRun(dag_id=dag_id, run_id="manual__1", state=state, queued_at=datetime(2026, 1, 1, tzinfo=UTC))

    def tasks(self, dag_id: str, run_id: str) -> list[Task]:
        """Those that failed."""
        del dag_id, run_id
        return [Task(task_id=name, state="failed", try_number=1, started=None) for name in self.failed]


def runs(settings: Settings, *failed: str) -> DagRuns:
    secrets = load_secrets(settings.home)
    installation = EmbeddedInstallation(
        settings=settings,
        secrets=secrets,
        postgres=EmbeddedPostgres(home=settings.home, password=secrets.postgres_password),
    )
    return DagRuns(installation=installation, api=cast("AirflowApi", EndedIngest(*failed)), timeout_minutes=1)


def test_damaged_files_do_not_end_the_turn(smoke: Settings) -> None:
    """What could be read is stored, so the turn goes on to score it, and says where to read of the others."""
    run, damage = runs(smoke, "report_damaged_files").ingest({}, Step(name="new reviews"))
    assert run.state == "failed"
    assert damage.startswith("some files could not be read: ")
    assert Path(damage.removeprefix("some files could not be read: ")).name == "task_id=report_damaged_files"
    assert runs(smoke).ingest({}, Step(name="new reviews"))[1] == ""


def test_an_ingest_that_failed_ends_the_turn(smoke: Settings) -> None:
    """It names the run, the task and the log."""
    with pytest.raises(TurnFailed, match=r"ingest_reviews, run manual__1 .* failed in read_and_store: read "):
        runs(smoke, "read_and_store").ingest({}, Step(name="new reviews"))
