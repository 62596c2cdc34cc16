"""The nightly turn on a small and on a large table: seconds per new review must not grow. Aim: within 1.3 times.

For each size so many reviews are there already, with their predictions, tasks for one in fifty and a thousand merged
labels. Then nights pass: new reviews are read from a file, scored and queued, labels are merged, the watch looks, the
training set is frozen; nothing is trained. The model is the tests' tiny one, so that no inference hides what the tables
cost; the watch draws its report in the same seconds for any table, so the last column leaves it out. The median of the
nights counts. CPU seconds (ours and the server's) are printed as well: on a busy machine the clock says little.

    python benchmarks/growth.py [--rows 10000 100000] [--new 2000] [--nights 3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import measuring
from sqlalchemy import Engine, insert, select, text, update

from restar_lib.artifacts.release_log import ChampionChange, append
from restar_lib.dataset.snapshot import freeze
from restar_lib.domain import ReleaseKind, Sentiment, TaskStatus
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.labeling.queue import merge_finished
from restar_lib.monitoring.watch import watch
from restar_lib.scoring.batch import score_new
from restar_lib.settings import PROJECT_ROOT, Settings
from restar_lib.store.database import engine_for
from restar_lib.store.tables import Label, LabelTask

sys.path.insert(0, str(PROJECT_ROOT))
from tests.tiny_model import sealed_tiny_model

BEFORE = datetime(2026, 1, 1, 2, tzinfo=UTC)
BASE_ROWS = 5000
LABELS = 1000
ANSWERED_A_NIGHT = 20

# What a long life leaves, made of the rows that ingest has stored: another id and another hash for each.
FILL = {
    "runs": """
        insert into ingest_run (source, run_key, started_at, finished_at, scored_at)
        select 'fill', 'fill', :before, :before, :before from generate_series(1, :copies)
    """,
    "reviews": """
        insert into review (review_id, source, text, title, rating, asin, parent_asin, product_category, user_id,
                            reviewed_at, words, text_hash, side, duplicate_of, ingest_run_id, ingested_at)
        select review_id || '-' || copy, source, 'C' || copy || 'y ' || text, title, rating, asin, parent_asin,
               product_category, user_id, reviewed_at - copy * interval '30 days' / :copies, words,
               encode(sha256((text_hash || copy)::bytea), 'hex'), side, null,
               (select min(ingest_run_id) from ingest_run where source = 'fill') + copy - 1, :before
        from review, generate_series(1, :copies) copy
        where duplicate_of is null and (copy < :copies or review_id <= :last)
    """,
    "predictions": """
        insert into prediction (review_id, model_version, p_negative, p_neutral, p_positive, sentiment, confidence,
                                abstained, scored_at)
        select review_id, :version, 0.05, 0.05, 0.9, 'positive', 0.9, false, :before
        from review where duplicate_of is null
    """,
    "tasks": """
        insert into label_task (review_id, reasons, priority, inclusion_probability, audit_rate, model_version)
        select review_id, '{audit}', 2, 0.02, 0.02, :version
        from review where duplicate_of is null order by text_hash limit :rows / 50
    """,
}


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="restar-bench-") as folder, measuring.postgres() as server:
        results = {}
        for rows in arguments.rows:
            with measuring.database(server, "restar_growth") as url:
                cpu = partial(measuring.cpu_seconds, server)
                results[rows] = measure_size(url, Path(folder) / str(rows), arguments, rows=rows, cpu=cpu)
    for kind in ("seconds", "cpu_seconds"):
        title = f"a night with {arguments.new:,} new reviews: {kind.replace('_', ' ')}"
        print(
            measuring.table(title, *columns_of({rows: found[kind] for rows, found in results.items()}, arguments.new))
        )
    print(measuring.save("growth", {"new": arguments.new, "nights": arguments.nights, "sizes": results}))
    return 0


def columns_of(results: dict[int, dict[str, float]], new: int) -> tuple[list[str], list[tuple[float, ...]]]:
    """A row for each size: the steps, and what a new review costs, beside the smallest size."""
    steps = list(next(iter(results.values())))
    header = ["reviews there", *steps, "ms a new review", "of smallest", "without watch"]
    of_new = {rows: 1000 * sum(found.values()) / new for rows, found in results.items()}
    tables = {rows: of_new[rows] - 1000 * found["watch"] / new for rows, found in results.items()}
    least = min(results)
    return header, [
        (rows, *found.values(), of_new[rows], of_new[rows] / of_new[least], tables[rows] / tables[least])
        for rows, found in results.items()
    ]


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000], help="reviews that are there already")
    parser.add_argument("--new", type=int, default=2000, help="new reviews a night")
    parser.add_argument("--nights", type=int, default=3)
    return parser.parse_args()


def measure_size(
    url: str, folder: Path, arguments: argparse.Namespace, *, rows: int, cpu: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Seconds of each step of a night, the median of the nights, by the clock and of the processors."""
    engine = engine_for(url)
    settings = configured(folder)
    version = fill(engine, settings, rows=rows)
    nights = [
        night(engine, settings, version, number=number, new=arguments.new, cpu=cpu)
        for number in range(arguments.nights)
    ]
    engine.dispose()
    return {
        kind: {step: median(one[step][place] for one in nights) for step in nights[0]}
        for place, kind in enumerate(("seconds", "cpu_seconds"))
    }


def configured(folder: Path) -> Settings:
    """The defaults, from one file that grows."""
    folder.mkdir()
    source = {"kind": "files", "name": "benchmark", "path": str(folder / "reviews.jsonl")}
    return measuring.settings_for(folder / "var", source=source)


def fill(engine: Engine, settings: Settings, *, rows: int) -> str:
    """An installation that has run for long: returns its champion."""
    file = Path(settings.source.path)
    base = min(rows, BASE_ROWS)
    measuring.write_lines(file, measuring.raw_rows(measuring.settings_for(file.parent), ""), count=base)
    ingest(engine, open_source(settings), settings, run_key="fill", now=BEFORE, max_rows=base)
    freeze(engine, settings, now=BEFORE - timedelta(days=1))
    champion = sealed_tiny_model(settings.models_dir, strength=0.4)
    append(engine, _release(champion.name), expected_previous=None)
    copies, last = divmod(rows - base, base)
    values: dict[str, Any] = {"before": BEFORE, "rows": rows, "version": champion.name, "copies": copies + bool(last)}
    with engine.begin() as connection:
        ids = connection.scalars(text("select review_id from review where duplicate_of is null order by 1")).all()
        values["last"] = ids[last - 1] if last else ids[-1]
        for statement in FILL.values():
            connection.execute(text(statement), values)
        answer(connection, now=BEFORE, count=LABELS)
        merge_finished(connection, now=BEFORE)
        connection.execute(text("update ingest_run set scored_at = :before, finished_at = :before"), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))  # as the server does by itself in the course of a day
    return champion.name


def night(
    engine: Engine, settings: Settings, version: str, *, number: int, new: int, cpu: Callable[[], float]
) -> dict[str, tuple[float, float]]:
    """Seconds of each step of one nightly turn, by the clock and of the processors."""
    now = BEFORE + timedelta(days=1 + number)
    shifted = measuring.settings_for(settings.home, simulated={"seed": 1000 + number})
    fresh = settings.home.parent / "fresh.jsonl"
    measuring.write_lines(fresh, measuring.raw_rows(shifted, ""), count=new)
    with Path(settings.source.path).open("ab") as file:
        file.write(fresh.read_bytes())
    model = settings.models_dir / version
    steps: dict[str, Callable[[], Any]] = {
        "ingest": lambda: ingest(engine, open_source(settings), settings, run_key=f"night {number}", now=now),
        "score": lambda: score_new(engine, settings, model_folder=model, now=now),
        "merge": lambda: _merge(engine, now=now),
        "snapshot": lambda: freeze(engine, settings, now=now),
        "watch": lambda: watch(engine, settings, run_key=f"night {number}", now=now),
    }
    seconds = {}
    for step, do in steps.items():
        began, used = time.perf_counter(), cpu()
        do()
        seconds[step] = time.perf_counter() - began, cpu() - used
        if step == "score":
            with engine.begin() as connection:
                answer(connection, now=now, count=ANSWERED_A_NIGHT)
    return seconds


def answer(connection: Any, *, now: datetime, count: int) -> None:
    """Let a person answer so many open tasks (how fast people claim is measured elsewhere)."""
    tasks = connection.scalars(
        select(LabelTask.task_id).where(LabelTask.status == TaskStatus.OPEN).order_by(LabelTask.task_id).limit(count)
    ).all()
    labels = [
        {"task_id": task, "labeler": "ann", "sentiment": Sentiment.POSITIVE, "source": "person"} for task in tasks
    ]
    connection.execute(insert(Label), labels)
    done = {"status": TaskStatus.DONE, "consensus": Sentiment.POSITIVE, "done_at": now}
    connection.execute(update(LabelTask).where(LabelTask.task_id.in_(tasks)).values(done))


def _merge(engine: Engine, *, now: datetime) -> None:
    with engine.begin() as connection:
        merge_finished(connection, now=now)


def _release(version: str) -> ChampionChange:
    return ChampionChange(
        model_version=version,
        kind=ReleaseKind.RELEASE,
        provisional=False,
        released_by="benchmark",
        reason="benchmark",
        released_at=BEFORE,
    )


if __name__ == "__main__":
    sys.exit(main())
