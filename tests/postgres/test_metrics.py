"""The loop's numbers for Prometheus, read from a real database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, event, update

from restar_lib.artifacts.release_log import ANY, ChampionChange, append
from restar_lib.domain import ReleaseKind
from restar_lib.monitoring.airflow_health import COMPONENTS
from restar_lib.monitoring.exporter.http import create_exporter
from restar_lib.store.database import engine_for
from restar_lib.store.tables import LabelTask
from tests.answering import answering
from tests.tasks import add_tasks

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
Scrape = Callable[[], dict[str, float]]


def scraping(engine: Engine, *, airflow_url: str = "") -> Scrape:
    """Asks the exporter as Prometheus does; every sample as `name{label="value"}`."""
    client = TestClient(create_exporter(engine, now=lambda: NOON, airflow_url=airflow_url))

    def scrape() -> dict[str, float]:
        families = text_string_to_metric_families(client.get("/metrics").raise_for_status().text)
        return {f"{sample.name}{sample.labels or ''}": sample.value for family in families for sample in family.samples}

    return scrape


@pytest.fixture
def scrape(engine: Engine) -> Scrape:
    """The exporter on this test's database."""
    return scraping(engine)


def test_an_empty_installation_has_numbers(scrape: Scrape) -> None:
    """No task, no release, nothing waits; and nothing fails because there is nothing."""
    samples = scrape()
    assert samples["restar_database_up"] == 1
    assert samples["restar_queue_tasks{'status': 'open'}"] == 0
    assert samples["restar_queue_set_aside_tasks{'why': 'skipped'}"] == 0
    assert (samples["restar_queue_oldest_open_seconds"], samples["restar_champion_release_id"]) == (0, 0)
    assert samples["restar_incident_open{'kind': 'drift'}"] == 0
    assert samples["restar_alerts_waiting{'channel': 'mail'}"] == 0


def test_the_queue_and_the_champion_are_what_the_tables_say(engine: Engine, scrape: Scrape) -> None:
    """The age of the oldest open task is measured from the clock that is passed in."""
    add_tasks(engine, 3)
    with engine.begin() as connection:
        connection.execute(update(LabelTask).values(created_at=NOON - timedelta(hours=2)))
    change = ChampionChange(
        model_version="rs-0123456789", kind=ReleaseKind.RELEASE, provisional=True, released_by="test", reason="a test",
        released_at=NOON,
    )  # fmt: skip
    made = append(engine, change, expected_previous=ANY)
    samples = scrape()
    assert samples["restar_queue_tasks{'status': 'open'}"] == 3
    assert samples["restar_queue_oldest_open_seconds"] == 7200
    assert (samples["restar_champion_release_id"], samples["restar_champion_provisional"]) == (made.release_id, 1)
    assert samples["restar_champion_info{'kind': 'release', 'model_version': 'rs-0123456789'}"] == 1


def test_a_database_that_is_away_is_a_number_and_no_error() -> None:
    """Prometheus must be able to tell it from an exporter that is gone."""
    away = engine_for("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2")
    assert scraping(away)() == {"restar_database_up": 0}


def test_no_scrape_reads_a_table_that_grows_with_the_reviews(engine: Engine, scrape: Scrape) -> None:
    """Every fifteen seconds, for ever: it must not get slower by the day."""
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    scrape()
    assert statements
    grows = ("FROM review", "FROM prediction", "FROM quarantine", "JOIN review")
    assert [statement for statement in statements if any(table in statement for table in grows)] == []


def test_a_scheduler_that_stopped_beating_is_a_number(engine: Engine) -> None:
    """Airflow's own health page says so, and its API server answers."""
    health = {
        "metadatabase": {"status": "healthy"},
        "scheduler": {"status": "unhealthy"},
        "triggerer": {"status": None},
    }
    with answering(health) as url:
        samples = scraping(engine, airflow_url=url)()
    beats = {part: samples[f"restar_airflow_healthy{{'component': '{part}'}}"] for part in ("api-server", *COMPONENTS)}
    assert beats == {"api-server": 1, "metadatabase": 1, "scheduler": 0, "triggerer": 0, "dag_processor": 0}


def test_an_airflow_that_is_away_hides_no_other_number(engine: Engine) -> None:
    """Nobody listens there."""
    samples = scraping(engine, airflow_url="http://127.0.0.1:1")()
    assert samples["restar_airflow_healthy{'component': 'api-server'}"] == 0
    assert samples["restar_database_up"] == 1
