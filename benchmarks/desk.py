"""What a key press at the desk costs beside a long queue: milliseconds of each call. Aim: under 20 at a million tasks.

For each size so many reviews have a task: seven in ten are open, one in a hundred is finished, the others are merged,
with a label each by one of ten people, and one in twenty open ones was skipped by somebody. Then one person works: each
call of `labeling.leases` and the counts by themselves, a key press as the desk answers it (HTTP, in this process: the
answer, the next review and the counts), and a scrape of the metrics. Last, eight people answer at once, each over a
connection of their own, in three rounds: the best one counts, because others use the machine as well.

    python benchmarks/desk.py [--rows 10000 1000000] [--presses 200] [--answers 2000] [--name desk]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from fastapi import Request
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import Engine, create_engine, text

from restar_lib.desk.app import create_desk
from restar_lib.desk.context import Right
from restar_lib.domain import LabelSource, Sentiment
from restar_lib.labeling import leases, queue
from restar_lib.labeling.leases import Claim
from restar_lib.monitoring.exporter.gauges import LoopGauges
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for

LEASE_SECONDS = 3600
PEOPLE = 8
ROUNDS = 3

FILL = {
    "reviews": """
        with run as (
            insert into ingest_run (source, run_key, started_at, finished_at, scored_at)
            values ('fill', 'fill', now(), now(), now()) returning ingest_run_id
        )
        insert into review (review_id, source, text, rating, product_category, reviewed_at, words, text_hash, side,
                            ingest_run_id)
        select 'r' || n, 'fill', 'Review ' || n || repeat(' of a thing', 30), 1 + n % 5, 'Kitchen',
               now() - n * interval '1 second', 91, encode(sha256(n::text::bytea), 'hex'), 'train', ingest_run_id
        from run, generate_series(1, :rows) n
    """,
    "tasks": """
        insert into label_task (review_id, status, reasons, priority, inclusion_probability, audit_rate, created_at,
                                consensus, done_at, merged_at)
        select review_id, state::task_status, '{uncertain}', random(), 1, null,
               now() - interval '1 day' + n * interval '10 milliseconds',
               case when state <> 'open' then 'positive'::sentiment end,
               case when state <> 'open' then now() - interval '1 hour' end,
               case when state = 'merged' then now() - interval '1 hour' end
        from (
            select review_id, n,
                   case when n % 100 < 70 then 'open' when n % 100 = 70 then 'done' else 'merged' end as state
            from (select review_id, row_number() over () as n from review) numbered
        ) chosen
    """,
    "labels": """
        insert into label (task_id, labeler, sentiment, source, labeled_at)
        select task_id, 'person-' || task_id % 10, 'positive', 'person', now() - interval '1 day'
        from label_task where status in ('done', 'merged')
    """,
    "skips": """
        insert into label_skip (task_id, labeler, skipped_at)
        select task_id, 'person-' || task_id % 10, now() - interval '1 day' from label_task
        where status = 'open' and task_id % 20 = 0
    """,
}


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    results = {}
    with tempfile.TemporaryDirectory(prefix="restar-bench-") as folder, measuring.postgres() as server:
        settings = measuring.settings_for(Path(folder))
        for rows in arguments.rows:
            with measuring.database(server, "restar_desk") as url:
                results[rows] = measure_size(url, settings, arguments, rows=rows)
    calls = list(next(iter(results.values()))["median"])
    for kind in ("median", "p95"):
        header = ["tasks", *calls]
        table = [(rows, *found[kind].values()) for rows, found in results.items()]
        print(measuring.table(f"{kind} milliseconds of a call, one person", header, table))
    both = [(rows, found["answers_a_second"]) for rows, found in results.items()]
    print(measuring.table(f"{PEOPLE} people at once", ["tasks", "claim + submit a second"], both))
    print(measuring.save(arguments.name, {"presses": arguments.presses, "sizes": results}))
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000], help="tasks in the queue")
    parser.add_argument("--presses", type=int, default=200, help="calls of each kind that one person makes")
    parser.add_argument("--answers", type=int, default=2000, help="answers of a round of eight people")
    parser.add_argument("--name", default="desk", help="of the file of results")
    return parser.parse_args()


def measure_size(url: str, settings: Settings, arguments: argparse.Namespace, *, rows: int) -> dict[str, Any]:
    """Milliseconds of each call, and answers a second of eight people."""
    engine = engine_for(url)
    with engine.begin() as connection:
        for statement in FILL.values():
            connection.execute(text(statement), {"rows": rows})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))  # as the server does by itself in the course of a day
    person = Person(engine, settings)
    with person.http:  # one event loop for all requests
        for _ in range(arguments.presses):
            person.work()
    found = {call: np.array(seconds) * 1000 for call, seconds in person.seconds.items()}
    engine.dispose()
    return {
        "median": {call: float(np.median(times)) for call, times in found.items()},
        "p95": {call: float(np.quantile(times, 0.95)) for call, times in found.items()},
        "answers_a_second": max(together(url, settings, arguments.answers) for _ in range(ROUNDS)),
    }


class Person:
    """Somebody at the desk, timed."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """Nothing is called yet."""
        self.engine, self.settings, self.name = engine, settings, "ada"
        self.seconds: dict[str, list[float]] = defaultdict(list)
        app = create_desk(settings=settings, engine=engine, signed_in=self._signed_in, now=_now)
        self.http = TestClient(app, headers={"X-Restar-Desk": "1", "Content-Type": "application/json"})
        self.registry = CollectorRegistry()
        self.registry.register(LoopGauges(engine, now=_now))

    async def _signed_in(self, request: Request) -> None:
        request.state.visitor, request.state.rights = self.name, frozenset(Right)

    def work(self) -> None:
        """Each call once, and a key press at the desk."""
        with self._timed("claim"):
            claim = take(self.engine, self.name)
        with self._timed("skip"):
            held = {"task_id": claim.task_id, "token": claim.token}
            leases.skip(self.engine, **held, labeler=self.name, now=_now(), settings=self.settings)
        claim = take(self.engine, self.name)
        with self._timed("submit"):
            answer(self.engine, self.settings, claim, self.name)
        with self._timed("undo"):
            leases.undo(self.engine, labeler=self.name, now=_now(), settings=self.settings)
        with self._timed("counts"):
            queue.counts(self.engine)
        review = self._post("claim", {})["review"]  # opens the page
        held = {key: review[key] for key in ("task_id", "token")}
        with self._timed("key press"):
            self._post("submit", held | {"sentiment": "positive"})
        with self._timed("scrape"):
            generate_latest(self.registry)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        desk: dict[str, Any] = self.http.post(f"/desk/{path}", json=body).raise_for_status().json()
        return desk

    @contextmanager
    def _timed(self, call: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[call].append(time.perf_counter() - began)


def together(url: str, settings: Settings, answers: int) -> float:
    """Claims with their answers a second, of eight people at once."""
    engine = create_engine(url, pool_size=PEOPLE)
    left = count(answers, -1)

    def label(name: str) -> None:
        while next(left) > 0:
            answer(engine, settings, take(engine, name), name)

    with ThreadPoolExecutor(PEOPLE) as pool:
        list(pool.map(take_one_and_give_it_back(engine), [f"p{number}" for number in range(PEOPLE)]))
        began = time.perf_counter()
        list(pool.map(label, [f"p{number}" for number in range(PEOPLE)]))
        seconds = time.perf_counter() - began
    engine.dispose()
    return answers / seconds


def take_one_and_give_it_back(engine: Engine) -> Callable[[str], None]:
    """Opens a connection for each person, so that no round pays for it."""

    def once(name: str) -> None:
        claim = take(engine, name)
        leases.release_claim(engine, task_id=claim.task_id, token=claim.token, labeler=name)

    return once


def take(engine: Engine, name: str) -> Claim:
    """The next review."""
    claim = leases.claim(engine, labeler=name, now=_now(), lease_seconds=LEASE_SECONDS)
    if claim is None:
        raise SystemExit("the queue is empty: ask for more rows or fewer answers")
    return claim


def answer(engine: Engine, settings: Settings, claim: Claim, name: str) -> None:
    """Positive."""
    leases.submit(
        engine,
        task_id=claim.task_id,
        token=claim.token,
        labeler=name,
        sentiment=Sentiment.POSITIVE,
        source=LabelSource.PERSON,
        now=_now(),
        settings=settings,
    )


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
