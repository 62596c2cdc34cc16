"""Reading from the hub into the tables: killed in the middle, it ends like a run that nobody disturbed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, select

from restar_lib.errors import HubError
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for
from restar_lib.store.tables import Quarantine, ReviewRow, SourceCursor
from tests.hub_content import CATEGORIES, raw_file
from tests.hub_stand_in import Hub, Trouble, hub_stand_in

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")
ROWS = 150


@pytest.fixture
def hub(smoke: Settings) -> Iterator[Hub]:
    """Three categories of simulated reviews, one of them shorter, with a broken line each."""
    with hub_stand_in() as running:
        files = {
            f"raw/review_categories/{name}.jsonl": raw_file(
                name, range(place * 1000, place * 1000 + ROWS // (1 + place % 2))
            )
            + b'{"text": "cut off\n'
            for place, name in enumerate(CATEGORIES)
        }
        running.repository("dataset", smoke.hub.dataset).commit(files)
        yield running


def from_hub(settings: Settings, hub: Hub) -> Settings:
    """Small blocks and chunks, so that there are many steps to be killed at."""
    config = settings.hub.model_copy(
        update={"endpoint": hub.endpoint, "categories": CATEGORIES, "block_bytes": 4096, "tries": 1}
    )
    source = settings.source.model_copy(update={"kind": "hub", "name": "hub"})
    chunks = settings.ingest.model_copy(update={"chunk_rows": 20})
    return settings.model_copy(update={"hub": config, "source": source, "ingest": chunks})


def read(engine: Engine, settings: Settings) -> int:
    return ingest(engine, open_source(settings), settings, run_key="test", now=NOW).rows_read


def state(engine: Engine) -> dict[str, Any]:
    """All that must be the same, however it came about."""
    reviews = select(
        ReviewRow.review_id, ReviewRow.text, ReviewRow.product_category, ReviewRow.side, ReviewRow.duplicate_of
    )
    refused = select(Quarantine.row_hash, Quarantine.reason)
    with engine.connect() as connection:
        return {
            "reviews": connection.execute(reviews.order_by(ReviewRow.review_id)).all(),
            "refused": connection.execute(refused.order_by(Quarantine.row_hash)).all(),
            "cursor": connection.execute(select(SourceCursor.cursor, SourceCursor.rows_read)).one(),
        }


def undisturbed(engine: Engine, settings: Settings) -> dict[str, Any]:
    """The end state of one whole run; the tables are empty again afterwards."""
    read(engine, settings)
    expected = state(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("truncate review, quarantine, source_cursor, ingest_run cascade")
    return expected


def test_a_run_that_is_killed_at_any_request_goes_on(
    engine: Engine, database_url: str, smoke: Settings, hub: Hub
) -> None:
    """Killed while it waits for the hub, three times in a row: no row is lost, none is there twice."""
    settings = from_hub(smoke, hub)
    expected = undisturbed(engine, settings)
    assert len(expected["reviews"]) > ROWS
    assert len(expected["refused"]) >= len(CATEGORIES)
    for requests in (5, 9, 13):
        _killed_at(requests, database_url, settings, hub)
    assert 0 < len(state(engine)["reviews"]) < len(expected["reviews"])
    read(engine, settings)
    assert state(engine) == expected
    assert read(engine, settings) == 0


def test_what_was_read_before_the_hub_failed_is_stored(engine: Engine, smoke: Settings, hub: Hub) -> None:
    """The run fails with the hub's name; the next one goes on behind the last row that was handed on."""
    settings = from_hub(smoke, hub)
    expected = undisturbed(engine, settings)
    hub.troubles.extend([Trouble(where="/stored/"), Trouble(where="/stored/"), Trouble(where="/stored/")])
    hub.troubles.append(Trouble(where="/stored/", status=503))
    with pytest.raises(HubError, match="did not answer in 1 tries, the last time: status 503"):
        read(engine, settings)
    assert len(state(engine)["reviews"]) > 0
    read(engine, settings)
    assert state(engine) == expected


def _killed_at(requests: int, database_url: str, settings: Settings, hub: Hub) -> None:
    """Run an ingest in a process of its own, and SIGKILL it once it has sent so many requests for bytes."""
    hub.requests.clear()
    hub.troubles.extend([Trouble(where="/stored/")] * (requests - 1) + [Trouble(where="/stored/", seconds=3)])
    process = FORK.Process(target=lambda: read(engine_for(database_url), settings))
    process.start()
    deadline = time.monotonic() + 60
    while sum("/stored/" in request for request in hub.requests) < requests and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    hub.troubles.clear()
