"""The gateway (HAProxy) with our own file in front of two small HTTP servers; skipped where it is not installed."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from restar_lib.settings import PROJECT_ROOT

FILE = (PROJECT_ROOT / "include" / "gateway" / "haproxy.cfg").read_text()
PATIENCE = 20


class Replicas:
    """Two replicas that are ready and behave alike; how often a prediction was asked of each."""

    def __init__(self) -> None:
        self.asked = [0, 0]
        self.go = threading.Event()
        """Until it is set, `slow` answers nothing."""

    @contextmanager
    def running(self, number: int, behaviour: str) -> Iterator[int]:
        """The port of one."""
        replicas = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(200, b"{}")

            def do_POST(self) -> None:
                replicas.asked[number] += 1
                self.rfile.read(int(self.headers["content-length"]))
                if behaviour == "slow":
                    replicas.go.wait(PATIENCE)
                if behaviour == "dying" and replicas.asked == [number == 0, number == 1]:
                    return  # the connection ends without an answer
                self.answer(503 if behaviour == "overloaded" else 200, b'{"error":"overloaded"}')

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.send_header("retry-after", "1")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_port
            self.go.set()
            server.shutdown()


def configuration(port: int, replicas: list[int]) -> str:
    """Our file with these addresses, without names to look up, and with a server's patience of a second."""
    text = FILE.replace("bind :8000", f"bind 127.0.0.1:{port}")
    text = re.sub(r"^frontend own\n(    .*\n?)+", "", text, flags=re.MULTILINE)
    text = re.sub(r"^resolvers docker\n(    .*\n?)+", "", text, flags=re.MULTILINE).replace("resolvers docker", "")
    text, changed = re.subn(r"timeout server \d+s", "timeout server 1s", text)
    assert changed == 1
    for number, address in enumerate(replicas, start=1):
        text = text.replace(f"serving-{number}:8000", f"127.0.0.1:{address}")
    return text


@contextmanager
def gateway(folder: Path, replicas: list[int]) -> Iterator[str]:
    """The address of HAProxy in front of these ports."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    file = folder / "haproxy.cfg"
    file.write_text(configuration(port, replicas))
    with subprocess.Popen(["haproxy", "-db", "-f", file], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_until_it_answers(url: str) -> None:
    """Both replicas are seen as ready after their first check."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("haproxy did not answer")


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed here")
@pytest.mark.parametrize(
    ("behaviour", "status", "asked"),
    [("slow", 504, 1), ("dying", 200, 2), ("overloaded", 503, 4)],
)
def test_only_what_no_replica_works_on_is_asked_again(tmp_path: Path, behaviour: str, status: int, asked: int) -> None:
    """A timeout is not repeated; a connection that ended and a refusal are, the last refusal is the client's answer."""
    replicas = Replicas()
    with ExitStack() as stack:
        ports = [stack.enter_context(replicas.running(number, behaviour)) for number in (0, 1)]
        url = stack.enter_context(gateway(tmp_path, ports))
        answer = httpx.post(f"{url}/predict", json={"text": "x"}, timeout=PATIENCE, trust_env=False)
        assert (answer.status_code, sum(replicas.asked)) == (status, asked)
        if status >= 500:
            assert answer.json()["error"] == {503: "overloaded", 504: "timeout"}[status]
        if status == 503:
            assert answer.headers["retry-after"] == "1"


def test_a_timeout_is_no_reason_to_ask_again() -> None:
    """Where no HAProxy is installed, its file at least says so."""
    (conditions,) = re.findall(r"^    retry-on (.+)$", FILE, re.MULTILINE)
    assert set(conditions.split()) == {"conn-failure", "empty-response", "junk-response", "502", "503"}
