"""Puts the label desk and the report pages into Airflow's UI; decides nothing.

The application is built at the first request: the scheduler, the DAG processor and every worker load this file too, and
need none of it. All of its routes are behind Airflow's login (`restar_lib.desk.auth`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/restar"


@cache
def desk() -> FastAPI:
    """The application with this process's settings and engine."""
    from restar_lib.desk.app import create_desk
    from restar_lib.desk.auth import signed_in
    from restar_lib.settings import settings
    from restar_lib.store.database import engine

    return create_desk(settings=settings(), engine=engine(), signed_in=signed_in, now=lambda: datetime.now(UTC))


class DeskOnFirstRequest:
    """An ASGI application that is there at once and built when somebody asks."""

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Hand the request on."""
        await desk()(scope, receive, send)


def view(name: str, *, path: str, route: str, icon: str) -> dict[str, Any]:
    """One entry of Airflow's navigation, shown in Airflow's frame."""
    return {
        "name": name,
        "href": f"{PREFIX}/{path}/",
        "destination": "nav",
        "url_route": route,
        "nav_top_level": True,
        "icon": f"{PREFIX}/static/{icon}.svg",
        "icon_dark_mode": f"{PREFIX}/static/{icon}-dark.svg",
    }


class RestarPlugin(AirflowPlugin):  # type: ignore[misc]  # Airflow is skipped by mypy (pyproject.toml)
    """What Airflow shows in its navigation."""

    name = "restar"
    fastapi_apps = [{"app": DeskOnFirstRequest(), "url_prefix": PREFIX, "name": "Re*Star"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        view("Label desk", path="desk", route="label-desk", icon="label-desk"),
        view("Reports", path="reports", route="restar-reports", icon="reports"),
    ]
