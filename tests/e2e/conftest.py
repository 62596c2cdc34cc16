"""One embedded installation for a whole module: its own state folder, its own ports, the `smoke` profile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from restar_lib.state_folder import load_secrets
from restar_lib.store.database import engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres

RESTAR = Path(sys.executable).parent / "restar"


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Installation:
    """A state folder and how `restar` is called on it."""

    home: Path
    extra: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(
        default_factory=lambda: {
            "RESTAR_EMBEDDED__AIRFLOW_PORT": free_port(),
            "RESTAR_EMBEDDED__MAIL_PORT": free_port(),
            "RESTAR_SERVING__PORT": free_port(),
        }
    )

    @property
    def environment(self) -> dict[str, str]:
        """What the processes get."""
        ports = {key: str(value) for key, value in self.ports.items()}
        return os.environ | {"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(self.home)} | ports | self.extra

    def call(self, *arguments: str, timeout: float = 840) -> subprocess.CompletedProcess[str]:
        """Run `restar` to its end."""
        return subprocess.run(
            [str(RESTAR), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `restar` and go on."""
        log = self._output_file.open("w")
        return subprocess.Popen(
            [str(RESTAR), *arguments], env=self.environment, stdout=log, stderr=log, text=True, start_new_session=True
        )

    def output(self) -> str:
        """What the newest `start` has printed so far."""
        return self._output_file.read_text()

    @property
    def _output_file(self) -> Path:
        return self.home.parent / f"{self.home.name}.out"

    def processes(self) -> list[psutil.Process]:
        """Every living process that works in this state folder or names it."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            inside = process.cwd().startswith(str(self.home))
            return process.status() != psutil.STATUS_ZOMBIE and (
                inside or str(self.home) in " ".join(process.cmdline())
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    @contextmanager
    def database(self) -> Iterator[Engine]:
        """The installation's own database, started for a look while nothing else runs."""
        server = EmbeddedPostgres(home=self.home, password=load_secrets(self.home).postgres_password)
        process = subprocess.Popen(server.command(), user=server.user, cwd="/", stderr=subprocess.DEVNULL)
        engine = engine_for(server.url("restar"))
        try:
            server.wait_ready()
            yield engine
        finally:
            engine.dispose()
            process.send_signal(signal.SIGINT)
            process.wait(30)


def wait_for(happens: Callable[[], object], *, seconds: float, what: str) -> None:
    """Poll until `happens()` is true; fail naming `what`."""
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.25)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A fresh state folder; whatever a failed test leaves running is ended."""
    made = Installation(home=tmp_path_factory.mktemp("installation") / "var")
    yield made
    for process in made.processes():
        process.kill()
