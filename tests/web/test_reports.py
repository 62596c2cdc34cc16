"""The report pages: what is listed, what is served, and what never is."""

import os

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from restar_lib.settings import Settings
from tests.web.test_desk import app_for


@pytest.fixture
def http(engine: Engine, smoke: Settings) -> TestClient:
    """A signed-in visitor's browser; two reports and a secret beside the folder."""
    write(smoke, "drift/scheduled run.html", "<h1>drifted</h1>", age=60)
    write(smoke, "evaluation/deep/er.html", "<h1>better</h1>")
    write(smoke, "evaluation/deep/er.json", '{"the": "data"}')
    write(smoke, "drift/notes.txt", "")
    write(smoke, "drift/.half-written.html", "")
    (smoke.home / "secret.html").write_text("secret")
    (smoke.reports_dir / "link.html").symlink_to(smoke.home / "secret.html")
    return TestClient(app_for(engine, smoke), headers={"user": "ada"})


def write(settings: Settings, path: str, content: str, *, age: int = 0) -> None:
    """Put a report into the folder, so many seconds old."""
    file = settings.reports_dir / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    when = file.stat().st_mtime - age
    os.utime(file, (when, when))


def test_reports_are_listed_newest_first(http: TestClient) -> None:
    """By kind and name, linked; unfinished files are not reports."""
    page = http.get("/reports/").text
    assert page.index("view/evaluation/deep/er.html") < page.index("view/drift/scheduled%20run.html")
    listed = page.partition("<main>")[2]
    assert "notes" not in listed
    assert "half-written" not in listed


def test_the_data_of_a_page_is_served_and_not_listed(http: TestClient) -> None:
    """One line for one report; a program that knows the name gets the numbers."""
    assert "er.json" not in http.get("/reports/").text
    assert http.get("/reports/file/evaluation/deep/er.json").json() == {"the": "data"}


def test_an_empty_folder_says_where_reports_come_from(engine: Engine, smoke: Settings) -> None:
    """Before the first report, and before the folder exists."""
    page = TestClient(app_for(engine, smoke), headers={"user": "ada"}).get("/reports/")
    assert page.status_code == 200
    assert "watch_drift" in page.text


def test_a_report_is_shown_under_a_line_that_leads_back(http: TestClient) -> None:
    """The page embeds the file with a link relative to wherever the application is mounted."""
    page = http.get("/reports/view/evaluation/deep/er.html").text
    assert 'src="../../../../reports/file/evaluation/deep/er.html"' in page
    assert http.get("/reports/view/drift/none.html").status_code == 404


def test_a_report_runs_in_a_sandbox_without_an_origin(http: TestClient) -> None:
    """Its scripts run, but reach neither cookies nor the API of the page around it."""
    answer = http.get("/reports/file/drift/scheduled run.html")
    assert (answer.status_code, answer.text) == (200, "<h1>drifted</h1>")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;")
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy, "default-src 'none' must cover it"


@pytest.mark.parametrize(
    "path",
    [
        "..%2fsecret.html",
        "drift%2f..%2f..%2fsecret.html",
        "%2fetc%2fhostname",
        "link.html",
        "drift",
        "drift%2f.half-written.html",
        "drift%2fnotes.txt",
        "drift%00.html",
        "a" * 5000,
    ],
)
@pytest.mark.parametrize("route", ["view", "file"])
def test_nothing_outside_the_folder_is_ever_served(http: TestClient, route: str, path: str) -> None:
    """Dots, absolute paths, links, folders, other kinds of files and broken names are all 404."""
    answer = http.get(f"/reports/{route}/{path}")
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.html", "")


def test_a_link_in_the_folder_is_not_listed(http: TestClient) -> None:
    """It may lead anywhere, and could not be opened anyway."""
    assert "link" not in http.get("/reports/").text.partition("<main>")[2]
