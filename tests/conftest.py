"""Fixtures for every kind of test: the session's PostgreSQL server, and a fresh migrated database for each test.

It also says which tests stay together when they run in parallel: those of a folder that shares something large (an
Airflow, an installation, a story of faults), else those of a file. The long groups come first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from xdist.scheduler import LoadScopeScheduling

from restar_lib.settings import Settings, load
from restar_lib.store.database import engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from tests import shared_server

TOGETHER = ("e2e", "faults", "production", "dags", "web")
"""Folders whose tests share a server or an installation; in the order in which they begin: the longest first."""
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Pytest's own process makes the session's folder, and clears it away; workers find it by the environment."""
    if not hasattr(config, "workerinput"):
        folder = shared_server.make_folder()
        config.add_cleanup(lambda: shared_server.stop(folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long groups come first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: _rank(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Tests of one group go to one worker, in the order above; the groups of xdist itself need an older pytest than 9.2."""
    config.option.loadscopereorder = False
    return _Groups(config, log)


class _Groups(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def _group(nodeid: str) -> str:
    folder = _folder(nodeid)
    return folder if folder in TOGETHER else nodeid.partition("::")[0]


def _rank(nodeid: str) -> int:
    order = (*TOGETHER, "training", "processes", "postgres")
    return order.index(_folder(nodeid)) if _folder(nodeid) in order else len(order)


def _folder(nodeid: str) -> str:
    return nodeid.removeprefix("tests/").partition("/")[0]


@pytest.fixture(scope="session")
def postgres() -> EmbeddedPostgres:
    """A running server, the same for all workers of the session."""
    return shared_server.running()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh, migrated database of this test's own."""
    name = f"restar_{WORKER}_{next(_numbers)}"
    shared_server.clone(postgres, name, template=shared_server.OURS)
    yield postgres.url(name)
    shared_server.drop(postgres, name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on this test's database."""
    made = engine_for(database_url)
    yield made
    made.dispose()


@pytest.fixture
def smoke(tmp_path: Path) -> Settings:
    """The `smoke` profile with its state in this test's folder (no database URL: pass `engine` instead)."""
    return load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(tmp_path / "var")}).settings
