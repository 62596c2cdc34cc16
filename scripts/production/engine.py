"""What a turn needs of whatever runs the composition: Docker Compose, or namespaces here. It starts nothing."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parent.parent.parent


class Engine(Protocol):
    """A composition that runs."""

    @property
    def home(self) -> Path:
        """Folder for the record of a turn and the passwords of its people."""

    @property
    def secrets(self) -> Path:
        """Folder of the composition's secrets."""

    def url(self, service: str) -> str:
        """Address on this machine of a service that publishes a port."""

    def execute(self, name: str, words: list[str], *, timeout: float | None = None, quiet: bool = False) -> int:
        """Run a command inside a service; its exit code, not 0 where it does not run."""

    def query(self, statement: str) -> str:
        """The one value that a statement finds in Re*Star's database."""


@dataclass(frozen=True, kw_only=True)
class DockerCompose:
    """The composition as `docker compose up` runs it, from the project's root."""

    home: Path
    published: dict[str, int]
    """Service -> port on this machine."""
    secrets: Path = ROOT / "secrets"

    def url(self, service: str) -> str:
        """Address of a published service."""
        return f"http://127.0.0.1:{self.published[service]}"

    def execute(self, name: str, words: list[str], *, timeout: float | None = None, quiet: bool = False) -> int:
        """`docker compose exec`."""
        output = subprocess.DEVNULL if quiet else None
        return subprocess.run(
            _exec(name, words), cwd=ROOT, timeout=timeout, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            check=False,
        ).returncode  # fmt: skip

    def query(self, statement: str) -> str:
        """By `psql` inside the service `postgres`. Raises `CalledProcessError`."""
        url = (self.secrets / "restar_database_url").read_text(encoding="utf-8").replace("+psycopg", "").strip()
        words = ["psql", "--no-psqlrc", "-At", "-c", statement, url]
        done = subprocess.run(_exec("postgres", words), cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()


def _exec(name: str, words: list[str]) -> list[str]:
    return ["docker", "compose", "exec", "--no-TTY", name, *words]
