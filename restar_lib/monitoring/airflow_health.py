"""Whether Airflow's processes are alive, as the public health page of its API server says.

One GET, no login, nothing cached; a page that does not answer is an answer too. It imports no Airflow, starts and
restarts nothing. Called by the Prometheus exporter, `restar doctor` and the start of the embedded installation.
(`include/production/healthy` asks the same page from a container's health check, with the standard library alone.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PAGE: Final = "/api/v2/monitor/health"
COMPONENTS: Final = ("metadatabase", "scheduler", "dag_processor", "triggerer")


@dataclass(frozen=True, kw_only=True)
class AirflowHealth:
    """What the health page said."""

    error: str | None = None
    """Why the API server gave no answer; None where it did."""
    statuses: Mapping[str, str | None] = field(default_factory=dict)
    """The status of each of `COMPONENTS`; None where the page says nothing about it, empty without an answer."""

    def is_healthy(self, component: str) -> bool:
        """Whether the page says so; False where there is no answer."""
        return self.statuses.get(component) == "healthy"


def airflow_health(url: str, *, timeout_seconds: float = 5.0) -> AirflowHealth:
    """Ask the API server at `url`. Raises nothing where it does not answer or answers something else."""
    import httpx

    try:
        # Not through a proxy that the environment names, Airflow is nearby; but with the certificates that it names.
        with httpx.Client(timeout=timeout_seconds, trust_env=False, verify=httpx.create_ssl_context()) as client:
            page = client.get(f"{url.rstrip('/')}{PAGE}").raise_for_status().json()
        statuses = {component: (page.get(component) or {}).get("status") for component in COMPONENTS}
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return AirflowHealth(error=str(error))
    return AirflowHealth(statuses=statuses)
