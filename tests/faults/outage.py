"""PostgreSQL taken away under everything that uses it, and given back: stopped, and kept from starting.

A supervisor restarts it at once, so its data folder is opened to the world meanwhile, which PostgreSQL refuses to
start on. Nothing in it is touched.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from restar_lib.store.embedded_postgres import EmbeddedPostgres


def away(server: EmbeddedPostgres, *, seconds: float) -> None:
    """Stop PostgreSQL and keep it from starting for so long."""
    server.data.chmod(0o777)
    try:
        postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGINT)  # "fast": sessions are ended, as by an operator or a failing disk
        time.sleep(seconds)
    finally:
        server.data.chmod(0o700)


def restarts(status_file: Path) -> dict[str, int]:
    """How often the supervisor has restarted each service."""
    return {row["name"]: row["restarts"] for row in json.loads(status_file.read_text())}


@dataclass
class Caller:
    """Asks `POST /predict` all the time, and keeps what came back."""

    url: str
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def calling(self) -> Iterator[Caller]:
        """Ask from another thread while the block runs."""
        thread = threading.Thread(target=self._call_on)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _call_on(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._stop.wait(0.05):
                self._call(client)

    def _call(self, client: httpx.Client) -> None:
        try:
            response = client.post(f"{self.url}/predict", json={"text": "It arrived broken, a terrible waste."})
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        if response.is_success:
            self.answered += 1
        else:
            self.failures.append(f"{response.status_code}: {response.text[:200]}")
