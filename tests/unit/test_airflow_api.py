"""The client of Airflow's API waits out a server whose database is away, and never starts a run twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from restar_lib.embedded.airflow_api import AirflowApi


@dataclass
class StandIn:
    """Answers as Airflow does, but the first answers to each request are what the test wants."""

    first: dict[str, list[int]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    port: int = 0

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and content."""
        if path == "/auth/token":
            return 201, {"access_token": "x"}
        known = body.get("dag_run_id") in self.runs
        if method == "POST" and not known:
            self.runs.append(body["dag_run_id"])  # what was asked is done, whatever is answered
        if waiting := self.first.get(method):
            return waiting.pop(0), {"detail": "Database error"}
        if known:
            return 409, {"detail": "the run exists"}
        return 200, {"dag_id": "d", "dag_run_id": self.runs[-1], "state": "queued", "queued_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """On loopback, in a thread."""
    made = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = made.answer(self.command, self.path, json.loads(body or "{}"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_GET = do_POST = _reply  # noqa: N815  the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def api(stand_in: StandIn) -> AirflowApi:
    """A client of it."""
    return AirflowApi(base_url=f"http://127.0.0.1:{stand_in.port}", user="admin", password="only for this test")


def test_a_trigger_whose_answer_was_lost_starts_one_run(stand_in: StandIn) -> None:
    """Airflow took the request and failed before it answered: asked again it names the run that there is."""
    stand_in.first["POST"] = [500]
    run = api(stand_in).trigger("d", {})
    assert stand_in.runs == [run.run_id]


def test_an_outage_behind_airflow_is_waited_out(stand_in: StandIn) -> None:
    """Its API answers 500 and 503 while the database is away; then the answer comes."""
    stand_in.runs.append("r")
    stand_in.first["GET"] = [500, 503]
    assert api(stand_in).run("d", "r").state == "queued"


def test_a_wrong_request_is_an_error_at_once(stand_in: StandIn) -> None:
    """Waiting mends no 404."""
    stand_in.first["GET"] = [404, 404]
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        api(stand_in).run("d", "r")
    assert stand_in.first["GET"] == [404]
