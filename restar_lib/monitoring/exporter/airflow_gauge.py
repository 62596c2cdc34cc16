"""Whether Airflow's processes are alive, as numbers for Prometheus: no other metric says that the scheduler is gone.

Reads `monitoring.airflow_health` at each scrape; a page that does not answer is a number too. It restarts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from restar_lib.monitoring.airflow_health import COMPONENTS, airflow_health


class AirflowGauge(Collector):
    """One gauge for each of Airflow's processes."""

    def __init__(self, url: str) -> None:
        """`url`: the API server's, as seen from here."""
        self._url = url

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """1 where it is healthy, 0 where it is not or where the API server does not answer."""
        health = airflow_health(self._url)
        gauge = GaugeMetricFamily("restar_airflow_healthy", "1 where Airflow's process beats.", labels=["component"])
        gauge.add_metric(["api-server"], float(health.error is None))
        for component in COMPONENTS:
            gauge.add_metric([component], float(health.is_healthy(component)))
        yield gauge
