"""`restar metrics`: a small HTTP process that Prometheus asks for the loop's numbers (`monitoring.exporter.gauges`).

A process of its own, because the serving API has no database and Airflow's processes come and go. `GET /metrics` reads
the database, `GET /health` only says that the process is alive. It has no login and must stay on the inner network.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy import Engine

from restar_lib.monitoring.exporter.airflow_gauge import AirflowGauge
from restar_lib.monitoring.exporter.gauges import LoopGauges


def create_exporter(engine: Engine, *, now: Callable[[], datetime], airflow_url: str = "") -> FastAPI:
    """The application; its documentation is off, there is nothing to try out. Without a URL no Airflow is asked."""
    registry = CollectorRegistry()
    # What collectors have is asked at a scrape, not here: nothing needs to be there yet.
    registry.register(LoopGauges(engine, now=now))
    if airflow_url:
        registry.register(AirflowGauge(airflow_url))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "alive"}

    return app


def run(engine: Engine, *, host: str, port: int, airflow_url: str) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    import uvicorn

    app = create_exporter(engine, now=lambda: datetime.now(UTC), airflow_url=airflow_url)
    uvicorn.run(app, host=host, port=port, access_log=False)
