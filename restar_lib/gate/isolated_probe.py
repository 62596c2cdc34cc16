"""The probe in a process of its own: the artifact must answer without anything that training left in memory.

A fresh interpreter with an environment of four fixed variables runs `isolated_probe_script.py`, which imports what a
serving process imports. A failure there is returned with its reason and raises nothing here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from restar_lib.settings import PROJECT_ROOT

SCRIPT: Final = Path(__file__).with_name("isolated_probe_script.py")
ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(PROJECT_ROOT),
    "HOME": "/nonexistent",
}


@dataclass(frozen=True, kw_only=True)
class IsolatedProbe:
    """The result of the probe."""

    problem: str | None
    """Why it did not answer; None where it did."""
    seconds: float = 0.0
    """To load and to answer the probe, without starting Python."""
    megabytes: int = 0
    """Most memory that the process held."""


def probe_in_isolation(folder: Path, *, timeout: float) -> IsolatedProbe:
    """Load `folder` in a fresh process and answer its probe, within `timeout` seconds."""
    command = [sys.executable, "-P", "-s", str(SCRIPT), str(folder.resolve())]
    try:
        done = subprocess.run(
            command, env=ENVIRONMENT, cwd="/", capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return IsolatedProbe(problem=f"no answer within {timeout:g} s (gate.probe_timeout_seconds)")
    return _read(done)


def _read(done: subprocess.CompletedProcess[str]) -> IsolatedProbe:
    try:
        said = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        return IsolatedProbe(problem=f"the process ended with {done.returncode}: {last}")
    if done.returncode or said.get("error"):
        return IsolatedProbe(problem=said.get("error", f"the process ended with {done.returncode}"))
    if said["heavy"]:
        return IsolatedProbe(problem=f"answering it took {', '.join(said['heavy'])}, which serving does not have")
    return IsolatedProbe(problem=None, seconds=said["seconds"], megabytes=said["megabytes"])
