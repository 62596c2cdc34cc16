"""However the runner ends, no process of it stays; while it runs, what dies comes back and nobody else gets in.

One state folder for all, so that Airflow's database is migrated once; each way to end needs a start of its own.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .conftest import Installation, wait_for

SERVICES = {
    "postgres", "airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "serving", "mail",
}  # fmt: skip


def running_services(installation: Installation) -> dict[str, int]:
    """Services that the supervisor reports as alive, with their pids."""
    status = installation.home / "run" / "services.json"
    rows = json.loads(status.read_text()) if status.exists() else []
    return {row["name"]: row["pid"] for row in rows if row["pid"]}


@contextmanager
def ended_by(installation: Installation, number: signal.Signals) -> Iterator[int]:
    """Start `restar run` and wait until the turn has begun; yields its pid, ends it by `number` and sees it all go."""
    runner = installation.start("run")
    wait_for(lambda: "Airflow reads the DAGs" in installation.output(), seconds=180, what="the turn has begun")
    assert set(running_services(installation)) == SERVICES
    assert len(installation.processes()) > len(SERVICES)
    try:
        yield runner.pid
    finally:
        runner.send_signal(number)
        runner.wait(150)
    wait_for(lambda: not installation.processes(), seconds=90, what="no process is left")


def test_while_it_runs_a_second_run_is_refused_and_a_service_that_dies_is_restarted(
    installation: Installation,
) -> None:
    """The second `restar run` says who holds the folder; a killed serving process comes back; Ctrl-C ends them all."""
    with ended_by(installation, signal.SIGINT) as pid:
        second = installation.call("run", "--once", timeout=60)
        first = running_services(installation)["serving"]
        next(process for process in installation.processes() if process.pid == first).kill()
        wait_for(
            lambda: running_services(installation).get("serving", first) != first, seconds=60, what="a new serving"
        )
    assert second.returncode == 4
    assert f"pid {pid}" in second.stderr
    assert "serving died (signal 9)" in (installation.home / "logs" / "supervisor.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_ending_the_runner_leaves_no_process_behind(installation: Installation, number: signal.Signals) -> None:
    """SIGTERM and a crash (SIGKILL) of the runner end all seven services and what they started, as Ctrl-C does."""
    with ended_by(installation, number):
        pass
