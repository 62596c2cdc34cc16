"""GET /metrics: what Prometheus reads of one serving process.

Counts every request by route and status and how long it took, every prediction by its sentiment, and says which model
serves. A request that was refused because too much was in flight is a 503 of `restar_http_requests`, and counted in
`restar_http_requests_refused` as well, so that it can be told from a failure; how soon it was refused is not among the
times of answers. The number of label values does not depend on clients: routes are those of the API (anything else is
`unmatched`), statuses are numbers, sentiments are three, and a model is named only while it serves. Each application
has its own registry. It judges nothing: thresholds are in include/prometheus/alerts.yml.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restar_lib.domain import SENTIMENTS
from restar_lib.inference.answers import Answer
from restar_lib.serving.in_flight import InFlight
from restar_lib.serving.release_watcher import ReleaseWatcher

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
"""Seconds; 0.3 and 0.5 are the limits of the contract."""
UNMATCHED: Final = "unmatched"
CLIENT_LEFT: Final = 499
"""The client closed the connection before an answer began; nginx uses the same number."""


class ServingMetrics:
    """The counters of one application."""

    def __init__(self, watcher: ReleaseWatcher, in_flight: InFlight) -> None:
        """Counters at zero, so that rates are right from the first request on."""
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "restar_http_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "restar_http_request_duration_seconds", "To the last byte.", ["route"], buckets=BUCKETS, registry=registry
        )
        self._refused = Counter("restar_http_requests_refused", "Refused, too much in flight.", registry=registry)
        waiting = Gauge("restar_reviews_in_flight", "Reviews that are predicted or wait for it.", registry=registry)
        waiting.set_function(lambda: in_flight.reviews)
        self._predictions = Counter("restar_predictions", "Predictions by sentiment.", ["sentiment"], registry=registry)
        self._abstained = Counter("restar_predictions_abstained", "Predictions that abstained.", registry=registry)
        self._truncated = Counter("restar_predictions_truncated", "Texts longer than the window.", registry=registry)
        for sentiment in SENTIMENTS:
            self._predictions.labels(sentiment)
        for collector in (_Model(watcher), ProcessCollector(registry=None), PlatformCollector(registry=None)):
            self.registry.register(collector)

    def request(self, route: str, status: int, seconds: float, *, refused: bool = False) -> None:
        """Count one request; `refused` for overload, which says nothing about how fast answers are."""
        self._requests.labels(route, str(status)).inc()
        if refused:
            self._refused.inc()
        else:
            self._seconds.labels(route).observe(seconds)

    def predicted(self, answers: Sequence[Answer]) -> None:
        """Count the reviews that one request asked about."""
        for answer in answers:
            self._predictions.labels(answer.sentiment).inc()
        self._abstained.inc(sum(answer.abstained for answer in answers))
        self._truncated.inc(sum(answer.truncated for answer in answers))


class MeasuredRequests:
    """Middleware that counts every request, also those that fail. Plain ASGI: it buffers nothing."""

    def __init__(self, app: ASGIApp, *, metrics: ServingMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; an unexpected error is counted as 500, which an outer handler makes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), CLIENT_LEFT

        async def recording(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, recording)
        except Exception:
            status = 500
            raise
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            refused = scope.get("state", {}).get("refused", False)
            self._metrics.request(route, status, time.perf_counter() - started, refused=refused)


class _Model(Collector):
    """The model that serves, read at each scrape: one that was replaced leaves no series behind."""

    def __init__(self, watcher: ReleaseWatcher) -> None:
        self._watcher = watcher

    def collect(self) -> Iterator[InfoMetricFamily | GaugeMetricFamily]:
        serving = self._watcher.serving
        yield GaugeMetricFamily("restar_model_ready", "1 where a model is loaded.", value=float(serving is not None))
        yield GaugeMetricFamily(
            "restar_model_refused", "1 where a release was not taken.", value=float(self._watcher.refused is not None)
        )
        if serving is None:
            return
        info, pointer = serving.model.info, serving.pointer
        labels = {
            "model_version": serving.model.version,
            "mode": info.mode,
            "provisional": str(pointer.provisional).lower(),
            "simulated": str(info.simulated).lower(),
        }
        yield InfoMetricFamily("restar_model", "The model that serves.", value=labels)
        yield GaugeMetricFamily("restar_model_release_id", "The release that serves.", value=pointer.release_id)
        loaded_at = serving.loaded_at.timestamp()
        yield GaugeMetricFamily("restar_model_loaded_timestamp_seconds", "When it was loaded.", value=loaded_at)
