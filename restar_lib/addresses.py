"""Where Airflow's UI shows what this project writes. Pure; the pages are `desk`'s, behind Airflow's login."""

from __future__ import annotations

from urllib.parse import quote

from restar_lib.settings import Settings


def report_url(settings: Settings, report_file: str) -> str:
    """The address of a file below the reports folder."""
    return f"{settings.orchestration.airflow_url.rstrip('/')}/restar/reports/view/{quote(report_file)}"
