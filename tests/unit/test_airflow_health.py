"""Airflow's public health page, read from a real HTTP server."""

from __future__ import annotations

import pytest

from restar_lib.monitoring.airflow_health import COMPONENTS, airflow_health
from tests.answering import answering


def test_each_component_is_what_the_page_says() -> None:
    """Healthy, unhealthy, without a status, and not there at all."""
    page = {
        "metadatabase": {"status": "healthy"},
        "scheduler": {"status": "unhealthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:00+00:00"},
        "triggerer": {"status": None},
    }
    with answering(page) as url:
        health = airflow_health(f"{url}/")
    assert health.error is None
    assert {name: health.is_healthy(name) for name in COMPONENTS} == {
        "metadatabase": True, "scheduler": False, "dag_processor": False, "triggerer": False,
    }  # fmt: skip
    assert health.statuses["scheduler"] == "unhealthy"
    assert health.statuses["dag_processor"] is None


def test_a_page_that_does_not_answer_is_an_answer() -> None:
    """Nobody listens there: the reason is told, nothing is healthy and nothing is raised."""
    health = airflow_health("http://127.0.0.1:1")
    assert "refused" in str(health.error)
    assert not any(health.is_healthy(name) for name in COMPONENTS)


def test_the_neighbour_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is for the world outside."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering({"scheduler": {"status": "healthy"}}) as url:
        assert airflow_health(url).is_healthy("scheduler")
