"""Pages of configured sites may ask for predictions from a browser; others may not, and no page may do anything else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from restar_lib.artifacts.pointer import Pointer, write_pointer
from restar_lib.serving.api import create_app
from restar_lib.settings import ServingSettings, load
from tests.tiny_model import sealed_tiny_model
from tests.unit.test_serving import GOOD, serving, wait_for

SHOP, OTHER = "https://shop.example:8443", "https://elsewhere.example"
ALLOWED = "access-control-allow-origin"


def api(home: Path, *origins: str) -> Iterator[TestClient]:
    """A process with a model, whose configuration names these origins."""
    settings = load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(home)}).settings
    changed = ServingSettings(poll_seconds=0.02, max_chars=200, allowed_origins=origins)
    settings = settings.model_copy(update={"serving": changed})
    version = sealed_tiny_model(settings.models_dir).name
    pointer = Pointer(
        release_id=1,
        model_version=version,
        folder=f"models/{version}",
        provisional=False,
        released_at=datetime.now(UTC),
    )
    write_pointer(settings.pointer_path, pointer)
    with TestClient(create_app(settings)) as client:
        wait_for(lambda: serving(client) == version)
        yield client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """One origin is configured."""
    yield from api(tmp_path, SHOP)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[TestClient]:
    """None is, which is the default."""
    yield from api(tmp_path)


def preflight(origin: str, *, method: str = "POST") -> dict[str, str]:
    """What a browser sends before a page may post JSON."""
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type",
    }


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/predict/sentences"])
def test_a_page_of_a_configured_site_may_ask(client: TestClient, path: str) -> None:
    """The preflight is answered, and names that origin alone, the method and the header; no credentials."""
    answer = client.options(path, headers=preflight(SHOP))
    assert answer.status_code == 200
    assert answer.headers[ALLOWED] == SHOP
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "content-type" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()


def test_it_may_read_the_answers_errors_among_them(client: TestClient) -> None:
    """Predictions, what serves, and why a text was refused."""
    asked = {"Origin": SHOP}
    assert client.post("/predict", json={"text": GOOD}, headers=asked).headers[ALLOWED] == SHOP
    assert client.get("/model/info", headers=asked).headers[ALLOWED] == SHOP
    for text, status in ((" ", 422), ("x" * 201, 413)):
        refused = client.post("/predict", json={"text": text}, headers=asked)
        assert (refused.status_code, refused.headers[ALLOWED]) == (status, SHOP)


@pytest.mark.parametrize("origin", [OTHER, "http://shop.example:8443", "https://shop.example", "null"])
def test_other_origins_get_no_permission(client: TestClient, origin: str) -> None:
    """Another site, scheme or port; whoever asks without a browser is answered as ever."""
    assert ALLOWED not in client.options("/predict", headers=preflight(origin)).headers
    answer = client.post("/predict", json={"text": GOOD}, headers={"Origin": origin})
    assert (answer.status_code, ALLOWED in answer.headers) == (200, False)


@pytest.mark.parametrize("path", ["/metrics", "/health", "/ready", "/docs", "/openapi.json"])
def test_other_routes_are_for_the_same_site_alone(client: TestClient, path: str) -> None:
    """A page needs predictions and the notice, no more."""
    assert ALLOWED not in client.get(path, headers={"Origin": SHOP}).headers
    assert client.options(path, headers=preflight(SHOP, method="GET")).status_code == 405


def test_by_default_no_page_may_ask(closed: TestClient) -> None:
    """A preflight is a method that the route does not have."""
    answer = closed.options("/predict", headers=preflight(SHOP))
    assert (answer.status_code, ALLOWED in answer.headers) == (405, False)
    assert ALLOWED not in closed.post("/predict", json={"text": GOOD}, headers={"Origin": SHOP}).headers


@pytest.mark.parametrize(
    "origin", ["*", "null", "shop.example", "https://shop.example/", "https://*.example", "HTTPS://Shop.example"]
)
def test_what_no_browser_sends_is_refused_by_name(origin: str) -> None:
    """Instead of never fitting; a pattern most of all."""
    with pytest.raises(ValidationError, match="expected https://<host>"):
        ServingSettings(allowed_origins=(origin,))
