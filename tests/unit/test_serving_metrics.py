"""GET /metrics of the API: true counts, few labels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from restar_lib.artifacts.pointer import Pointer, write_pointer
from restar_lib.serving.api import create_app
from restar_lib.settings import ServingSettings, Settings, load
from tests.tiny_model import sealed_tiny_model

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Smoke settings with small limits."""
    found = load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(tmp_path)}).settings
    return found.model_copy(update={"serving": ServingSettings(poll_seconds=0.02, max_batch=4, max_chars=200)})


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """The API, without a model until `release` is called."""
    app = create_app(settings)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def release(client: TestClient, settings: Settings, *, release_id: int = 1, **model: tuple[float, ...]) -> str:
    """Put a tiny model into service, and wait for it."""
    version = sealed_tiny_model(settings.models_dir, **model).name
    pointer = Pointer(
        release_id=release_id,
        model_version=version,
        folder=f"models/{version}",
        provisional=True,
        released_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    write_pointer(settings.pointer_path, pointer)
    while client.get("/model/info").json()["release_id"] != release_id:
        pass
    return version


def scrape(client: TestClient) -> Samples:
    """Every sample by name and labels, parsed by Prometheus' own parser."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def requests(samples: Samples, route: str, status: int) -> float:
    """How often a route answered with a status."""
    return samples.get(("restar_http_requests_total", (("route", route), ("status", str(status)))), 0)


def test_requests_are_counted_by_route_and_status(client: TestClient, settings: Settings) -> None:
    """Answers, refusals by us and by the framework, and a body that is cut off: one each."""
    client.post("/predict", json={"text": "no model yet"})
    release(client, settings)
    client.post("/predict", json={"text": "An excellent lamp"})
    client.post("/predict", json={"txt": "?"})
    client.post("/predict", content=b"x" * 200_000)
    samples = scrape(client)
    assert [requests(samples, "/predict", status) for status in (503, 200, 422, 413)] == [1, 1, 1, 1]
    durations = samples["restar_http_request_duration_seconds_count", (("route", "/predict"),)]
    assert durations == 4


def test_what_clients_make_up_adds_no_series(client: TestClient) -> None:
    """A thousand addresses that do not exist are one route."""
    before = len(scrape(client))
    for number in range(50):
        client.get(f"/{number}", headers={"x-made-up": str(number)})
    samples = scrape(client)
    assert requests(samples, "unmatched", 404) == 50
    assert len(samples) - before < 40


def test_predictions_are_counted_by_sentiment_and_doubt(client: TestClient, settings: Settings) -> None:
    """A batch counts each of its reviews; one that is unsure is an abstention too."""
    release(client, settings)
    batch = ["An excellent lamp, I love it", "Terrible, broken, a waste", "The parcel came on a Tuesday"]
    answers = client.post("/predict/batch", json={"reviews": batch}).json()["predictions"]
    samples = scrape(client)
    said = [answer["sentiment"] for answer in answers]
    for sentiment in ("negative", "neutral", "positive"):
        assert samples["restar_predictions_total", (("sentiment", sentiment),)] == said.count(sentiment)
    assert sum(answer["abstained"] for answer in answers) == 1
    assert samples["restar_predictions_abstained_total", ()] == 1


def test_the_model_that_serves_is_named_and_leaves_no_series_behind(client: TestClient, settings: Settings) -> None:
    """Before a release nothing is named, after the second one only the second."""
    assert scrape(client)["restar_model_ready", ()] == 0
    release(client, settings)
    second = release(client, settings, release_id=2, bias=(9.0, 0.0, 0.0))
    samples = scrape(client)
    named = [dict(labels) for (name, labels) in samples if name == "restar_model_info"]
    assert [one["model_version"] for one in named] == [second]
    assert (named[0]["provisional"], samples["restar_model_release_id", ()]) == ("true", 2)


def test_an_error_that_nobody_foresaw_is_counted_as_a_failure(client: TestClient, settings: Settings) -> None:
    """The rate of failed requests sees it."""
    release(client, settings)
    watcher = client.app.state.watcher  # type: ignore[attr-defined]
    watcher.stop()
    watcher.serving = "not a model"
    assert client.post("/predict", json={"text": "An excellent lamp"}).status_code == 500
    watcher.serving = None
    assert requests(scrape(client), "/predict", 500) == 1
