"""The desk over HTTP, with a sign-in of the test's own: what each call does, and what is refused."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, insert

from restar_lib.desk.app import create_desk
from restar_lib.desk.context import Right
from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.labeling import leases, queue
from restar_lib.settings import Settings
from restar_lib.store.tables import PredictionRow
from tests.tasks import NOON, add_tasks, labels, statuses

DESK = {"Content-Type": "application/json", "X-Restar-Desk": "1"}


async def by_header(request: Request) -> None:
    """Sign in whoever says a name; stands in for Airflow's login."""
    if "user" not in request.headers:
        raise HTTPException(401, "Not authenticated")
    request.state.visitor = request.headers["user"]
    request.state.rights = frozenset(Right) - {request.headers.get("without")}


def app_for(engine: Engine, settings: Settings, *, now: datetime = NOON, **labeling: object) -> FastAPI:
    """The application on this database."""
    changed = settings.model_copy(update={"labeling": settings.labeling.model_copy(update=labeling)})
    return create_desk(settings=changed, engine=engine, signed_in=by_header, now=lambda: now)


class Desk:
    """A signed-in labeler's browser."""

    def __init__(self, app: FastAPI, user: str = "ada") -> None:
        self.http = TestClient(app, headers=DESK | {"user": user})

    def post(self, path: str, **body: object) -> dict[str, Any]:
        """Call the desk; it must agree."""
        answer = self.http.post(f"/desk/{path}", json=body)
        assert answer.status_code == 200, answer.text
        desk: dict[str, Any] = answer.json()
        return desk

    def answer(self, sentiment: str) -> dict[str, Any]:
        """Answer the review in hand."""
        return self.post("submit", **held(self.post("claim")), sentiment=sentiment)


def held(desk: dict[str, Any]) -> dict[str, Any]:
    """The claim in an answer of the desk."""
    return {key: desk["review"][key] for key in ("task_id", "token")}


@pytest.fixture
def ada(engine: Engine, smoke: Settings) -> Iterator[Desk]:
    """A labeler before a queue of three."""
    add_tasks(engine, 3, text="<b>It</b> leaks & smells.")
    desk = Desk(app_for(engine, smoke))
    yield desk
    desk.http.close()


@pytest.mark.parametrize(
    ("without", "desk", "reports"), [(None, 200, 200), (Right.LABEL, 403, 200), (Right.REPORTS, 200, 403)]
)
def test_each_right_opens_its_own_pages_and_no_others(ada: Desk, without: str | None, desk: int, reports: int) -> None:
    """A person whose role lacks a right is told so by every route that needs it; nothing is claimed for him."""
    headers = {"without": without} if without else {}
    answers = [ada.http.get("/desk/", headers=headers), ada.http.post("/desk/claim", headers=headers, json={})]
    assert [answer.status_code for answer in answers] == [desk, desk]
    assert ada.http.get("/reports/", headers=headers).status_code == reports
    assert ada.http.get("/reports/file/drift/x.html", headers=headers).status_code == (404 if reports == 200 else 403)


def test_a_claim_brings_the_review_and_the_progress(ada: Desk, smoke: Settings) -> None:
    """Text as text, category, date, and nothing that would anchor: no stars, no model, no reasons."""
    desk = ada.post("claim")
    assert desk["review"].pop("task_id") > 0
    assert desk == {
        "review": {
            "token": 1,
            "text": "<b>It</b> leaks & smells. (0)",
            "product_category": "Kitchen",
            "reviewed_at": "2026-03-04T12:00:00Z",
            "hints": None,
            "second_look": False,
        },
        "waiting": 2,
        "set_aside": "",
        "answered_last_hour": 0,
        "lease_seconds": smoke.labeling.lease_seconds,
        "notice": None,
    }


def test_an_answer_is_stored_as_the_persons_and_brings_the_next_review(ada: Desk, engine: Engine) -> None:
    """One round trip per answer: the label under the visitor's name, and the review after it."""
    desk = ada.answer("neutral")
    assert labels(engine) == [("r0", "ada", Sentiment.NEUTRAL, LabelSource.PERSON)]
    assert desk["review"]["text"].endswith("(1)")
    assert (desk["waiting"], desk["answered_last_hour"]) == (1, 1)


def test_after_the_last_answer_there_is_no_review(ada: Desk) -> None:
    """The queue is drained: the page is told so, with what was done."""
    for sentiment in ("negative", "neutral"):
        ada.answer(sentiment)
    desk = ada.answer("positive")
    assert (desk["review"], desk["waiting"], desk["answered_last_hour"]) == (None, 0, 3)
    assert ada.post("claim")["review"] is None


def test_a_skipped_review_does_not_come_back(ada: Desk, engine: Engine) -> None:
    """Skip goes on with the next one and leaves the task to others."""
    assert ada.post("skip", **held(ada.post("claim")))["review"]["text"].endswith("(1)")
    assert statuses(engine) == {"r0": TaskStatus.OPEN, "r1": TaskStatus.CLAIMED, "r2": TaskStatus.OPEN}


def test_undo_shows_the_last_review_again(ada: Desk, engine: Engine) -> None:
    """The label is gone, and the review that was on the page is free."""
    ada.answer("negative")
    assert ada.post("undo")["review"]["text"].endswith("(0)")
    assert labels(engine) == []
    assert statuses(engine)["r1"] is TaskStatus.OPEN


def test_undo_of_a_skip_that_somebody_else_has_answered_says_so(ada: Desk, engine: Engine, smoke: Settings) -> None:
    """The other person's answer stands, and the page keeps the review in hand and says why no other one came."""
    ada.post("skip", **held(ada.post("claim")))
    assert Desk(app_for(engine, smoke), "ben").answer("positive")["review"] is not None
    desk = ada.post("undo")
    assert desk["review"]["text"].endswith("(1)")
    assert "Others have answered this review" in desk["notice"]
    assert labels(engine) == [("r0", "ben", Sentiment.POSITIVE, LabelSource.PERSON)]
    assert statuses(engine)["r0"] is TaskStatus.DONE


def test_undo_with_nothing_to_undo_says_so(ada: Desk) -> None:
    """409 with the reason in words."""
    answer = ada.http.post("/desk/undo", json={})
    assert (answer.status_code, answer.json()["error"]) == (409, "NothingToUndo")
    assert "answered or skipped nothing" in answer.json()["detail"]


def test_an_answer_after_somebody_elses_claim_is_refused(ada: Desk, engine: Engine) -> None:
    """409, nothing stored, and the other labeler keeps the review."""
    mine = ada.post("claim")
    later = NOON + timedelta(hours=1)
    assert leases.claim(engine, labeler="ben", now=later, lease_seconds=60) is not None
    answer = ada.http.post("/desk/submit", json=held(mine) | {"sentiment": "positive"})
    assert (answer.status_code, answer.json()["error"]) == (409, "LeaseLost")
    assert labels(engine) == []


def test_an_answer_from_the_first_of_two_tabs_is_told_of_the_other(ada: Desk, engine: Engine) -> None:
    """409 that names the tab; the claim that the page then makes brings the review here, and its answer counts."""
    first = held(ada.post("claim"))
    ada.post("claim")
    answer = ada.http.post("/desk/submit", json=first | {"sentiment": "positive"})
    assert (answer.status_code, answer.json()["error"]) == (409, "OpenInAnotherTab")
    assert "open in another tab of yours" in answer.json()["detail"]
    assert ada.answer("neutral")["answered_last_hour"] == 1
    assert labels(engine) == [("r0", "ada", Sentiment.NEUTRAL, LabelSource.PERSON)]


def test_an_answer_after_housekeeping_ended_the_lease_counts(ada: Desk, engine: Engine) -> None:
    """Nobody else took the review, so the person who read it for long is not told that somebody did."""
    mine = held(ada.post("claim"))
    assert queue.expire(engine, now=NOON + timedelta(hours=1)) == 1
    assert ada.post("submit", **mine, sentiment="positive")["answered_last_hour"] == 1
    assert labels(engine) == [("r0", "ada", Sentiment.POSITIVE, LabelSource.PERSON)]


def test_renewing_keeps_and_releasing_frees_the_review(ada: Desk, engine: Engine) -> None:
    """204 for both; after the release the same calls are refused."""
    mine = held(ada.post("claim"))
    assert ada.http.post("/desk/renew", json=mine).status_code == 204
    assert ada.http.post("/desk/release", json=mine).status_code == 204
    assert statuses(engine)["r0"] is TaskStatus.OPEN
    assert ada.http.post("/desk/renew", json=mine).status_code == 409


def test_hints_are_shown_only_where_configured(ada: Desk, engine: Engine, smoke: Settings) -> None:
    """With `show_hints` the stars and the opinion of the model that asked come along."""
    with engine.begin() as connection:
        opinion = {"p_negative": 0.5, "p_neutral": 0.3, "p_positive": 0.2, "sentiment": "negative", "confidence": 0.5}
        values = {"review_id": "r0", "model_version": "rs-0000000000", "abstained": True} | opinion
        connection.execute(insert(PredictionRow).values(values))
    shown = Desk(app_for(engine, smoke, show_hints=True))
    assert shown.post("claim")["review"]["hints"] == {"rating": 5, "sentiment": "negative", "confidence": 0.5}
    assert shown.answer("negative")["review"]["hints"] == {"rating": 5, "sentiment": None, "confidence": None}
    assert ada.post("claim")["review"]["hints"] is None


def test_only_listed_labelers_may_label(engine: Engine, smoke: Settings) -> None:
    """With `labelers` set, another signed-in person gets 403 and a hint whom to ask; the page included."""
    add_tasks(engine, 1)
    app = app_for(engine, smoke, labelers=("ada",))
    assert Desk(app, "ada").post("claim")["review"] is not None
    ben = Desk(app, "ben")
    for answer in (ben.http.get("/desk/"), *(ben.http.post(f"/desk/{what}", json={}) for what in ("claim", "undo"))):
        assert answer.status_code == 403
        assert "ben is not among the labelers" in answer.text


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"task_id": 1, "token": 1, "sentiment": "great"}, "sentiment"),
        ({"task_id": 1, "token": 1}, "sentiment"),
        ({"task_id": 0, "token": 1, "sentiment": "neutral"}, "task_id"),
        ({"task_id": 2**63, "token": 1, "sentiment": "neutral"}, "task_id"),
        ({"task_id": 1, "token": 1, "sentiment": "neutral", "labeler": "ben"}, "labeler"),
    ],
)
def test_a_bad_body_is_refused_by_name(ada: Desk, body: dict[str, object], problem: str) -> None:
    """422 names the field; nobody can name another labeler either."""
    answer = ada.http.post("/desk/submit", json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert answer.json()["detail"][0]["loc"][-1] == problem


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"x-restar-desk": ""}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://testserver"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "https://proxied.example"}, 200),
    ],
)
def test_another_sites_page_cannot_label(ada: Desk, engine: Engine, headers: dict[str, str], status: int) -> None:
    """A POST must be JSON, carry the desk's header and come from the desk's own origin; else nothing happens."""
    answer = ada.http.post("/desk/claim", content=b"{}", headers=headers)
    assert answer.status_code == status
    assert (TaskStatus.CLAIMED in statuses(engine).values()) == (status == 200)


def test_no_get_changes_anything(ada: Desk, engine: Engine) -> None:
    """Opening the page claims nothing: a prefetching browser must not take reviews away."""
    page = ada.http.get("/desk/")
    assert page.status_code == 200
    assert queue.counts(engine).claimed == 0


def test_the_page_names_the_visitor_and_the_simulation(engine: Engine, smoke: Settings) -> None:
    """Names are escaped, simulated reviews are announced, and nothing inline needs a looser policy."""
    page = Desk(app_for(engine, smoke), "<i>eve</i>").http.get("/desk/")
    assert "&lt;i&gt;eve&lt;/i&gt;" in page.text
    assert "simulated reviews" in page.text
    assert "<style" not in page.text
    assert all(" src=" in tag for tag in page.text.split("<script")[1:])
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


def test_real_reviews_carry_no_notice(engine: Engine, smoke: Settings) -> None:
    """The notice is about the simulator alone."""
    files = smoke.model_copy(update={"source": smoke.source.model_copy(update={"kind": "files"})})
    assert "simulated" not in Desk(app_for(engine, files)).http.get("/desk/").text


def test_every_script_and_style_of_the_page_is_served(ada: Desk) -> None:
    """What the page links to exists, with its media type; other names do not."""
    page = ada.http.get("/desk/").text
    links = [part.split('"')[0] for mark in (' src="..', ' href="..') for part in page.split(mark)[1:]]
    assert sorted(links) == ["/static/desk.css", "/static/desk.js", "/static/theme.js"]
    served = {link: ada.http.get(link).headers["content-type"].partition(";")[0] for link in links}
    assert set(served.values()) == {"text/css", "text/javascript"}
    for name in ("desk.html", "..%2fapp.py", "app.py"):
        assert ada.http.get(f"/static/{name}").status_code == 404


def test_without_a_database_the_desk_says_so(smoke: Settings) -> None:
    """503 in the one error shape, so that the page can ask to try again."""
    nowhere = create_engine("postgresql+psycopg://restar@127.0.0.1:1/restar", connect_args={"connect_timeout": 1})
    answer = Desk(app_for(nowhere, smoke)).http.post("/desk/claim", json={})
    assert (answer.status_code, answer.json()["error"]) == (503, "database_unavailable")
    assert "127.0.0.1" not in answer.text


def test_a_stranger_gets_401_everywhere(engine: Engine, smoke: Settings) -> None:
    """The sign-in stands before every route, not only before those that ask for a name."""
    app = app_for(engine, smoke)
    http = TestClient(app)
    routes = [(method, route.path) for route in app.routes for method in route.methods]  # type: ignore[attr-defined]
    assert len(routes) >= 11
    for method, path in routes:
        answer = http.request(method, path.replace("{name}", "desk.js").replace("{path:path}", "x.html"), json={})
        assert answer.status_code == 401, (method, path)


def test_the_desk_says_what_is_set_aside_and_why_a_review_comes_back(engine: Engine, smoke: Settings) -> None:
    """Skipped by everybody is no work that waits; a second look is announced with the review."""
    add_tasks(engine, 2)
    ada, ben = (
        Desk(app_for(engine, smoke, labels_per_task=2, labelers=("ada", "ben")), user) for user in ("ada", "ben")
    )
    for desk in (ada, ben):
        desk.post("skip", **held(desk.post("claim")))
    ada.answer("positive")
    shown = ben.answer("negative")
    assert (shown["waiting"], shown["review"]["second_look"]) == (0, True)
    assert shown["set_aside"] == "1 skipped by everybody"
    assert shown["notice"].startswith("You have seen this review: people disagree")
    assert ben.answer("positive")["review"] is None
    assert len(labels(engine)) == 2
