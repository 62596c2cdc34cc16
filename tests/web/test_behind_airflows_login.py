"""Our plugin in a real Airflow API server, over real HTTP: who gets in and who does not."""

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine

from restar_lib.desk.app import create_desk
from restar_lib.labeling import queue
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for
from tests.tasks import NOON, add_tasks
from tests.web.conftest import RunningAirflow
from tests.web.test_desk import DESK, by_header

BUILT_IN_PAGES = ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json")


def every_route(settings: Settings) -> list[tuple[str, str]]:
    """Method and path of every route of the application, parameters filled in."""
    engine = engine_for("postgresql+psycopg://nobody@nowhere/none")
    app = create_desk(settings=settings, engine=engine, signed_in=by_header, now=lambda: NOON)
    assert all(isinstance(route, APIRoute) for route in app.routes), "a mount is not behind the application's sign-in"
    return [
        (method, route.path.replace("{name}", "desk.js").replace("{path:path}", "report.html"))
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    ]


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer made.up.token"}, 403),
        ({"Cookie": "_token=made.up.token"}, 403),
        ({"Authorization": "Basic YWRhOmFkYQ=="}, 401),
    ],
)
def test_no_route_answers_a_stranger(
    airflow: RunningAirflow, smoke: Settings, credentials: dict[str, str], status: int
) -> None:
    """Every route of the plugin, pages and scripts included, refuses whoever Airflow does not know."""
    routes = every_route(smoke)
    assert ("POST", "/desk/submit") in routes
    assert ("GET", "/static/desk.js") in routes
    for method, path in routes:
        answer = httpx.request(method, f"{airflow.url}/restar{path}", headers=DESK | credentials, json={}, timeout=30)
        assert (answer.status_code, path) == (status, path)
        assert set(answer.json()) == {"error", "detail"}


@pytest.mark.parametrize("headers", [{"Accept": "text/html"}, {"Sec-Fetch-Dest": "document"}])
def test_a_link_in_a_mail_leads_to_the_login_and_back(airflow: RunningAirflow, headers: dict[str, str]) -> None:
    """Who opens a page without being signed in is sent to Airflow's login with the way back; nothing of it shows."""
    answer = httpx.get(f"{airflow.url}/restar/run-book/watching", headers=headers, timeout=30)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/api/v2/auth/login?next=%2Frestar%2Frun-book%2Fwatching"
    assert not answer.content
    login = httpx.get(f"{airflow.url}{answer.headers['location']}", timeout=30)
    assert login.status_code == 307
    assert login.headers["location"].endswith("next=%2Frestar%2Frun-book%2Fwatching")


@pytest.mark.parametrize("user", [None, "ada"])
def test_there_are_no_built_in_pages(airflow: RunningAirflow, user: str | None) -> None:
    """FastAPI's own documentation pages would not be behind the login: they do not exist, for anybody."""
    headers = {"Authorization": f"Bearer {airflow.token(user)}"} if user else {}
    for path in BUILT_IN_PAGES:
        assert httpx.get(f"{airflow.url}/restar{path}", headers=headers, timeout=30).status_code == 404


def test_airflows_user_is_the_labeler(airflow: RunningAirflow, desk_engine: Engine) -> None:
    """Ada, signed in with Airflow, claims a review; Ben, whom the configuration does not list, gets 403."""
    add_tasks(desk_engine, 1)
    as_ada, as_ben = (DESK | {"Authorization": f"Bearer {airflow.token(user)}"} for user in ("ada", "ben"))
    assert httpx.post(f"{airflow.url}/restar/desk/claim", headers=as_ben, json={}, timeout=30).status_code == 403
    claimed = httpx.post(f"{airflow.url}/restar/desk/claim", headers=as_ada, json={}, timeout=30)
    assert claimed.json()["review"]["text"].startswith("The lid fell off")
    assert queue.counts(desk_engine).claimed == 1


def test_airflow_lists_both_pages(airflow: RunningAirflow) -> None:
    """The navigation knows the desk and the reports, and loading the plugin raised nothing."""
    headers = {"Authorization": f"Bearer {airflow.token('ada')}"}
    plugins = httpx.get(f"{airflow.url}/api/v2/plugins", headers=headers, timeout=30)
    (ours,) = [plugin for plugin in plugins.raise_for_status().json()["plugins"] if plugin["name"] == "restar"]
    assert {view["href"] for view in ours["external_views"]} == {"/restar/desk/", "/restar/reports/"}
