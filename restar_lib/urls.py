"""Addresses of Re*Star's pages in Airflow's UI. Pure functions; `desk` serves the pages, behind Airflow's login."""

from __future__ import annotations

from urllib.parse import quote


def report_url(airflow_url: str, report_file: str) -> str:
    """The address of a file below the reports folder; `airflow_url` is `orchestration.airflow_url`."""
    return f"{airflow_url.rstrip('/')}/restar/reports/view/{quote(report_file)}"
