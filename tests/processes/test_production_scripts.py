"""The small programs of production: secrets, the health check, the mail relay."""

from __future__ import annotations

import shutil
import smtplib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from restar_lib.embedded.mail_catcher import catching
from restar_lib.settings import PROJECT_ROOT
from tests.answering import answering

SECRETS = PROJECT_ROOT / "scripts" / "secrets"
HEALTHY = PROJECT_ROOT / "include" / "production" / "healthy"
RELAY = PROJECT_ROOT / "include" / "mail" / "relay"


def written(folder: Path) -> dict[str, str]:
    """Run the script; the secrets."""
    subprocess.run([SECRETS, folder], check=True, capture_output=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_secrets_are_random_private_and_never_changed(tmp_path: Path) -> None:
    """A second run leaves what is there; another folder has others."""
    first = written(tmp_path / "one")
    assert written(tmp_path / "one") == first
    other = written(tmp_path / "two")
    assert [name for name in first if first[name] == other[name]] == ["smtp_password"]
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "one").iterdir()} == {0o444}


def test_a_lost_secret_is_written_again_alone(tmp_path: Path) -> None:
    """The broker's URL holds the password that Redis has, however old it is."""
    first = written(tmp_path / "one")
    (tmp_path / "one" / "airflow_broker_url").unlink()
    assert written(tmp_path / "one") == first


@pytest.mark.parametrize(
    ("document", "component", "code"),
    [
        ({"scheduler": {"status": "healthy"}}, "scheduler", 0),
        ({"scheduler": {"status": "unhealthy"}}, "scheduler", 1),
        ({"scheduler": {"status": None}}, "scheduler", 1),
        ({}, "scheduler", 1),
        ({}, None, 0),
    ],
)
def test_a_container_is_as_healthy_as_its_page_says(
    document: dict[str, object], component: str | None, code: int
) -> None:
    """A page that answers is not enough where it says that the process behind it is gone."""
    with answering(document) as url:
        done = subprocess.run([HEALTHY, url, *([component] if component else [])], capture_output=True, check=False)
    assert (done.returncode, bool(done.stderr)) == (code, code != 0)


def test_a_container_that_does_not_answer_is_not_healthy() -> None:
    """Nobody listens."""
    done = subprocess.run([HEALTHY, "http://127.0.0.1:1/health"], capture_output=True, text=True, check=False)
    assert (done.returncode, "does not answer" in done.stderr) == (1, True)


@contextmanager
def relay(*, smtp_port: int, tmp_path: Path) -> Iterator[int]:
    """The relay before a mail server on `smtp_port`; its own port."""
    if shutil.which("msmtpd") is None:
        pytest.skip("msmtpd is not installed here (Debian: msmtp-mta); the image installs it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp_port),
        "SMTP_TLS": "off", "RELAY_PORT": str(port),
    }  # fmt: skip
    process = subprocess.Popen([RELAY], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def send(port: int) -> None:
    """One mail with an umlaut and a line that begins with a dot."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        mail = "Subject: drift\r\n\r\ngrößer\r\n..\r\nlast\r\n".encode()
        client.sendmail("restar@example.com", ["one@example.com", "two@example.com"], mail)


def test_the_relay_hands_a_mail_on_before_it_says_yes(tmp_path: Path) -> None:
    """It is at the server behind, whole, for everybody, when the sender is told so."""
    with (
        catching(tmp_path / "mail", port=0, clock=lambda: datetime.now(UTC)) as behind,
        relay(smtp_port=behind, tmp_path=tmp_path) as port,
    ):
        send(port)
        (kept,) = (tmp_path / "mail").glob("*.eml")
    text = kept.read_text()
    assert "X-Envelope-To: one@example.com, two@example.com" in text
    assert text.endswith("größer\n..\nlast\n")


def test_a_mail_that_cannot_be_handed_on_is_refused_for_now(tmp_path: Path) -> None:
    """A 4xx: the sender keeps it and tries again. The relay never says yes to what it may lose."""
    with relay(smtp_port=1, tmp_path=tmp_path) as port, pytest.raises(smtplib.SMTPDataError) as refused:
        send(port)
    assert 400 <= refused.value.smtp_code < 500


@pytest.mark.parametrize("lacks", ["SMTP_HOST", "SMTP_TLS"])
def test_a_relay_without_answers_does_not_start(lacks: str) -> None:
    """It names the variable."""
    answers = {"PATH": "/usr/bin:/bin", "SMTP_HOST": "mail.example.com", "SMTP_TLS": "starttls"}
    environment = answers | ({"SMTP_TLS": "perhaps"} if lacks == "SMTP_TLS" else {"SMTP_HOST": ""})
    done = subprocess.run([RELAY], env=environment, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode != 0
    assert lacks in done.stderr
