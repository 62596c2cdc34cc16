"""Ingest of very many small files, one row each. Aim: a row costs the same in the largest folder as in the smallest.

For each size: a folder of so many files is read into a fresh database, then once more, when everything is known and
nothing is opened. Seconds, microseconds a file, and how much memory the process has grown by at its highest.

    python benchmarks/small_files.py [--files 2000 4000 100000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import measuring

from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.store.database import engine_for

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROWS_AT_MOST = 1_000_000


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[2000, 4000, 100_000])
    parser.add_argument("--into", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.into:
        print(json.dumps(read_once(arguments.into, Path(arguments.folder))))
        return 0
    with tempfile.TemporaryDirectory(prefix="restar-bench-") as folder, measuring.postgres() as server:
        results = {}
        for files in arguments.files:
            written = write(Path(folder) / str(files), files)
            with measuring.database(server, f"files_{files}") as url:
                results[files] = {name: in_a_process(url, written) for name in ("first", "again")}
    header = ("files", "first s", "us a file", "grown MiB", "again s", "us a file", "grown MiB")
    print(measuring.table("ingest of small files", header, [_row(files, found) for files, found in results.items()]))
    print(measuring.save("small_files", {"sizes": results}))
    return 0


def write(folder: Path, files: int) -> Path:
    """A folder of so many files of one review each."""
    folder.mkdir()
    for number in range(files):
        text = f"Review number {number} says that this thing is a good one to have around."
        review = {"review_id": f"R{number}", "text": text, "rating": 5, "date": "2024-05-01"}
        (folder / f"{number:06}.jsonl").write_text(json.dumps(review) + "\n")
    return folder


def in_a_process(url: str, folder: Path) -> dict[str, float]:
    """One run of ingest in a process of its own, so that its memory is seen alone."""
    command = [sys.executable, __file__, "--into", url, "--folder", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def read_once(url: str, folder: Path) -> dict[str, float]:
    """Seconds of one run, and by how many MiB this process has grown at its highest."""
    source = {"kind": "files", "name": "small", "path": str(folder)}
    settings = measuring.settings_for(folder.parent, source=source)
    engine = engine_for(url)
    before, began = _peak(), time.perf_counter()
    counts = ingest(engine, open_source(settings), settings, run_key="benchmark", now=NOW, max_rows=ROWS_AT_MOST)
    seconds, grown = time.perf_counter() - began, _peak() - before
    return {"rows": counts.rows_read, "seconds": round(seconds, 2), "grown_mib": round(grown, 1)}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _row(files: int, found: dict[str, dict[str, float]]) -> tuple[float, ...]:
    figures = [
        (one["seconds"], 1e6 * one["seconds"] / files, one["grown_mib"]) for one in (found["first"], found["again"])
    ]
    return (files, *figures[0], *figures[1])


if __name__ == "__main__":
    sys.exit(main())
