"""The run-books inside Airflow's UI: every alert's link leads to the section about it."""

import re
from datetime import UTC, datetime

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from restar_lib.desk.app import create_desk
from restar_lib.desk.run_book_routes import to_html
from restar_lib.monitoring.alerts.alert_log import AlertKind
from restar_lib.monitoring.alerts.links import RUN_BOOK, anchor
from restar_lib.settings import Settings


@pytest.fixture
def client(engine: Engine, smoke: Settings) -> TestClient:
    """The desk, with somebody signed in."""

    async def signed_in(request: Request) -> None:
        request.state.visitor = "operator"

    desk = create_desk(settings=smoke, engine=engine, signed_in=signed_in, now=lambda: datetime.now(UTC))
    return TestClient(desk)


@pytest.mark.parametrize("kind", AlertKind)
def test_every_alert_has_its_section(client: TestClient, kind: AlertKind) -> None:
    """Add a section `Alert: <kind>` to docs/watching.md, with what to do."""
    page = client.get(f"/run-book/{RUN_BOOK}")
    assert page.status_code == 200
    assert f'id="{anchor(kind)}"' in page.text
    assert re.search(rf'id="{anchor(kind)}".*?<(ol|ul)>', page.text, re.DOTALL)


@pytest.mark.parametrize("name", ["nothing", "..%2F..%2Fpyproject", "decisions%2FREADME", "watching.md"])
def test_only_pages_of_the_docs_are_shown(client: TestClient, name: str) -> None:
    """No path leads elsewhere."""
    assert client.get(f"/run-book/{name}").status_code == 404


def test_html_inside_a_page_is_escaped() -> None:
    """A page is text, also where somebody edits it on the machine."""
    assert "&lt;script&gt;" in to_html("## A\n\n<script>alert(1)</script>")
