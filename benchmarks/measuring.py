"""What the benchmarks share: a database of their own, rows to fill it with, tables to print, JSON to keep.

Starts a PostgreSQL server like the one of `make run` in a temporary folder, with its settings untouched (fsync is on).
It measures nothing itself. Ratios are taken within one run, side by side: this machine's absolute times wobble.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from restar_lib.ingest.raw_rows import RawRow
from restar_lib.ingest.sources.configured import open_source
from restar_lib.settings import Settings, load
from restar_lib.store.database import migrate
from restar_lib.store.embedded_postgres import EmbeddedPostgres

RESULTS = Path(__file__).parent / "results"
TEMPLATE = "restar_template"


@contextmanager
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running server with a migrated template, stopped and deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="restar-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(home=Path(folder), password=secrets.token_hex(16))
        server.prepare()
        with (Path(folder) / "postgres.log").open("w") as log:
            process = subprocess.Popen(server.command(), user=server.user, cwd="/", stdout=log, stderr=log)
        try:
            server.wait_ready()
            server.create_databases(TEMPLATE)
            migrate(server.url(TEMPLATE))
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # without waiting for who is still connected
            process.wait(60)
            server.remove()


@contextmanager
def database(server: EmbeddedPostgres, name: str) -> Iterator[str]:
    """URL of a fresh migrated database."""
    with server.connect("postgres") as connection:
        connection.execute(f"create database {name} template {TEMPLATE}".encode())
        yield server.url(name)
        connection.execute(f"drop database {name} with (force)".encode())


def cpu_seconds(server: EmbeddedPostgres, *, own: bool = True) -> float:
    """What the server, the ended children of this process, and itself (`own`) have used of the processors so far."""
    used = sum(os.times()[0 if own else 2 : 4])
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0]))
    used += sum(postmaster.cpu_times()[:4])
    for backend in postmaster.children():
        with suppress(psutil.NoSuchProcess):
            used += sum(backend.cpu_times()[:2])
    return used


def settings_for(home: Path, **sections: dict[str, Any]) -> Settings:
    """The default profile with its state in `home`; `sections` change keys."""
    loaded = load(environment={"RESTAR_HOME": str(home)}).settings
    changed = {name: getattr(loaded, name).model_copy(update=keys) for name, keys in sections.items()}
    return loaded.model_copy(update=changed)


def raw_rows(settings: Settings, reviews: str) -> Iterator[RawRow]:
    """Rows of the built-in simulator, or of files of reviews."""
    source = {"kind": "files", "path": reviews} if reviews else {"kind": "simulated"}
    return open_source(settings.model_copy(update={"source": settings.source.model_copy(update=source)})).rows(None)


def write_lines(file: Path, rows: Iterator[RawRow], *, count: int, distinct: int = 20_000) -> int:
    """Write `count` JSON Lines made of up to `distinct` rows; returns the bytes.

    Making reviews up is slower than reading them, so a large file repeats a smaller one: each time with other ids and
    a word before the text that makes it a text of its own.
    """
    fields = [row.fields for row in islice(rows, min(count, distinct)) if row.fields is not None]
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            one = fields[number % len(fields)]
            turn = number // len(fields)
            changed = {"review_id": f"R{number}-{turn}", "text": f"N{turn}o {one.get('text', '')}"} if turn else {}
            out.write(json.dumps({**one, **changed}) + "\n")
    return file.stat().st_size


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns of numbers under their names, the first column on the left."""
    cells = [[_shown(value) for value in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *others in cells:
        padded = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *padded]))
    return "\n".join([title, "", *lines, ""])


def save(name: str, content: dict[str, Any]) -> Path:
    """Write the result of a run, with what it ran on, into `benchmarks/results/`."""
    file = RESULTS / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"machine": machine(), **content}, indent=1) + "\n", encoding="utf-8")
    return file


def read(name: str) -> dict[str, Any]:
    """The kept result of a run. Ends the benchmark with a reason where there is none."""
    file = RESULTS / f"{name}.json"
    if not file.exists():
        raise SystemExit(f"{file} is not there: run the benchmark first")
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def machine() -> dict[str, Any]:
    """What a number depends on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_1_min": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
