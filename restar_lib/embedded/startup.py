"""Brings the embedded house up and down: database, migrations, services, and the wait until all of them answer.

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
from restar_lib.state_folder import check_disk, check_ports, claim_identity, load_secrets, runner_lock
from restar_lib.store.database import migrate
from restar_lib.store.embedded_postgres import AIRFLOW_DATABASE, DATABASE, MLFLOW_DATABASE, EmbeddedPostgres

Say = Callable[[str], None]
HEALTHY_SECONDS = 180.0


@contextmanager
def open_house(
    settings: Settings, *, configuration: Configuration, now: datetime, say: Say
) -> Iterator[EmbeddedInstallation]:
    """Start everything; on leaving, however, stop every process that was started.

    The state folder is bound to the source that `configuration` names.
    """
    check_disk(settings.home)
    with runner_lock(settings.home):
        secrets = load_secrets(settings.home)
        house = EmbeddedInstallation(
            settings=settings,
            secrets=secrets,
            postgres=EmbeddedPostgres(home=settings.home, password=secrets.postgres_password),
        )
        _end_left_overs(house, say)
        source = configuration["source"]
        identity = claim_identity(settings.home, source=f"{source['kind']}:{source['name']}", now=now)
        check_ports(
            {
                "embedded.airflow_port": settings.embedded.airflow_port,
                "serving.port": settings.serving.port,
                "embedded.mail_port": settings.embedded.mail_port,
            }
        )
        house.write_overlay(identity, configuration)
        house.write_airflow_passwords()
        with _supervised(house) as supervisor:
            _bring_up(house, supervisor, say)
            yield house


def _bring_up(house: EmbeddedInstallation, supervisor: subprocess.Popen[bytes], say: Say) -> None:
    say("starting PostgreSQL")
    house.postgres.prepare()
    if house.postgres.is_outside:
        say(f"the checkout is private to root, so PostgreSQL's data lies in {house.postgres.server_folder}")
    _add(supervisor, [house.database_server()])
    house.postgres.wait_ready()
    house.postgres.create_databases(DATABASE, AIRFLOW_DATABASE, MLFLOW_DATABASE)
    say("migrating the databases")
    migrate(house.postgres.url(DATABASE))
    _run_airflow(house, "db", "migrate")
    say("starting Airflow, the API and the mail catcher")
    _add(supervisor, house.others())
    wait_healthy(house, supervisor)


@contextmanager
def _supervised(house: EmbeddedInstallation) -> Iterator[subprocess.Popen[bytes]]:
    # If the supervisor itself is killed, its services become our children and are ended below.
    become_subreaper()
    log_file = house.logs / "supervisor.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    house.status_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "restar_lib.embedded.supervisor", str(house.status_file)],
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


def _run_airflow(house: EmbeddedInstallation, *arguments: str) -> None:
    log_file = house.logs / "airflow-setup.log"
    with log_file.open("ab") as output:
        done = subprocess.run(
            [str(BIN / "airflow"), *arguments], env=house.environment(), cwd=house.settings.home,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise EmbeddedError(f"`airflow {' '.join(arguments)}` failed with exit code {done.returncode}: see {log_file}")


def wait_healthy(
    house: EmbeddedInstallation, supervisor: subprocess.Popen[bytes], *, seconds: float = HEALTHY_SECONDS
) -> None:
    """Return when every service answers. Raises `EmbeddedError` naming those that do not, and their logs."""
    deadline = time.monotonic() + seconds
    while silent := unhealthy(house):
        if supervisor.poll() is not None:
            raise EmbeddedError(
                f"the supervisor ended with code {supervisor.returncode}: see {house.logs}/supervisor.log"
            )
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"not answering after {seconds:.0f} s: {', '.join(silent)}; see the logs in {house.logs}"
            )
        time.sleep(0.5)


def unhealthy(house: EmbeddedInstallation) -> list[str]:
    """Names of the services that do not answer, or do not beat, right now."""
    health = airflow_health(house.airflow_url, timeout_seconds=10)
    processes = ("scheduler", "triggerer", "dag_processor")
    silent = [f"airflow {name}" for name in processes if not health.is_healthy(name)]
    if health.error is not None:
        silent = ["airflow api-server"]
    try:
        httpx.get(f"{house.serving_url}/health", timeout=10).raise_for_status()
    except httpx.HTTPError:
        silent.append("serving")
    return silent


def _end_left_overs(house: EmbeddedInstallation, say: Say) -> None:
    """End what a killed run left behind. Only we hold the lock, so nothing of this state folder may be running."""
    ended = end_recorded(house.status_file)
    postmaster = house.postgres.data / "postmaster.pid"
    if postmaster.exists():
        pid = int(postmaster.read_text(encoding="utf-8").split()[0])
        if psutil.pid_exists(pid) and psutil.Process(pid).name() == "postgres":
            os.kill(pid, signal.SIGINT)
            psutil.Process(pid).wait(30)
            ended += 1
    if ended:
        say(f"ended {ended} processes that an earlier run had left behind")
