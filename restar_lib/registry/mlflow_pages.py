"""MLflow's own pages on this machine: `restar mlflow`.

They have no login, so they listen on loopback alone; whoever needs them from elsewhere comes over SSH. The database's
address holds a password and travels in the environment, where other users of the machine cannot read it. Pages only:
no artifact proxy, no jobs, no telemetry.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from restar_lib.errors import ConfigurationError
from restar_lib.settings import Settings

HOST: Final = "127.0.0.1"
QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


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


def serve(settings: Settings, inherited: Mapping[str, str], *, port: int) -> int:
    """Serve the pages until Ctrl-C; returns the exit code."""
    process = subprocess.Popen(command(settings, port=port), env=environment(settings, inherited))
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()
