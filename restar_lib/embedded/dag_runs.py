"""DAG runs as `make run` starts and follows them: through Airflow's API, to their end, with a line to show.

What fails raises `TurnFailed` naming the DAG, the run, the task and where its log is. It decides nothing: `turn` and
`drill` say what is to run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine

from restar_lib.embedded.airflow_api import AirflowApi, DagRun
from restar_lib.embedded.progress import Step
from restar_lib.embedded.services import EmbeddedInstallation
from restar_lib.errors import TurnFailed
from restar_lib.ingest.stored_reviews import latest_runs

T = TypeVar("T")
POLL_SECONDS = 1.0
STARTS_BY_ITSELF_SECONDS = 45.0
"""A run that an asset event should start is waited for this long."""
REPORT = "report_damaged_files"
"""The task of `ingest_reviews` that fails where some files cannot be read."""
ACTIVE = frozenset({"running", "queued", "scheduled", "up_for_retry", "deferred", "awaiting_input", "restarting"})


@dataclass(frozen=True, kw_only=True)
class DagRuns:
    """Starts and follows the runs of one installation."""

    installation: EmbeddedInstallation
    api: AirflowApi
    timeout_minutes: int

    def trigger(self, dag_id: str, conf: dict[str, Any], step: Step) -> DagRun:
        """Start a run by hand and follow it to its end. Raises `TurnFailed`."""
        return self.follow(self.api.trigger(dag_id, conf), step)

    def ingest(self, conf: dict[str, Any], step: Step) -> tuple[DagRun, str]:
        """Start an ingest and follow it; the run, and where to read of files that could not be read (else "").

        Such files keep nothing back: what could be read is stored, and the turn goes on. Raises `TurnFailed` where
        anything else failed.
        """
        run = self._wait_for_end(self.api.trigger("ingest_reviews", conf), step)
        if run.state != "failed":
            return run, ""
        if self._failed_tasks(run) != [REPORT]:
            raise TurnFailed(self._failure(run))
        return run, f"some files could not be read: {self._logs(run) / f'task_id={REPORT}'}"

    def started_by_asset(self, dag_id: str, *, since: datetime, step: Step) -> DagRun | None:
        """The run that an asset event started after `since`; None where it did not come."""
        step.detail = f"waiting for the asset event to start {dag_id}"
        return wait_for(
            lambda: next((run for run in self.api.runs(dag_id) if run.queued_at >= since), None),
            seconds=STARTS_BY_ITSELF_SECONDS,
        )

    def follow(self, run: DagRun, step: Step) -> DagRun:
        """Wait until nothing of a run will change any more. Raises `TurnFailed` where it failed or takes too long."""
        ended = self._wait_for_end(run, step)
        if ended.state == "failed":
            raise TurnFailed(self._failure(ended))
        return ended

    def _wait_for_end(self, run: DagRun, step: Step) -> DagRun:
        deadline = time.monotonic() + 60 * self.timeout_minutes
        while not run.finished:
            active = [task for task in self.api.tasks(run.dag_id, run.run_id) if task.state in ACTIVE]
            step.detail = (
                ", ".join(_task_line(task.task_id, task.state, task.try_number) for task in active) or run.state
            )
            if time.monotonic() > deadline:
                raise TurnFailed(f"{self._where(run)} is still {run.state}: {step.detail}")
            time.sleep(POLL_SECONDS)
            run = self.api.run(run.dag_id, run.run_id)
        return run

    def _failed_tasks(self, run: DagRun) -> list[str]:
        return [task.task_id for task in self.api.tasks(run.dag_id, run.run_id) if task.state == "failed"]

    def _logs(self, run: DagRun) -> Path:
        return self.installation.logs / "airflow" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}"

    def _failure(self, run: DagRun) -> str:
        return f"{self._where(run)} failed in {', '.join(self._failed_tasks(run)) or 'no task'}: read {self._logs(run)}"

    def _where(self, run: DagRun) -> str:
        return f"{run.dag_id}, run {run.run_id} ({self.installation.airflow_url}/dags/{run.dag_id}/runs/{run.run_id})"


def wait_for(look: Callable[[], T | None], *, seconds: float) -> T | None:
    """Poll `look` until it returns something; None where it returned nothing within so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found


def _task_line(task_id: str, state: str, try_number: int) -> str:
    return f"{task_id} {state}" + (f" (try {try_number})" if try_number > 1 else "")


def ingest_line(engine: Engine, run: DagRun) -> str:
    """What a run of ingest_reviews brought."""
    row = next((row for row in latest_runs(engine, limit=50) if row.run_key == run.run_id), None)
    if row is None:
        return "nothing new"
    edited = f"{row.edited:,} edited, " if row.edited else ""
    return (
        f"{row.rows_read:,} read: {row.new:,} new, {edited}{row.already_known:,} known, "
        f"{row.duplicate_text:,} repeated texts, {row.quarantined:,} quarantined"
    )
