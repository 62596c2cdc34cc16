"""The state folder of an embedded installation: its secrets, the source that it belongs to, its lock.

All secrets are random, created once, in one file that only its owner can read. A state folder belongs to one source for
good; another source is refused. The lock is an `flock`: the kernel releases it with the process, so it is never stale.
It starts nothing. Called by `embedded`, and by `operation` where the databases of a state folder are needed.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from restar_lib.atomic_files import write_text
from restar_lib.errors import EmbeddedError, SourceError

FREE_GIB_NEEDED = 2.0


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Passwords and keys of one state folder."""

    postgres_password: str
    airflow_password: str
    labeler_password: str
    api_secret_key: str
    jwt_secret: str
    fernet_key: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which source a state folder belongs to, and since when."""

    source: str
    since: datetime


def load_secrets(home: Path) -> Secrets:
    """Read the secrets, or create them the first time."""
    path = home / "secrets.json"
    if not path.exists():
        made = Secrets(
            postgres_password=secrets.token_urlsafe(24),
            airflow_password=secrets.token_urlsafe(9),
            labeler_password=secrets.token_urlsafe(9),
            api_secret_key=secrets.token_urlsafe(32),
            jwt_secret=secrets.token_urlsafe(48),
            fernet_key=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        )
        write_text(path, json.dumps(asdict(made), indent=1))
    return Secrets(**json.loads(path.read_text(encoding="utf-8")))


def claim_identity(home: Path, *, source: str, now: datetime) -> Identity:
    """Bind a new state folder to `source`. Raises `SourceError` when it belongs to another one."""
    path = home / "state.json"
    if not path.exists():
        write_text(path, json.dumps({"source": source, "since": now.isoformat()}))
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored["source"] != source:
        raise SourceError(
            f"the state in {home} belongs to the source {stored['source']!r}, not to {source!r}: "
            "run `make reset` to wipe it, or keep both with RESTAR_HOME=<another folder>"
        )
    return Identity(source=stored["source"], since=datetime.fromisoformat(stored["since"]))


@contextmanager
def runner_lock(home: Path) -> Iterator[None]:
    """Hold the state folder for this process. Raises `EmbeddedError` naming who has it."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "runner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedError(
                f"another `make run` (pid {file.read().strip() or 'unknown'}) is using {home}: "
                "stop it with Ctrl-C, or give this one its own RESTAR_HOME and ports"
            ) from None
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def check_ports(ports: dict[str, int]) -> None:
    """Raise `EmbeddedError` naming the first port that is in use, and the setting that changes it."""
    for key, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                variable = f"RESTAR_{key.replace('.', '__').upper()}"
                raise EmbeddedError(
                    f"port {port} is in use: stop what listens there, or choose another with {variable}=<port> make run"
                ) from None


def check_disk(home: Path) -> None:
    """Raise `EmbeddedError` when the disk is nearly full, before a database on it runs out of space."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if free < FREE_GIB_NEEDED:
        raise EmbeddedError(
            f"only {free:.1f} GiB free where {home} lies, {FREE_GIB_NEEDED:.0f} GiB needed: "
            "make room, or put the state elsewhere with RESTAR_HOME=<folder>"
        )
