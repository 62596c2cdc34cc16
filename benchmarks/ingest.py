"""Ingest from JSON Lines to table, beside `COPY` of the same cleaned rows into the same table. Aim: a quarter of it.

For each size: the whole of ingest in a process of its own (reading, parsing, cleaning, storing, cursor, counts; not
the import of its modules, two seconds), its rows per second and the largest memory of it and its cleaning processes
together; then, in a fresh database with the same keys and indexes, one COPY of the reviews that ingest stored. Both in
turns, `--rounds` times; the median counts. The aims: at least 0.25 of COPY's rate with two processes (one cleans, one
reads and stores), and the memory of the largest size within 1.2 times that of the smallest.

    python benchmarks/ingest.py [--rows 10000 100000] [--processes 1] [--reviews FILE] [--rounds 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import measuring
import psutil
from psycopg import sql

from restar_lib.ingest.cleaning.copy_lines import COLUMNS
from restar_lib.ingest.load import LATER_COLUMNS, ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres

PIECE = 1 << 20
COPIED = sql.SQL(", ").join(map(sql.Identifier, (*COLUMNS, *LATER_COLUMNS)))
OUT = sql.SQL("copy (select {} from review order by duplicate_of is not null, ctid) to stdout").format(COPIED)
IN = sql.SQL("copy review ({}) from stdin").format(COPIED)
RUN = "insert into ingest_run (source, run_key) values ('benchmark', 'benchmark')"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One size, one round."""

    stored: int
    ingest_seconds: float
    peak_mib: float
    copy_seconds: float
    ingest_cpu: float
    """Seconds of the processors, the imports of the process included."""
    copy_cpu: float


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    if arguments.into:
        return ingest_once(arguments)
    with tempfile.TemporaryDirectory(prefix="restar-bench-") as folder, measuring.postgres() as server:
        results = {rows: measure_size(server, Path(folder), arguments, rows=rows) for rows in arguments.rows}
    least = results[min(results)]["peak_mib"]
    for result in results.values():
        result["peak_of_smallest"] = result["peak_mib"] / least
    columns = {
        "ingest rows/s": "ingest_per_second",
        "COPY rows/s": "copy_per_second",
        "ratio": "ratio",
        "peak MiB": "peak_mib",
        "of smallest": "peak_of_smallest",
        "CPU us/row": "ingest_cpu_us",
        "COPY's": "copy_cpu_us",
    }
    title = f"ingest with {arguments.processes} cleaning process(es) beside COPY, median of {arguments.rounds}"
    table = [(rows, *(found[key] for key in columns.values())) for rows, found in results.items()]
    print(measuring.table(title, ("rows", *columns), table))
    reviews = Path(arguments.reviews).name or "simulated"
    found = {"processes": arguments.processes, "reviews": reviews, "rounds": arguments.rounds, "sizes": results}
    print(measuring.save("ingest", found))
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--processes", type=int, default=1, help="that clean, beside the one that reads and stores")
    parser.add_argument("--reviews", default="", help="JSON Lines, plain or .gz; default: simulated reviews")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--into", default="", help=argparse.SUPPRESS)  # the measured process itself
    parser.add_argument("--file", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def ingest_once(arguments: argparse.Namespace) -> int:
    """What is measured: one run of ingest."""
    settings = configured(Path(arguments.file).parent, arguments)
    engine = engine_for(arguments.into)
    began = time.perf_counter()
    ingest(engine, open_source(settings), settings, run_key="benchmark", now=datetime.now(UTC), max_rows=10**9)
    print(time.perf_counter() - began)
    return 0


def configured(folder: Path, arguments: argparse.Namespace) -> Settings:
    """Ingest as it is by default, from one file."""
    source = {"kind": "files", "name": "benchmark", "path": arguments.file}
    return measuring.settings_for(folder, source=source, ingest={"processes": arguments.processes})


def measure_size(server: EmbeddedPostgres, folder: Path, arguments: argparse.Namespace, *, rows: int) -> dict[str, Any]:
    """One size, in rounds."""
    file = folder / f"{rows}.jsonl"
    raw = measuring.raw_rows(measuring.settings_for(folder), arguments.reviews)
    size = measuring.write_lines(file, raw, count=rows)
    rounds = [measure(server, folder, file, processes=arguments.processes) for _ in range(arguments.rounds)]
    file.unlink()
    per_second = median(rows / one.ingest_seconds for one in rounds)
    copied = median(one.stored / one.copy_seconds for one in rounds)
    return {
        "bytes": size,
        "stored": rounds[0].stored,
        "ingest_per_second": per_second,
        "copy_per_second": copied,
        "ratio": median(rows / one.ingest_seconds / (one.stored / one.copy_seconds) for one in rounds),
        "peak_mib": max(one.peak_mib for one in rounds),
        "ingest_cpu_us": 1e6 * median(one.ingest_cpu for one in rounds) / rows,
        "copy_cpu_us": 1e6 * median(one.copy_cpu / one.stored for one in rounds),
    }


def measure(server: EmbeddedPostgres, folder: Path, file: Path, *, processes: int) -> Measured:
    """Ingest, then COPY of what it stored, each into a fresh database."""
    cleaned = folder / "cleaned.copy"
    with measuring.database(server, "restar_ingest") as url:
        used = measuring.cpu_seconds(server, own=False)
        seconds, peak = run_alone([*command(), "--into", url, "--file", str(file), "--processes", str(processes)])
        ingest_cpu = measuring.cpu_seconds(server, own=False) - used
        stored = copy_out(server, cleaned)
    with measuring.database(server, "restar_copy"):
        used = measuring.cpu_seconds(server, own=False)
        copy_seconds = copy_in(server, cleaned)
        copy_cpu = measuring.cpu_seconds(server, own=False) - used
    cleaned.unlink()
    return Measured(
        stored=stored,
        ingest_seconds=seconds,
        peak_mib=peak,
        copy_seconds=copy_seconds,
        ingest_cpu=ingest_cpu,
        copy_cpu=copy_cpu,
    )


def command() -> list[str]:
    """This program."""
    return [sys.executable, __file__]


def run_alone(arguments: list[str]) -> tuple[float, float]:
    """The seconds that a process prints, and the most memory (MiB) of it and its children together."""
    process = psutil.Popen(arguments, stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_of(process))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"ingest failed with exit code {process.returncode}")
    return float(process.stdout.read()), peak / 2**20


def memory_of(process: psutil.Popen) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def copy_out(server: EmbeddedPostgres, file: Path) -> int:
    """Write the stored reviews in COPY's own form; returns how many."""
    with server.connect("restar_ingest") as connection, file.open("wb") as out:
        cursor = connection.cursor()
        # Originals first, as they arrived: every copy finds the review it points at.
        with cursor.copy(OUT) as copy:
            for piece in copy:
                out.write(piece)
        return cursor.rowcount


def copy_in(server: EmbeddedPostgres, file: Path) -> float:
    """Seconds of one COPY from the file."""
    with server.connect("restar_copy") as connection:
        connection.execute(RUN)
        began = time.perf_counter()
        with file.open("rb") as rows, connection.cursor().copy(IN) as copy:
            while piece := rows.read(PIECE):
                copy.write(piece)
        return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
