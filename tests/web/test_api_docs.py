"""GET /docs of the API loads nothing from another host: read from the page, and seen by a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import uvicorn
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from restar_lib.serving.api import create_app
from restar_lib.settings import load
from tests.web.test_browser import ARGUMENTS, CHROMIUM


class Addresses(HTMLParser):
    """Every address that a page loads or leads to, and whether a script is inline."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        named = dict(attrs)
        self.found += [str(named[name]) for name in ("src", "href", "action", "data") if named.get(name)]
        self.inline_scripts += tag == "script" and not named.get("src")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API, without a model."""
    home = tmp_path_factory.mktemp("api-docs")
    settings = load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(home)}).settings
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


def test_every_address_on_the_page_is_of_this_server_and_answers(url: str) -> None:
    """Scripts, styles and icons; no script is inline, and the policy forbids what the page does not name."""
    answer = httpx.get(f"{url}/docs")
    page = Addresses()
    page.feed(answer.text)
    assert len(page.found) >= 3
    for address in page.found:
        absolute = urljoin(f"{url}/docs", address)
        assert urlsplit(absolute).netloc == urlsplit(url).netloc
        assert httpx.get(absolute).status_code == 200, absolute
    assert page.inline_scripts == 0
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "http" not in policy


def test_there_is_no_other_page_of_documentation(url: str) -> None:
    """FastAPI's own pages load from other hosts; and of the files only the named ones are served."""
    paths = ("/redoc", "/docs/oauth2-redirect", "/docs/none.js", "/docs/..%2Fmain.py")
    assert [httpx.get(f"{url}{path}").status_code for path in paths] == [404] * len(paths)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_browser_shows_the_routes_and_asks_nobody_else(url: str) -> None:
    """The page runs under its policy, lists the routes, and sends a request when it is told to."""
    asked: list[str] = []
    problems: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page: Page = chromium.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if is_problem(line) else None)
        page.goto(f"{url}/docs")
        expect(page.get_by_text("/predict/sentences").first).to_be_visible(timeout=30_000)
        page.locator("#operations-state-health_health_get").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table")).to_contain_text("alive", timeout=30_000)
        chromium.close()
    assert f"{url}/health" in asked
    assert {urlsplit(one).netloc for one in asked if not one.startswith("data:")} == {urlsplit(url).netloc}
    assert problems == []


def is_problem(line: ConsoleMessage) -> bool:
    """An error, or something that the policy forbade."""
    return line.type == "error" or "Content Security Policy" in line.text
