"""The desk and the reports in a real browser, inside a real Airflow: keys, frame, theme, sandbox."""

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, StorageState, expect, sync_playwright
from sqlalchemy import Engine, update

from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.labeling import leases
from restar_lib.store.tables import LabelTask
from tests.tasks import add_tasks, labels, statuses
from tests.web.conftest import PASSWORDS, RunningAirflow

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
KEYS = {"1": Sentiment.NEGATIVE, "2": Sentiment.NEUTRAL, "3": Sentiment.POSITIVE}
PATIENCE_MS = 30_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def login(browser: Browser, airflow: RunningAirflow) -> StorageState:
    """What the browser keeps after Ada has signed in with Airflow's form."""
    context = browser.new_context(base_url=airflow.url)
    page = context.new_page()
    page.goto("/auth/login", timeout=PATIENCE_MS)
    page.fill("input[name=username]", "ada")
    page.fill("input[name=password]", PASSWORDS["ada"])
    page.click("button[type=submit]")
    page.get_by_text("Welcome").wait_for()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser: Browser, airflow: RunningAirflow, login: StorageState) -> Iterator[Page]:
    """A page of Ada's browser; script errors and violations of the content policy fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, base_url=airflow.url, storage_state=login)
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None)
    yield opened
    context.close()
    assert problems == []


def desk_in_airflow(page: Page) -> FrameLocator:
    """Open the desk as Airflow shows it; nothing is clicked inside."""
    page.goto("/plugin/label-desk")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#text")).to_be_visible()
    # The page says by itself whether the keys reach it; on a busy machine it gets them a moment after the text.
    expect(frame.locator("body.without-keys")).to_have_count(0)
    return frame


def test_twenty_reviews_are_labeled_with_single_keys(page: Page, desk_engine: Engine) -> None:
    """In Airflow's frame, without a click: each key answers the review on the page and brings the next one."""
    review_ids = add_tasks(desk_engine, 20)
    frame = desk_in_airflow(page)
    pressed = "12331233123312331233"
    for number, key in enumerate(pressed):
        expect(frame.locator("#text")).to_contain_text(f"({number})")
        expect(frame.locator("[data-sentiment=negative]")).to_be_enabled()
        page.keyboard.press(key)
    expect(frame.locator("#empty")).to_be_visible()
    expect(frame.locator("#answered")).to_have_text("20")
    assert labels(desk_engine) == [
        (review_id, "ada", KEYS[key], LabelSource.PERSON) for review_id, key in zip(review_ids, pressed, strict=True)
    ]


def test_a_key_held_down_labels_one_review(page: Page, desk_engine: Engine) -> None:
    """The keyboard's repetition must not answer reviews that nobody has read."""
    add_tasks(desk_engine, 3)
    frame = desk_in_airflow(page)
    for _ in range(5):
        page.keyboard.down("3")
        page.wait_for_timeout(100)
    expect(frame.locator("#text")).to_contain_text("(1)")
    assert len(labels(desk_engine)) == 1


def test_skip_and_undo_by_key_and_answers_by_mouse(page: Page, desk_engine: Engine) -> None:
    """A slip is mended with U; the buttons do what the keys do."""
    add_tasks(desk_engine, 2)
    frame = desk_in_airflow(page)
    frame.get_by_role("button", name="Negative").click()
    expect(frame.locator("#text")).to_contain_text("(1)")
    page.keyboard.press("u")
    expect(frame.locator("#message")).to_have_text("Taken back: answer it again.")
    expect(frame.locator("#text")).to_contain_text("(0)")
    page.keyboard.press("s")
    expect(frame.locator("#text")).to_contain_text("(1)")
    page.keyboard.press("2")
    expect(frame.locator("#empty")).to_be_visible()
    assert [(review_id, sentiment) for review_id, _, sentiment, _ in labels(desk_engine)] == [("r1", Sentiment.NEUTRAL)]


def test_a_review_is_shown_as_text_whatever_it_holds(page: Page, desk_engine: Engine) -> None:
    """A customer's markup is neither run nor rendered."""
    hostile = "<img src=x onerror=\"document.title='owned'\"><b>bold</b> {{ 7 * 7 }}"
    add_tasks(desk_engine, 1, text=hostile)
    frame = desk_in_airflow(page)
    expect(frame.locator("#text")).to_have_text(f"{hostile} (0)")
    assert frame.locator("#text *").count() == 0


def test_a_review_that_somebody_else_took_is_said_and_replaced(page: Page, desk_engine: Engine) -> None:
    """The answer is not stored, the person is told, and the next review is there."""
    add_tasks(desk_engine, 2)
    frame = desk_in_airflow(page)
    with desk_engine.begin() as connection:
        taken = {"claimed_by": "ben", "claim_token": LabelTask.claim_token + 1}
        connection.execute(update(LabelTask).where(LabelTask.review_id == "r0").values(taken))
    page.keyboard.press("1")
    expect(frame.locator("#message")).to_contain_text("somebody else took this review")
    expect(frame.locator("#text")).to_contain_text("(1)")
    assert labels(desk_engine) == []


def test_a_review_that_is_open_in_another_tab_comes_here_to_be_answered(page: Page, desk_engine: Engine) -> None:
    """The first answer is not stored and the other tab is named; the same key once more stores it."""
    add_tasks(desk_engine, 2)
    frame = desk_in_airflow(page)
    leases.claim(desk_engine, labeler="ada", now=datetime.now(UTC), lease_seconds=60)
    page.keyboard.press("1")
    expect(frame.locator("#message")).to_contain_text("open in another tab of yours")
    expect(frame.locator("#text")).to_contain_text("(0)")
    page.keyboard.press("1")
    expect(frame.locator("#text")).to_contain_text("(1)")
    assert [label[:2] for label in labels(desk_engine)] == [("r0", "ada")]


def test_without_an_answer_of_the_server_nothing_is_lost(page: Page, desk_engine: Engine) -> None:
    """The network fails: the page says so and keeps the review; the same key again stores it, once."""
    add_tasks(desk_engine, 1)
    frame = desk_in_airflow(page)
    page.route("**/desk/submit", lambda route: route.abort())
    page.keyboard.press("3")
    expect(frame.locator("#message")).to_contain_text("The server does not answer")
    expect(frame.locator("#text")).to_contain_text("(0)")
    page.unroute("**/desk/submit")
    page.keyboard.press("3")
    expect(frame.locator("#empty")).to_be_visible()
    assert len(labels(desk_engine)) == 1


def test_leaving_the_page_frees_the_review(page: Page, desk_engine: Engine) -> None:
    """Going elsewhere in Airflow gives the review back at once, without waiting for the lease."""
    add_tasks(desk_engine, 1)
    desk_in_airflow(page)
    assert statuses(desk_engine) == {"r0": TaskStatus.CLAIMED}
    page.get_by_test_id("nav-home-link").click()
    page.get_by_text("Welcome").wait_for()
    deadline = time.monotonic() + 10
    while statuses(desk_engine) != {"r0": TaskStatus.OPEN}:
        assert time.monotonic() < deadline, "the lease outlived the page"
        time.sleep(0.1)


def test_the_desk_follows_airflows_theme(page: Page, desk_engine: Engine) -> None:
    """Dark in Airflow is dark here, also without a reload."""
    add_tasks(desk_engine, 1)
    frame = desk_in_airflow(page)
    for theme in ("dark", "light"):
        page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        expect(frame.locator("html")).to_have_attribute("data-theme", theme)


def test_a_report_runs_its_scripts_and_reaches_nothing(page: Page, airflow: RunningAirflow) -> None:
    """From the list to the report inside Airflow's frame: scripts run, without an origin, cookies or network."""
    folder = airflow.home / "var" / "reports" / "drift"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manual run.html").write_text(
        """<p id=said></p><script>
        const say = (text) => { document.getElementById("said").textContent += text + "; " };
        say("origin " + origin);
        try { document.cookie } catch (error) { say("cookies " + error.name) }
        try { parent.document } catch (error) { say("parent " + error.name) }
        </script>"""
    )
    page.goto("/plugin/restar-reports")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="manual run").click()
    said = frame.frame_locator("iframe").locator("#said")
    expect(said).to_have_text("origin null; cookies SecurityError; parent SecurityError;")
    frame.get_by_role("link", name="Reports").click()
    expect(frame.get_by_role("link", name="manual run")).to_be_visible()
