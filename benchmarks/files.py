"""Files of other people through `restar inspect` and ingest: rows taken of rows expected, and seconds.

For each file below the named folders: what inspect decides, then a whole ingest into a fresh database under a source of
its own. Expected of a review file (JSON Lines, packed or not, with our own names) are the rows with 10 to 512 words and
a rating from 1 to 5, counted by a few lines here that share nothing with ingest; of small cases the number that
`EXPECTED` says, by file name, and the settings that the case tells; a file that must be refused is expected with none
and a message. Largest memory of this process at the end, beside that after the smallest file.

    python benchmarks/files.py FOLDER [FOLDER ...]
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import measuring

from restar_lib.errors import RestarError
from restar_lib.ingest.file_rows import inspect_file
from restar_lib.ingest.readers.storage import find_files
from restar_lib.ingest.sources.configured import file_options
from restar_lib.ingest.windows import ingest_configured
from restar_lib.settings import Settings, load
from restar_lib.store.database import engine_for

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MARKUP_SHARE = 0.002
"""Rows whose number of words is another one without their markup, which is not taken out here."""
REVIEW_NAMES = ("text", "rating", "timestamp")
EXPECTED: dict[str, tuple[int, dict[str, Any]]] = {
    "all_refused.jsonl": (0, {}),
    "blank_first_lines.csv": (1, {}),
    "cp1252.csv": (2, {}),
    "header_case.csv": (1, {}),
    "header_play_scraper.csv": (1, {}),
    "header_review.csv": (1, {}),
    "id_is_product.csv": (4, {}),
    "ids_shop_a.jsonl": (3, {}),
    "ids_shop_b.jsonl": (3, {}),
    "jamo_and_joiners.jsonl": (2, {}),
    "no_blanks.jsonl": (3, {}),
    "python_literals.json": (1, {}),
    "rating_binary.csv": (0, {}),
    "rating_ten.csv": (0, {}),
    "rating_ten.csv with a scale": (3, {"rating_scale": "1-10"}),
    "rating_words.csv": (7, {}),
    "time_float_epoch.csv": (3, {}),
    "time_forms.csv": (7, {}),
    "time_none.csv": (0, {}),
    "time_none.csv with a time": (2, {"reviewed_at": "file"}),
    "time_relative.csv": (0, {}),
    "utf16le.csv": (1, {}),
    "wrapper.json": (7, {}),
    "wrapper_pages.jsonl": (2, {}),
}


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One file."""

    name: str
    expected: int
    taken: int
    rows: int
    inspect_seconds: float
    ingest_seconds: float
    says: str


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    folders = parser.parse_args().folders
    cases = sorted(_cases(folders), key=lambda case: case[1].stat().st_size)
    with measuring.postgres() as server, measuring.database(server, "files") as url:
        found, first = [], 0.0
        for name, file, expected, source in cases:
            found.append(_try(url, name, file, expected, source))
            first = first or _peak_mib()
    missed = [one for one in found if abs(one.taken - one.expected) > MARKUP_SHARE * one.expected]
    header = ("file", "taken", "expected", "rows", "inspect s", "ingest s", "says")
    table = [
        (one.name, one.taken, one.expected, one.rows, one.inspect_seconds, one.ingest_seconds, one.says[:60])
        for one in found
    ]
    print(measuring.table("files of other people", header, table))
    print(f"largest memory {_peak_mib():,.0f} MiB, {first:,.0f} after the smallest file; {len(missed)} not as expected")
    print(measuring.save("files", {"files": {one.name: vars(one) for one in found}}))
    return 1 if missed else 0


def _cases(folders: list[Path]) -> Iterator[tuple[str, Path, int, dict[str, Any]]]:
    for folder in folders:
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            named = {name: case for name, case in EXPECTED.items() if name.split(" ")[0] == file.name}
            yield from ((name, file, *case) for name, case in named.items())
            if not named and (expected := _count(file)) is not None:
                yield file.name, file, expected, {}


def _count(file: Path) -> int | None:
    """Rows that are to be taken of a file of reviews; None where it is none."""
    if not file.name.endswith((".jsonl", ".jsonl.gz")):
        return None
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if not rows or not all(name in rows[0] for name in REVIEW_NAMES):
        return None
    return sum(10 <= len(str(row["text"]).split()) <= 512 and row["rating"] in {1, 2, 3, 4, 5} for row in rows)


def _try(url: str, name: str, file: Path, expected: int, source: dict[str, Any]) -> Tried:
    settings = _settings(file, source | {"name": name})
    began = time.perf_counter()
    report = inspect_file(next(iter(find_files(str(file)).values())), file_options(settings.source), settings.ingest)
    inspected = time.perf_counter()
    try:
        counts = ingest_configured(engine_for(url), settings, run_key="benchmark", now=NOW, max_rows=sys.maxsize)
        taken, rows, says = counts.rows_read - counts.quarantined, counts.rows_read, counts.problem or report.line()
    except RestarError as error:
        taken, rows, says = 0, 0, str(error)
    ended = time.perf_counter()
    says = says.removeprefix(f"{file}: ")
    return Tried(
        name=name,
        expected=expected,
        taken=taken,
        rows=rows,
        inspect_seconds=inspected - began,
        ingest_seconds=ended - inspected,
        says=says,
    )


def _settings(file: Path, source: dict[str, Any]) -> Settings:
    settings = load(environment={"RESTAR_HOME": "/nonexistent"}).settings
    changed = {"kind": "files", "path": str(file), **source}
    return settings.model_copy(update={"source": settings.source.model_copy(update=changed)})


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
