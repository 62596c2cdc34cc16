"""Overload: a real server whose predictions are held still answers about its state, and refuses what is too much."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from restar_lib.artifacts.pointer import Pointer
from restar_lib.inference.engine import InferenceEngine, Predictions
from restar_lib.serving.api import create_app
from restar_lib.serving.error_responses import Overloaded
from restar_lib.serving.in_flight import InFlight, by_sentences
from restar_lib.serving.release_watcher import ServedModel
from restar_lib.settings import ServingSettings, load
from tests.tiny_model import sealed_tiny_model

MANY = 50
"""More than the threads that the server has for predictions (40)."""
REVIEW = {"text": "An excellent lamp, I love it"}
STATE_ROUTES = ("/health", "/ready", "/model/info", "/metrics")
PATIENCE = 10


class HeldEngine(InferenceEngine):
    """Answers once it may."""

    go: threading.Event

    def predict(self, texts: Sequence[str], *, batch_size: int = 16) -> Predictions:
        """As the engine that it is, after `go`."""
        assert self.go.wait(60)
        return super().predict(texts, batch_size=batch_size)


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Set, it lets all predictions run; in the end it is, so that no thread is left."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def url(tmp_path: Path, go: threading.Event) -> Iterator[str]:
    """A server that takes `MANY` reviews at one time, and whose model waits for `go`."""
    settings = load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(tmp_path)}).settings
    settings = settings.model_copy(update={"serving": ServingSettings(max_in_flight=MANY)})
    model = HeldEngine.load(sealed_tiny_model(settings.models_dir))
    model.go = go
    pointer = Pointer(
        release_id=1, model_version=model.version, folder=f"models/{model.version}", provisional=False,
        released_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    app = create_app(settings)
    # No pointer file is there, so the watcher keeps what it is given.
    app.state.watcher.serving = ServedModel(model=model, pointer=pointer, loaded_at=datetime.now(UTC))
    with serving(uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))) as found:
        yield found
        go.set()


@contextmanager
def serving(server: uvicorn.Server) -> Iterator[str]:
    """Its address while it runs, in a thread of this process."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


def wait_for(condition: Callable[[], Any]) -> None:
    """Until it holds; a server that does not answer in time does not hold it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(httpx.TimeoutException):
            if condition():
                return
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def sample(url: str, name: str) -> float:
    """One number of `GET /metrics`."""
    lines = httpx.get(f"{url}/metrics", timeout=2).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), -1)


@contextmanager
def held_requests(url: str, go: threading.Event) -> Iterator[Callable[[], list[int]]]:
    """`MANY` predictions that wait; called, they may run, and their status codes are returned."""
    with (
        ThreadPoolExecutor(MANY) as pool,
        httpx.Client(timeout=60, limits=httpx.Limits(max_connections=MANY)) as client,
    ):
        waiting = [pool.submit(client.post, f"{url}/predict", json=REVIEW) for _ in range(MANY)]

        def answered() -> list[int]:
            go.set()
            return [one.result().status_code for one in waiting]

        try:
            yield answered
        finally:
            go.set()


def test_the_state_is_answered_while_every_thread_predicts(url: str, go: threading.Event) -> None:
    """Probes and Prometheus wait for no prediction: a busy replica is not taken for a dead one."""
    with held_requests(url, go) as answered:
        wait_for(lambda: sample(url, "restar_reviews_in_flight") == MANY)
        for path in STATE_ROUTES:
            assert httpx.get(f"{url}{path}", timeout=5).status_code == 200, path
        assert answered() == [200] * MANY


def test_a_prediction_beyond_the_bound_is_refused_at_once_and_counted_apart(url: str, go: threading.Event) -> None:
    """503 with `Retry-After` in the one shape, while all others wait; afterwards there is room again."""
    with held_requests(url, go) as answered:
        wait_for(lambda: sample(url, "restar_reviews_in_flight") == MANY)
        bodies = {"/predict": REVIEW, "/predict/batch": {"reviews": [REVIEW]}, "/predict/sentences": REVIEW}
        for path, body in bodies.items():
            refused = httpx.post(f"{url}{path}", json=body, timeout=5)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1"), path
            assert (refused.json()["error"], set(refused.json())) == ("overloaded", {"error", "detail"})
        assert answered() == [200] * MANY
    assert httpx.post(f"{url}/predict", json=REVIEW).status_code == 200
    assert sample(url, "restar_http_requests_refused_total") == 3
    assert sample(url, 'restar_http_requests_total{route="/predict",status="503"}') == 1
    assert sample(url, 'restar_http_request_duration_seconds_count{route="/predict"}') == MANY + 1
    assert sample(url, "restar_reviews_in_flight") == 0


def test_a_batch_counts_as_its_reviews() -> None:
    """What does not fit is refused and holds nothing; a process that is idle takes a batch of any size."""
    in_flight = InFlight(4)
    with in_flight.hold(9):
        assert in_flight.reviews == 9
    with in_flight.hold(1), in_flight.hold(3):
        with pytest.raises(Overloaded, match="4 reviews are being read, at most 4"), in_flight.hold(1):
            pytest.fail("it was let in")
        assert in_flight.reviews == 4
    assert in_flight.reviews == 0


def test_a_prediction_that_fails_gives_its_place_back() -> None:
    """Or errors would fill the process for good."""
    in_flight = InFlight(1)
    with pytest.raises(ValueError, match="broken"), in_flight.hold(1):
        raise ValueError("broken")
    assert in_flight.reviews == 0


def test_reading_by_sentences_counts_for_the_length_of_the_text() -> None:
    """The whole, and a review for each window that its sentences fill."""
    assert [by_sentences("x" * length) for length in (1, 1_000, 1_001, 10_000)] == [2, 2, 3, 11]
