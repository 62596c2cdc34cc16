"""Brings the embedded installation up and down: database, migrations, services, and the wait until all of them answer.

Used by the runner and by the end-to-end test. The supervisor keeps the processes alive; this module prepares what they
need, says step by step what it does, and turns what can go wrong into one line that says what to do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import httpx
import psutil

from restar_lib.embedded.feeds import Configuration
from restar_lib.embedded.services import BIN, EmbeddedInstallation
from restar_lib.embedded.supervisor import Service, become_subreaper, end_descendants, end_recorded, service_line
from restar_lib.errors import EmbeddedError
from restar_lib.monitoring.airflow_health import airflow_health
from restar_lib.settings import Settings
from restar_lib.state_folder import check_disk, check_ports, claim_identity, runner_lock
from restar_lib.store.database import migrate
from restar_lib.store.embedded_postgres import AIRFLOW_DATABASE, DATABASE, MLFLOW_DATABASE

Say = Callable[[str], None]
HEALTHY_SECONDS = 180.0


@contextmanager
def started(
    settings: Settings, *, configuration: Configuration, now: datetime, say: Say
) -> Iterator[EmbeddedInstallation]:
    """Start everything; however the block ends, stop every process that was started.

    The state folder is bound to the source that `configuration` names.
    """
    check_disk(settings.home)
    with runner_lock(settings.home):
        installation = EmbeddedInstallation.of(settings)
        _end_processes_of_a_killed_run(installation, say)
        source = configuration["source"]
        identity = claim_identity(settings.home, source=f"{source['kind']}:{source['name']}", now=now)
        check_ports(
            {
                "embedded.airflow_port": settings.embedded.airflow_port,
                "serving.port": settings.serving.port,
                "embedded.mail_port": settings.embedded.mail_port,
            }
        )
        installation.write_overlay(identity, configuration)
        installation.write_airflow_passwords()
        with _supervised(installation) as supervisor:
            _bring_up(installation, supervisor, say)
            yield installation


def _bring_up(installation: EmbeddedInstallation, supervisor: subprocess.Popen[bytes], say: Say) -> None:
    say("starting PostgreSQL")
    installation.postgres.prepare()
    if installation.postgres.is_outside:
        say(f"the checkout is private to root, so PostgreSQL's data lies in {installation.postgres.server_folder}")
    _add(supervisor, [installation.database_server()])
    installation.postgres.wait_ready()
    installation.postgres.create_databases(DATABASE, AIRFLOW_DATABASE, MLFLOW_DATABASE)
    say("migrating the databases")
    migrate(installation.postgres.url(DATABASE))
    _run_airflow(installation, "db", "migrate")
    say("starting Airflow, the API and the mail catcher")
    _add(supervisor, installation.others())
    wait_healthy(installation, supervisor)


@contextmanager
def _supervised(installation: EmbeddedInstallation) -> Iterator[subprocess.Popen[bytes]]:
    # If the supervisor itself is killed, its services become our children and are ended below.
    become_subreaper()
    log_file = installation.logs / "supervisor.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    installation.status_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "restar_lib.embedded.supervisor", str(installation.status_file)],
            stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        yield supervisor
    finally:
        if supervisor.stdin is not None:
            supervisor.stdin.close()
        try:
            supervisor.wait(120)
        except subprocess.TimeoutExpired:
            supervisor.kill()
        end_descendants()


def _add(supervisor: subprocess.Popen[bytes], services: list[Service]) -> None:
    if supervisor.stdin is None or supervisor.poll() is not None:
        raise EmbeddedError("the supervisor is not running: see logs/supervisor.log in the state folder")
    for service in services:
        supervisor.stdin.write(service_line(service))
    supervisor.stdin.flush()


def _run_airflow(installation: EmbeddedInstallation, *arguments: str) -> None:
    log_file = installation.logs / "airflow-setup.log"
    with log_file.open("ab") as output:
        done = subprocess.run(
            [str(BIN / "airflow"), *arguments], env=installation.environment(), cwd=installation.settings.home,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise EmbeddedError(f"`airflow {' '.join(arguments)}` failed with exit code {done.returncode}: see {log_file}")


def wait_healthy(
    installation: EmbeddedInstallation, supervisor: subprocess.Popen[bytes], *, seconds: float = HEALTHY_SECONDS
) -> None:
    """Return when every service answers. Raises `EmbeddedError` naming those that do not, and their logs."""
    deadline = time.monotonic() + seconds
    while silent := unhealthy(installation):
        if supervisor.poll() is not None:
            raise EmbeddedError(
                f"the supervisor ended with code {supervisor.returncode}: see {installation.logs}/supervisor.log"
            )
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"not answering after {seconds:.0f} s: {', '.join(silent)}; see the logs in {installation.logs}"
            )
        time.sleep(0.5)


def unhealthy(installation: EmbeddedInstallation) -> list[str]:
    """Names of the services that do not answer, or do not beat, right now."""
    health = airflow_health(installation.airflow_url, timeout_seconds=10)
    processes = ("scheduler", "triggerer", "dag_processor")
    silent = [f"airflow {name}" for name in processes if not health.is_healthy(name)]
    if health.error is not None:
        silent = ["airflow api-server"]
    try:
        httpx.get(f"{installation.serving_url}/health", timeout=10).raise_for_status()
    except httpx.HTTPError:
        silent.append("serving")
    return silent


def _end_processes_of_a_killed_run(installation: EmbeddedInstallation, say: Say) -> None:
    """Only this process holds the lock, so nothing else of this state folder may be running."""
    ended = end_recorded(installation.status_file)
    postmaster = installation.postgres.data / "postmaster.pid"
    if postmaster.exists():
        pid = int(postmaster.read_text(encoding="utf-8").split()[0])
        if psutil.pid_exists(pid) and psutil.Process(pid).name() == "postgres":
            os.kill(pid, signal.SIGINT)
            psutil.Process(pid).wait(30)
            ended += 1
    if ended:
        say(f"ended {ended} processes that an earlier run had left behind")
