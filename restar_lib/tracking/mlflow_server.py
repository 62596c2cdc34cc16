"""MLflow's own pages on this machine: `restar mlflow`.

They have no login, so they listen on loopback alone; whoever needs them from elsewhere comes over SSH. The database's
address holds a password and travels in the environment, where other users of the machine cannot read it. Pages only:
no artifact proxy, no jobs, no telemetry.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from restar_lib.errors import ConfigurationError
from restar_lib.settings import Settings

HOST: Final = "127.0.0.1"
QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
TICK_SECONDS: Final = 0.2
STOP_SECONDS: Final = 20.0
"""Longer than a page takes; who has not ended by then is killed."""


def command(settings: Settings, *, port: int) -> list[str]:
    """The command that serves the pages."""
    place = (settings.home / "mlflow").resolve().as_uri()
    words = ["server", "--host", HOST, "--port", str(port), "--workers", "1", "--no-serve-artifacts"]
    return [sys.executable, "-m", "mlflow", *words, "--default-artifact-root", place]


def environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of the pages. Raises `ConfigurationError` where no MLflow database is configured."""
    if settings.database.mlflow_url is None:
        raise ConfigurationError(
            "database.mlflow_url is not set: start `make run` in another terminal, or set RESTAR_DATABASE__MLFLOW_URL"
        )
    return {**inherited, **QUIET, "MLFLOW_BACKEND_STORE_URI": settings.database.mlflow_url.get_secret_value()}


def serve(words: Sequence[str], given: Mapping[str, str]) -> int:
    """Serve the pages until Ctrl-C or SIGTERM, and leave no process behind; returns the exit code."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: asked.append(received))
    # A group of its own: MLflow's server is a child of its command, and both must go.
    process = subprocess.Popen(words, env=dict(given), start_new_session=True)
    while process.poll() is None and not asked:
        time.sleep(TICK_SECONDS)
    _signal(process, signal.SIGTERM)
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        code = process.wait()
    return 0 if asked else code


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
