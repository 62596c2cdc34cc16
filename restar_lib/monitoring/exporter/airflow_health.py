"""Whether Airflow's processes beat, as numbers for Prometheus: nobody else would say that the scheduler is gone.

Asks the API server's public health page at each scrape. A page that does not answer is a number too. It imports no
Airflow and restarts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

COMPONENTS: Final = ("metadatabase", "scheduler", "triggerer", "dag_processor")
SECONDS: Final = 5.0


class AirflowHealth(Collector):
    """One gauge for each of Airflow's processes."""

    def __init__(self, url: str) -> None:
        """`url`: the API server's, as seen from here."""
        self._page = f"{url.rstrip('/')}/api/v2/monitor/health"

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """1 where it beats, 0 where it does not or where nobody can be asked."""
        found = _asked(self._page)
        gauge = GaugeMetricFamily("restar_airflow_healthy", "1 where Airflow's process beats.", labels=["component"])
        gauge.add_metric(["api-server"], float(found is not None))
        for component in COMPONENTS:
            beats = (found or {}).get(component, {}).get("status") == "healthy"
            gauge.add_metric([component], float(beats))
        yield gauge


def _asked(page: str) -> dict[str, Any] | None:
    import httpx

    try:
        with httpx.Client(timeout=SECONDS, trust_env=False) as client:
            answer: dict[str, Any] = client.get(page).raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return None
    return answer
