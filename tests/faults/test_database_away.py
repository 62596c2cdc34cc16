"""PostgreSQL goes away for ten seconds while reviews are read: supervised it comes back, a retry ends the work.

The serving API asks no database, so it must not notice. How Airflow's own processes take it is told in `test_house`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError

from restar_lib.embedded.services import BIN
from restar_lib.embedded.supervisor import Service, service_line
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.ingest.stored_reviews import sources_read
from restar_lib.releases.release import release
from restar_lib.settings import Settings, load, process_environment
from restar_lib.store.database import engine_for, migrate, wait_for_server
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from restar_lib.store.tables import IngestRun, ReviewRow
from tests.e2e.conftest import free_port, wait_for
from tests.faults.outage import Caller, away, restarts
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 2000
AWAY_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class SmallHouse:
    """A database server and a serving API, supervised."""

    server: EmbeddedPostgres
    settings: Settings
    status_file: Path


@pytest.fixture
def small_house() -> Iterator[SmallHouse]:
    """Both run, a tiny model serves."""
    with tempfile.TemporaryDirectory(prefix="restar-away-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        server = EmbeddedPostgres(home=home, password="only for this test")
        server.prepare()
        environment = {
            "RESTAR_PROFILE": "smoke",
            "RESTAR_HOME": folder,
            "RESTAR_DATABASE__URL": server.url("restar"),
            "RESTAR_SERVING__PORT": str(free_port()),
            "RESTAR_INGEST__CHUNK_ROWS": "10",
        }
        status_file = home / "services.json"
        with (home / "supervisor.log").open("w") as log:
            command = [sys.executable, "-m", "restar_lib.embedded.supervisor", str(status_file)]
            supervisor = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        assert supervisor.stdin is not None
        try:
            supervisor.stdin.write(b"".join(map(service_line, _services(server, environment, home))))
            supervisor.stdin.flush()
            server.wait_ready()
            server.create_databases("restar")
            migrate(server.url("restar"))
            settings = load(environment=environment).settings
            yield SmallHouse(server=server, settings=settings, status_file=status_file)
        finally:
            supervisor.stdin.close()
            supervisor.wait(60)
            server.remove()


def _services(server: EmbeddedPostgres, environment: dict[str, str], home: Path) -> Iterator[Service]:
    yield Service(
        name="postgres",
        command=tuple(server.command()),
        environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        log_file=str(home / "postgres.log"),
        user=server.user,
        stop_signal=2,
    )
    yield Service(
        name="serving",
        command=(str(BIN / "restar"), "serve"),
        environment=process_environment() | environment,
        log_file=str(home / "serving.log"),
    )


def rows_read(engine: Engine) -> int:
    """How far the source is read."""
    return sum(sources_read(engine).values())


def read_all(engine: Engine, settings: Settings) -> None:
    """One try of reading what is left."""
    left = ROWS - rows_read(engine)
    ingest(engine, open_source(settings), settings, run_key="test", now=NOW, max_rows=left)


def tried_again(work: Callable[[], object], *, seconds: float = 90) -> int:
    """Do it until it succeeds, as a task is retried; how often it failed."""
    failures, deadline = 0, time.monotonic() + seconds
    while True:
        try:
            work()
        except DBAPIError:
            assert time.monotonic() < deadline
            failures += 1
            time.sleep(1)
        else:
            return failures


def test_ten_seconds_without_postgres_cost_a_retry_and_no_answer(small_house: SmallHouse) -> None:
    """The run fails in mid-work and goes on where it was; the server is started again; every /predict is answered."""
    server, settings = small_house.server, small_house.settings
    engine = engine_for(server.url("restar"))
    version = sealed_tiny_model(settings.models_dir).name
    release(engine, settings, version=version, by="a test", reason="to serve", now=NOW)
    url = f"http://127.0.0.1:{settings.serving.port}"
    wait_for(lambda: is_ready(url), seconds=90, what="the serving API has the model")
    before = restarts(small_house.status_file)
    with ThreadPoolExecutor(1) as pool, Caller(url).calling() as caller:
        reading = pool.submit(tried_again, lambda: read_all(engine, settings))
        wait_for(lambda: rows_read(engine) >= ROWS / 10, seconds=60, what="reading is under way")
        away(server, seconds=AWAY_SECONDS)
        failures = reading.result()
    assert failures > 0
    after = restarts(small_house.status_file)
    assert after["postgres"] > before["postgres"]
    assert after["serving"] == before["serving"]
    assert caller.failures == []
    assert caller.answered > AWAY_SECONDS
    assert rows_read(engine) == ROWS
    assert all_there(engine)
    engine.dispose()


def test_a_program_that_waits_for_its_server_sees_no_outage(small_house: SmallHouse) -> None:
    """`make run` itself follows a turn through it: its next look simply takes longer."""
    engine = wait_for_server(engine_for(small_house.server.url("restar")), seconds=60)
    assert rows_read(engine) == 0
    away(small_house.server, seconds=2)
    assert rows_read(engine) == 0
    engine.dispose()


def is_ready(url: str) -> bool:
    """Whether the API has a model."""
    try:
        return httpx.get(f"{url}/ready", timeout=5).is_success
    except httpx.HTTPError:
        return False


def all_there(engine: Engine) -> bool:
    """Whether every row that was read stands in a table, once."""
    counted = select(func.sum(IngestRun.new + IngestRun.duplicate_text)).scalar_subquery()
    with engine.connect() as connection:
        return connection.execute(select(func.count(ReviewRow.review_id) == counted)).scalar_one()
