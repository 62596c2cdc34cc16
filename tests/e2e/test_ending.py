"""However the runner ends, no process of it stays."""

import json
import signal

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_ending_the_runner_leaves_no_process_behind(installation: Installation, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a crash (SIGKILL) of the runner end all seven services and what they started."""
    runner = installation.start("run")
    wait_for(lambda: "Airflow reads the DAGs" in installation.output(), seconds=180, what="the turn has begun")
    assert set(running_services(installation)) == SERVICES
    assert len(installation.processes()) > len(SERVICES)
    runner.send_signal(number)
    runner.wait(150)
    wait_for(lambda: not installation.processes(), seconds=90, what="no process is left")


def test_a_service_that_dies_is_restarted(installation: Installation) -> None:
    """Killing the serving process brings up another one, and the supervisor's log says so."""
    runner = installation.start("run")
    try:
        wait_for(lambda: "serving" in running_services(installation), seconds=120, what="serving runs")
        first = running_services(installation)["serving"]
        next(process for process in installation.processes() if process.pid == first).kill()
        wait_for(
            lambda: running_services(installation).get("serving", first) != first, seconds=60, what="a new serving"
        )
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(150)
    assert "serving died (signal 9)" in (installation.home / "logs" / "supervisor.log").read_text()


def test_two_runs_on_one_state_folder_are_refused(installation: Installation) -> None:
    """The second `restar run` says who holds the folder and what to do, and touches nothing."""
    runner = installation.start("run")
    try:
        wait_for(
            lambda: "postgres" in running_services(installation), seconds=60, what="the first run holds the folder"
        )
        second = installation.call("run", "--once", timeout=60)
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(150)
    assert second.returncode == 4
    assert f"pid {runner.pid}" in second.stderr
