"""What goes wrong with two workers, on a running composition that has turned once: each time one effect.

A task is cleared while it runs, so that both workers have it for a moment; a worker is killed with everything that it
started while it trains. Afterwards the tables must hold what an undisturbed run leaves: each review scored once by each
champion, one release for one approval.
"""

from __future__ import annotations

import os
import signal

from namespaces import processes_of
from turn import PORTION, Answer, Turn

TWICE = "select count(*) from (select 1 from prediction group by review_id, model_version having count(*) > 1) as twice"
STORED = "select coalesce(sum(new + duplicate_text), 0) from ingest_run"


class Faults(Turn):
    """The steps of `faults`."""

    def run(self) -> int:
        """0 where each fault had one effect."""
        before = {run["dag_run_id"] for run in self._runs("score_reviews")}
        scored = self._count("select count(*) from prediction")
        self._step("new reviews", lambda: self._dag("ingest_reviews", {"max_rows": PORTION}))
        self._step("cleared while it runs", lambda: self._cleared_while_running("score_reviews", before))
        twice = self._count(TWICE)
        self._step(
            "effects",
            lambda: {"scored now": self._count("select count(*) from prediction") - scored, "scored twice": twice},
        )
        releases = self._count("select count(*) from release")
        killed = self._step("a worker killed while it trains", self._killed_while_training)
        made = self._count("select count(*) from release") - releases
        reviews, stored = self._count("select count(*) from review"), self._count(STORED)
        print(f"{made} release after {killed['killed']} processes were killed; {reviews} reviews, {stored} stored")
        return 0 if (twice, made, reviews) == (0, 1, stored) else 1

    def _count(self, statement: str) -> int:
        return int(self.house.query(statement))

    def _cleared_while_running(self, dag_id: str, before: set[str]) -> Answer:
        run = self._until(lambda: next((run for run in self._runs(dag_id) if run["dag_run_id"] not in before), None))
        task = self._running(dag_id, run["dag_run_id"])
        body = {
            "dry_run": False, "dag_run_id": run["dag_run_id"], "task_ids": [task["task_id"]], "only_failed": False,
            "reset_dag_runs": True,
        }  # fmt: skip
        self.people["olga"].ask("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)
        return {"was on": task["hostname"]} | self._follow(dag_id, run["dag_run_id"])

    def _killed_while_training(self) -> Answer:
        run = self._trigger("retrain_sentiment", {"force": True})
        task = self._running("retrain_sentiment", run, task_id="train_challenger")
        victims = processes_of(task["hostname"])
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        return {"killed": len(victims), "was on": task["hostname"]} | self._approved(run)

    def _running(self, dag_id: str, run_id: str, task_id: str | None = None) -> Answer:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"

        def look() -> Answer | None:
            tasks = self.people["olga"].ask("GET", path)["task_instances"]
            return next(
                (task for task in tasks if task["state"] == "running" and task_id in {None, task["task_id"]}), None
            )

        return self._until(look)
