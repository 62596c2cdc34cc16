"""Mails over real SMTP into the real mail catcher: what arrives, and what happens when nothing does."""

import email.policy
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import Engine

from restar_lib.embedded.mail_catcher import catching
from restar_lib.errors import DeliveryFailed, EmbeddedError
from restar_lib.monitoring.alerts.alert_log import (
    Alert,
    AlertDetails,
    AlertKind,
    AlertNumber,
    Bar,
    BarChart,
    ColumnShape,
    NewAlert,
)
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.monitoring.alerts.links import Links, links_for
from restar_lib.monitoring.alerts.mail import (
    ApprovalRequest,
    TaskFailure,
    build_approval_message,
    build_failure_message,
    build_message,
)
from restar_lib.monitoring.alerts.send import send_alerts
from restar_lib.monitoring.alerts.webhook import approval_content
from restar_lib.settings import Settings
from tests.alerts import raise_alert, sender_to

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
DETAILS = AlertDetails(
    findings=("The share of <script>alert(1)</script> went from 14.8 % to 62.1 %.",),
    since=datetime(2026, 2, 27, 5, tzinfo=UTC),
    numbers=(AlertNumber(name="Mean confidence", value="0.701", normal="at least 0.850", bad=True),),
    pictures=(
        BarChart(
            title="How far each column moved",
            caption="Over half of the bar is drift.",
            full=0.5,
            bars=(
                Bar(name="rating", value=0.4, text="0.400", over=True),
                Bar(name="x", value=0, text="0.000", over=False),
            ),
        ),
    ),
    shapes=(
        ColumnShape(name="product_category", labels=("Toys", "Kitchen"), before=(0.0, 1.0), now=(0.4, 0.6)),
        ColumnShape(name="confidence", labels=("0.5-0.7", "0.7-1"), before=(0.1, 0.9), now=(0.6, 0.4)),
    ),
    changes=("2026-03-01 05:00 UTC: rs-1 released by policy auto (verdict 7).",),
    actions=("Open the report.",),
    dag_id="watch_drift",
    run_key="scheduled__2026-03-02T05:00:00+00:00",
)
NEW = NewAlert(
    key="drift:1", kind=AlertKind.DRIFT, subject="Drift: rating drifted", details=DETAILS, report_file="drift/1.html"
)
REQUEST = ApprovalRequest(
    challenger="rs-2222222222",
    champion="rs-1111111111",
    verdict="passed",
    withdrawal="ada rolled back from rs-2222222222 on 2026-03-01 12:00 UTC: it praises what is broken",
    verdict_url="http://127.0.0.1:8080/verdict",
    run_url="http://127.0.0.1:8080/run",
    run_id="scheduled__1",
    answer_by=datetime(2026, 3, 4, 5, tzinfo=UTC),
)
FAILURE = TaskFailure(
    dag_id="retrain_sentiment",
    task_id="train_challenger",
    run_id="manual__1",
    try_number=3,
    log_url="http://127.0.0.1:8080/log",
    error="SnapshotError: 12 rows\nare too few",
)


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[int]:
    """A running mail catcher on a free port; mails lie in `tmp_path / "mail"`."""
    with catching(tmp_path / "mail", port=0) as port:
        yield port


@pytest.fixture
def alert(engine: Engine) -> Alert:
    """An alert that waits for its mail."""
    return raise_alert(engine, NEW, now=NOW)


def caught(tmp_path: Path) -> list[EmailMessage]:
    """The mails that arrived, oldest first."""
    files = sorted((tmp_path / "mail").glob("*.eml"))
    mails = [message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in files]
    return [mail for mail in mails if isinstance(mail, EmailMessage)]


def parts(message: EmailMessage) -> tuple[str, str]:
    """Its text and its HTML."""
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


@pytest.mark.usefixtures("alert")
def test_an_alert_arrives_as_text_and_html(engine: Engine, smoke: Settings, catcher: int, tmp_path: Path) -> None:
    """What, since when, how bad, the picture, where to look, what to do; in both forms."""
    counts = send_alerts(engine, smoke, sender=sender_to(catcher), now=NOW)
    (message,) = caught(tmp_path)
    assert counts.sent == 1
    assert message["To"] == "oncall@localhost"
    assert message["X-Envelope-To"] == "oncall@localhost"
    for body in parts(message):
        for expected in (
            "Drift: rating drifted",
            "Since 2026-02-27 05:00 UTC, seen again 2026-03-02 05:00 UTC.",
            "0.701",
            "How far each column moved",
            "0.400",
            "Open the report.",
            "/restar/reports/view/drift/1.html",
            "/restar/run-book/watching#alert-drift",
            "rs-1 released by policy auto",
            "product_category Toys: 0 % at training, 40 % now",
            "/dags/watch_drift/runs/scheduled__2026-03-02T05%3A00%3A00%2B00%3A00",
        ):
            assert expected in body
    assert waiting(engine, Channel.MAIL) == ()


def test_a_mail_about_simulated_reviews_says_so(smoke: Settings, alert: Alert) -> None:
    """In the subject, the text and the HTML; a mail about real ones does not."""
    real = smoke.model_copy(update={"source": smoke.source.model_copy(update={"kind": "files"})})
    for message in (
        build_message(alert, smoke, links_for(alert, smoke)),
        build_failure_message(FAILURE, smoke, now=NOW),
    ):
        assert all("simulated reviews" in words for words in (message["Subject"], *parts(message)))
    message = build_message(alert, real, links_for(alert, real))
    assert not any("simulated" in words for words in (message["Subject"], *parts(message)))


def test_a_release_that_waits_for_a_person_is_mailed(smoke: Settings) -> None:
    """Challenger, champion, who withdrew it and why, until when, where to answer, and what an answer does."""
    for body in (*parts(build_approval_message(REQUEST, smoke, now=NOW)), json.dumps(approval_content(REQUEST))):
        for expected in ("rs-2222222222", "it praises what is broken", REQUEST.run_url, REQUEST.verdict_url):
            assert expected in body
    message = build_approval_message(REQUEST, smoke, now=NOW)
    assert message["Subject"] == "[Re*Star] Release rs-2222222222? It waits for you (simulated reviews)"
    for body in parts(message):
        for expected in ("rs-1111111111", "2026-03-04 05:00 UTC", "no policy releases this version later"):
            assert expected in " ".join(body.split())
    first = replace(REQUEST, withdrawal=None, champion=None)
    assert "no champion" in parts(build_approval_message(first, smoke, now=NOW))[0]
    assert not any("Withdrawn before" in body for body in parts(build_approval_message(first, smoke, now=NOW)))


def test_what_comes_from_outside_is_escaped_and_nothing_is_loaded(smoke: Settings, alert: Alert) -> None:
    """A review's category can hold anything; a mail that loads something tells that it was read."""
    text, html = parts(build_message(alert, smoke, links_for(alert, smoke)))
    assert "<script>alert(1)</script>" in text
    assert "&lt;script&gt;" in html
    assert not any(word in html for word in ("<script", "<link", "url(", "@import"))
    assert re.findall(r"""src=["']([^"']*)""", html) == ["cid:moved@restar"]


def test_the_picture_travels_in_the_mail_beside_the_page_that_shows_it(smoke: Settings, alert: Alert) -> None:
    """A PNG in the related part, by its Content-ID, inline; the text tells it in words; without shapes there is none."""
    message = build_message(alert, smoke, links_for(alert, smoke))
    (related,) = (part for part in message.walk() if part.get_content_type() == "multipart/related")
    page, png = related.iter_parts()
    assert (page.get_content_type(), png.get_content_type()) == ("text/html", "image/png")
    assert (png["Content-ID"], png.get_content_disposition()) == ("<moved@restar>", "inline")
    assert png.get_content().startswith(b"\x89PNG")
    plain = replace(alert, details=replace(alert.details, shapes=()))
    assert not any(part.get_content_maintype() == "image" for part in build_message(plain, smoke, Links()).walk())


def test_the_mails_of_one_incident_stand_in_one_thread(smoke: Settings, alert: Alert) -> None:
    """The all-clear is found under the alert; it says from when to when, and is green."""
    opened = replace(alert, incident_id=7)
    ended = replace(opened, alert_key="drift:7:ended", stage=IncidentStage.ENDED, subject="All clear: drift")
    mails = [build_message(it, smoke, Links()) for it in (opened, ended)]
    assert mails[0]["References"] == mails[1]["References"]
    assert mails[0]["Message-ID"] != mails[1]["Message-ID"]
    assert "an all-clear follows" in parts(mails[0])[1]
    for body in parts(mails[1]):
        assert "From 2026-02-27 05:00 UTC to 2026-03-02 05:00 UTC." in body
    assert "#2e9e5b" in parts(mails[1])[1]


def test_a_line_break_makes_no_header(smoke: Settings) -> None:
    """Names in a subject come from outside."""
    failure = replace(FAILURE, task_id="train\r\nBcc: everybody@example.org")
    message = build_failure_message(failure, smoke, now=NOW)
    assert message["Bcc"] is None
    assert "\n" not in message["Subject"]


def test_the_same_alert_is_the_same_mail(smoke: Settings, alert: Alert) -> None:
    """A repeated one carries the same Message-ID, another alert another one."""
    first, second = (build_message(alert, smoke, links_for(alert, smoke)) for _ in range(2))
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"] != build_failure_message(FAILURE, smoke, now=NOW)["Message-ID"]


def test_a_failed_task_is_mailed_with_its_error_and_its_log(smoke: Settings, catcher: int, tmp_path: Path) -> None:
    """DAG, task, try, error, log, and what to do."""
    sender_to(catcher)(build_failure_message(FAILURE, smoke, now=NOW))
    (message,) = caught(tmp_path)
    assert message["Subject"] == "[Re*Star] retrain_sentiment: train_challenger failed (simulated reviews)"
    for body in parts(message):
        for expected in ("train_challenger", "SnapshotError: 12 rows", FAILURE.log_url, "try 3", "What to do"):
            assert str(expected) in body


def test_an_alert_from_a_terminal_links_no_run(engine: Engine, smoke: Settings) -> None:
    """Whoever asked was no Airflow run; there is nothing to open."""
    details = AlertDetails.from_json(DETAILS.to_json() | {"run_key": "cli"})
    made = raise_alert(engine, replace(NEW, details=details, report_file=None), now=NOW)
    assert (links_for(made, smoke).run, links_for(made, smoke).report) == (None, None)
    assert all("None" not in body for body in parts(build_message(made, smoke, links_for(made, smoke))))


def test_a_server_that_is_away_leaves_the_alert_unmailed(engine: Engine, smoke: Settings, alert: Alert) -> None:
    """The error names the connection to check, and the next run mails it."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        sender = sender_to(closed.getsockname()[1])
        with pytest.raises(DeliveryFailed, match=r"1 of 1 alerts could not be sent to oncall@localhost.*restar_smtp"):
            send_alerts(engine, smoke, sender=sender, now=NOW)
    assert waiting(engine, Channel.MAIL) == (alert,)


SENDS_A_LARGE_MAIL = """
from email.message import EmailMessage
from restar_lib.errors import MailFailed
from restar_lib.orchestration import send_mail
message = EmailMessage()
message["Subject"], message["From"], message["To"] = "Large", "restar@localhost", "oncall@localhost"
message.add_attachment(b"x" * 11 * 2**20, maintype="application", subtype="octet-stream")
try:
    send_mail(message)
except MailFailed as error:
    print(error)
"""


def test_a_mail_that_the_server_refuses_is_an_error(catcher: int, tmp_path: Path) -> None:
    """The server's own answer stands in the message, and the Airflow connection over which the mail did not leave."""
    extra = {"disable_tls": True, "disable_ssl": True}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": catcher, "extra": extra}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RESTAR_", "AIRFLOW"))} | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_RESTAR_SMTP": json.dumps(connection),
        "RESTAR_HOME": str(tmp_path / "var"),
    }
    command = [sys.executable, "-c", SENDS_A_LARGE_MAIL]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert "'Large' did not leave over the Airflow connection 'restar_smtp'" in said.stdout, said.stderr
    assert "552" in said.stdout


def test_caught_mails_are_for_their_owner_alone(smoke: Settings, alert: Alert, catcher: int, tmp_path: Path) -> None:
    """And no unfinished file is left."""
    sender_to(catcher)(build_message(alert, smoke, links_for(alert, smoke)))
    (path,) = (tmp_path / "mail").iterdir()
    assert (path.suffix, path.stat().st_mode & 0o777) == (".eml", 0o600)


def test_the_catcher_says_which_key_moves_it_when_its_port_is_taken(tmp_path: Path, catcher: int) -> None:
    """One clear line instead of a traceback."""
    with pytest.raises(EmbeddedError, match="RESTAR_EMBEDDED__MAIL_PORT"), catching(tmp_path / "x", port=catcher):
        pass


def test_the_catcher_stops_when_it_is_told_to(tmp_path: Path) -> None:
    """SIGTERM ends it with 0; what it caught stays."""
    program = (
        "import logging, sys; from pathlib import Path; from restar_lib.embedded.mail_catcher import run;"
        "logging.basicConfig(level=logging.INFO, format='%(message)s'); run(port=0, folder=Path(sys.argv[1]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "mail")], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert "catching mails on 127.0.0.1:" in process.stderr.readline()
        process.terminate()
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()
