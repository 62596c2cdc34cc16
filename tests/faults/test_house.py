"""Faults in a whole house: four Airflow processes, PostgreSQL, the API, all supervised, and turns that must complete.

Minutes each, so `make soak` alone runs them. One installation for all, on which a first turn has been completed. What
is the same under Celery with two workers is told by `scripts/production`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from rich.console import Console
from sqlalchemy import Engine, func, select

from restar_lib.embedded.airflow_api import AWAY_SECONDS, AirflowApi, DagRun
from restar_lib.embedded.dag_runs import DagRuns
from restar_lib.embedded.feeds import SimulatedFeed
from restar_lib.embedded.progress import ProgressView, Step
from restar_lib.embedded.services import ADMIN, BIN, EmbeddedInstallation
from restar_lib.embedded.turn import Turn
from restar_lib.settings import load
from restar_lib.store.database import engine_for, wait_for_server
from restar_lib.store.embedded_postgres import DATABASE
from restar_lib.store.tables import IngestRun, PredictionRow, ReleaseRow, ReviewRow, VerdictRow
from tests.e2e.conftest import Installation, wait_for
from tests.faults.ledger import Ledger
from tests.faults.outage import Caller, away, restarts
from tests.faults.test_memory import LIMIT, memory_group

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1500)]

READY = "running until Ctrl-C"
TRAINING = "dag_id=retrain_sentiment/*/task_id=train_challenger/attempt=*.log"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A house that runs, and how it is asked."""

    installation: Installation
    house: EmbeddedInstallation
    api: AirflowApi
    engine: Engine

    def turn(self) -> None:
        """Turn the loop once, as `make run` does."""
        settings = self.house.settings_now
        view = ProgressView(console=Console(quiet=True))
        feed = SimulatedFeed(settings=settings)
        Turn(installation=self.house, settings=settings, engine=self.engine, api=self.api, feed=feed, view=view).run()

    def training(self) -> DagRun:
        """A retraining by hand, at the moment when `train_challenger` works."""
        known = len(self.logs_of_training())
        run = self.api.trigger("retrain_sentiment", {"force": True})
        wait_for(lambda: len(self.logs_of_training()) > known, seconds=300, what="train_challenger began")
        return run

    def follow(self, run: DagRun) -> None:
        """Wait for the end of a run; it must be a good one."""
        DagRuns(installation=self.house, api=self.api, timeout_minutes=15).follow(run, Step(name=run.dag_id))

    def logs_of_training(self) -> list[Path]:
        """One for each try, the newest last."""
        return sorted((self.house.logs / "airflow").glob(TRAINING), key=lambda path: path.stat().st_mtime)

    def counted(self) -> dict[str, int]:
        """What a fault must not double or lose."""
        reviews, seen = func.count(ReviewRow.review_id), func.sum(IngestRun.new + IngestRun.duplicate_text)
        pairs = select(PredictionRow.review_id).group_by(PredictionRow.review_id).having(func.count() > 1)
        with self.engine.connect() as connection:
            return {
                "reviews": connection.execute(select(reviews)).scalar_one(),
                "reviews the runs counted": int(connection.execute(select(seen)).scalar_one()),
                "reviews read twice": connection.execute(
                    select(func.count()).select_from(pairs.subquery())
                ).scalar_one(),
                "verdicts": connection.execute(select(func.count()).select_from(VerdictRow)).scalar_one(),
                "releases": connection.execute(select(func.count()).select_from(ReleaseRow)).scalar_one(),
            }


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A first turn is complete, and the house runs on."""
    installation = Installation(home=tmp_path_factory.mktemp("house") / "var")
    runner = installation.start("run")
    try:
        wait_for(lambda: READY in installation.output() or runner.poll() is not None, seconds=900, what="a first turn")
        assert runner.poll() is None, installation.output()
        house = EmbeddedInstallation.of(load(environment=installation.environment).settings)
        api = AirflowApi(base_url=house.airflow_url, user=ADMIN, password=house.secrets.airflow_password)
        engine = wait_for_server(engine_for(house.postgres.url(DATABASE)), seconds=AWAY_SECONDS)
        yield Standing(installation=installation, house=house, api=api, engine=engine)
        engine.dispose()
        api.close()
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(150)
        for process in installation.processes():
            process.kill()


def unharmed(before: dict[str, int], after: dict[str, int], *, verdicts: int) -> None:
    """Nothing is lost, nothing is there twice, and one challenger was judged and released at most once."""
    assert after["reviews"] == after["reviews the runs counted"]
    assert after["reviews read twice"] == 0
    assert after["verdicts"] - before["verdicts"] <= verdicts
    assert after["releases"] - before["releases"] <= verdicts


@pytest.mark.parametrize("seconds", [10, 120])
def test_a_turn_completes_though_postgres_is_away(standing: Standing, ledger: Ledger, seconds: int) -> None:
    """In mid-training: the processes come back, retries finish the turn, and every /predict is answered."""
    with ledger.trial("PostgreSQL stopped in mid-turn", f"{seconds} s") as notes:
        before, known = standing.counted(), len(standing.logs_of_training())
        status = standing.house.status_file
        started, began = restarts(status), time.monotonic()
        with ThreadPoolExecutor(1) as pool, Caller(standing.house.serving_url).calling() as caller:
            turn = pool.submit(standing.turn)
            wait_for(
                lambda: len(standing.logs_of_training()) > known or turn.done(), seconds=600, what="training began"
            )
            away(standing.house.postgres, seconds=seconds)
            turn.result()
        again = {name: count - started[name] for name, count in restarts(status).items() if count > started[name]}
        notes |= {"predicted": caller.answered, "failed": len(caller.failures), "restarted": again}
        notes["turn_seconds"] = round(time.monotonic() - began)
        assert caller.failures == []
        assert again["postgres"] >= 1
        assert "serving" not in again
        unharmed(before, standing.counted(), verdicts=1)


def test_two_schedulers_do_the_work_of_one(standing: Standing, ledger: Ledger) -> None:
    """A second one beside the first, for a whole turn."""
    with ledger.trial("two schedulers", "one turn") as notes, a_second_scheduler(standing):
        before = standing.counted()
        standing.turn()
        unharmed(before, standing.counted(), verdicts=1)
        notes |= {name: count - before[name] for name, count in standing.counted().items()}


def test_a_task_that_is_cleared_while_it_runs_has_one_effect(standing: Standing, ledger: Ledger) -> None:
    """The training is cleared in mid-work: it is run again, and one verdict follows."""
    with ledger.trial("cleared while it runs", "train_challenger") as notes:
        before = standing.counted()
        run = standing.training()
        clear(standing.api, run, "train_challenger")
        standing.follow(run)
        tries = next(task for task in standing.api.tasks(run.dag_id, run.run_id) if task.task_id == "train_challenger")
        notes["tries"] = tries.try_number
        assert tries.try_number > 1
        unharmed(before, standing.counted(), verdicts=1)


def test_a_training_killed_for_memory_says_so_and_is_tried_again(standing: Standing, ledger: Ledger) -> None:
    """The kernel kills it in a group that is too small; the log of that try names memory, and the retry succeeds."""
    with memory_group(LIMIT) as group, ledger.trial("killed for memory", "train_challenger") as notes:
        before, known = standing.counted(), standing.logs_of_training()
        run = standing.training()
        wait_for(lambda: heavy_process(standing.installation), seconds=60, what="it works in a process of its own")
        (group / "cgroup.procs").write_text(str(heavy_process(standing.installation)))
        standing.follow(run)
        (first, *_) = [log for log in standing.logs_of_training() if log not in known]
        said = first.read_text()
        notes["said"] = said[said.index("killed") :][:200]
        assert "for memory" in said
        assert "give it more memory" in said
        unharmed(before, standing.counted(), verdicts=1)


@contextmanager
def a_second_scheduler(standing: Standing) -> Iterator[None]:
    """Another `airflow scheduler` on the same database."""
    with (standing.house.logs / "second-scheduler.log").open("w") as log:
        second = subprocess.Popen(
            [str(BIN / "airflow"), "scheduler", "--skip-serve-logs"], env=standing.house.environment(),
            cwd=standing.house.settings.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            time.sleep(20)  # until it schedules as well
            assert second.poll() is None
            yield
            assert second.poll() is None
        finally:
            second.terminate()
            second.wait(60)


def clear(api: AirflowApi, run: DagRun, task_id: str) -> None:
    """What the button in the UI does."""
    wanted = {"dry_run": False, "dag_run_id": run.run_id, "task_ids": [task_id], "only_failed": False}
    call: Callable[..., Any] = api._call
    for _ in range(3):
        try:
            call("POST", f"/api/v2/dags/{run.dag_id}/clearTaskInstances", json=wanted | {"reset_dag_runs": True})
        except httpx.HTTPStatusError as error:  # the task may be between two states just now
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
            time.sleep(1)
        else:
            return


def heavy_process(installation: Installation) -> int | None:
    """The process that works for the heavy task, once it has begun: the kernel was told to prefer it."""
    for process in installation.processes():
        try:
            preferred = Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == "500"
            if preferred and process.memory_info().rss > LIMIT and os.getpid() != process.pid:
                return int(process.pid)
        except (OSError, psutil.Error):
            continue
    return None
