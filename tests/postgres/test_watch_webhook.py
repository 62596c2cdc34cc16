"""The webhook against a real HTTP server on loopback: what arrives, and what is refused."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine

from restar_lib.embedded.mail_catcher import catching
from restar_lib.errors import ConfigurationError, DeliveryFailed, WebhookFailed
from restar_lib.monitoring.alerts.alert_log import Alert, AlertDetails, AlertKind, AlertNumber, NewAlert
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.monitoring.alerts.links import links_for
from restar_lib.monitoring.alerts.send import anything_waits, send_alerts
from restar_lib.monitoring.alerts.webhook import build_content, failure_content, post
from restar_lib.settings import Settings, WebhookSettings, load
from tests.alerts import raise_alert, sender_to

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
SECRET = "T000-B000-very-secret"
DETAILS = AlertDetails(
    findings=("The share of <!channel> & co went from 14.8 % to 62.1 %.",),
    since=NOW,
    numbers=(AlertNumber(name="Mean confidence", value="0.701", normal="at least 0.850", bad=True),),
    dag_id="watch_drift",
    run_key="scheduled__2026-03-02T05:00:00+00:00",
)


@dataclass
class Hook:
    """A server that keeps what is posted to it."""

    port: int
    status: int = 200
    posted: list[tuple[str, dict]] = field(default_factory=list)

    @property
    def webhook(self) -> WebhookSettings:
        """The configuration that leads here."""
        return WebhookSettings.model_validate(
            {"url": f"http://127.0.0.1:{self.port}/services/{SECRET}", "timeout_seconds": 2}
        )


@contextmanager
def listening(status: int = 200, *, location: str | None = None) -> Iterator[Hook]:
    """A hook on a free port that answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.posted.append((self.path, body))
            self.send_response(hook.status)
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Hook(port=server.server_port, status=status)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def alert(engine: Engine) -> Alert:
    """An alert that waits for both channels."""
    new = NewAlert(key="drift:1:opened", kind=AlertKind.DRIFT, subject="Drift: rating drifted", details=DETAILS)
    return raise_alert(engine, new, channels=tuple(Channel), now=NOW)


def with_hook(settings: Settings, hook: Hook) -> Settings:
    """The settings with this webhook."""
    return settings.model_copy(update={"webhook": hook.webhook})


def test_a_message_says_what_how_bad_and_where_to_look(smoke: Settings, alert: Alert) -> None:
    """Text for the notification, blocks for the channel; what comes from outside makes no link and no mention."""
    with listening() as hook:
        post(build_content(alert, smoke, links_for(alert, smoke)), hook.webhook)
    ((path, body),) = hook.posted
    said = json.dumps(body)
    assert path == f"/services/{SECRET}"
    assert body["text"] == "[Re*Star] Drift: rating drifted (simulated reviews)"
    assert {block["type"] for block in body["blocks"]} == {"section"}
    assert "&lt;!channel&gt; &amp; co" in said
    assert "<!channel>" not in said
    assert "*Mean confidence: 0.701*" in said
    assert "watch_drift/runs/scheduled__2026-03-02" in said
    assert "run-book/watching#alert-drift" in said


@pytest.mark.usefixtures("alert")
def test_each_channel_gets_an_alert_once_and_is_retried_alone(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The webhook is away at first: the mail leaves once, the message later, once."""
    with listening(status=503) as hook, catching(tmp_path / "mail", port=0) as port:
        config, sender = with_hook(smoke, hook), sender_to(port)
        with pytest.raises(DeliveryFailed, match=r"1 of 1 alerts could not be sent to the webhook.*webhook\.url"):
            send_alerts(engine, config, sender=sender, now=NOW)
        assert anything_waits(engine, config)
        hook.status = 200
        assert send_alerts(engine, config, sender=sender, now=NOW).sent == 1
        assert not anything_waits(engine, config)
        send_alerts(engine, config, sender=sender, now=NOW)
    assert len(list((tmp_path / "mail").glob("*.eml"))) == 1
    assert len(hook.posted) == 2  # the one that was refused, and the one that was taken


@pytest.mark.usefixtures("alert")
def test_a_mail_server_that_is_away_keeps_the_mail_and_the_webhook_tells(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """The mail leaves when the server is back, once, and nobody gets the message twice."""
    with listening() as hook:
        config = with_hook(smoke, hook)
        with pytest.raises(DeliveryFailed, match="oncall@localhost"):
            send_alerts(engine, config, sender=sender_to(1), now=NOW)
        with catching(tmp_path / "mail", port=0) as port:
            for _ in "twice":
                send_alerts(engine, config, sender=sender_to(port), now=NOW)
    assert len(list((tmp_path / "mail").glob("*.eml"))) == len(hook.posted) == 1


def test_an_alert_from_before_the_webhook_is_not_posted(engine: Engine, smoke: Settings) -> None:
    """A second channel starts with what is raised from then on."""
    raise_alert(engine, NewAlert(key="old", kind=AlertKind.DRIFT, subject="old", details=DETAILS), now=NOW)
    assert waiting(engine, Channel.WEBHOOK) == ()
    with listening() as hook:
        send_alerts(engine, with_hook(smoke, hook), sender=lambda _: None, now=NOW)
    assert hook.posted == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """Nobody sends us on to another host: it counts as a failure, and the other host hears nothing."""
    with listening() as other, listening(status, location=f"http://127.0.0.1:{other.port}/") as hook:
        with pytest.raises(WebhookFailed, match=str(status)):
            post({"text": "x"}, hook.webhook)
        assert (len(hook.posted), other.posted) == (1, [])


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x", "http://169.254.169.254/latest", "file:///etc/passwd", "gopher://127.0.0.1/", "https://"],
)
def test_an_address_that_is_not_safe_stops_at_start_and_is_not_printed(url: str, tmp_path: Path) -> None:
    """https, or http on loopback; the message names the key and not the secret."""
    environment = {"RESTAR_HOME": str(tmp_path), "RESTAR_WEBHOOK__URL": f"{url}?{SECRET}"}
    with pytest.raises(ConfigurationError, match=r"webhook\.url = \(a secret\)") as error:
        load(environment=environment)
    assert SECRET not in str(error.value)


def test_the_secret_address_stands_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads a task's log could post otherwise."""
    caplog.set_level(logging.DEBUG)
    with listening() as hook:
        post({"text": "x"}, hook.webhook)
    with pytest.raises(WebhookFailed, match=r"127\.0\.0\.1 cannot be reached") as error:
        post({"text": "x"}, hook.webhook)
    with listening(404) as refusing, pytest.raises(WebhookFailed, match="404") as refused:
        post({"text": "x"}, refusing.webhook)
    assert SECRET not in f"{error.value}{refused.value}{caplog.text}{hook.webhook}"
    assert error.value.__cause__ is None


def test_a_failed_task_is_told_with_its_error_and_its_log() -> None:
    """What the failure mail says, for where the mail server is what failed."""
    content = failure_content("watch_drift: mail_alerts failed", "a < b", log_url="http://127.0.0.1/log")
    assert "a &lt; b" in json.dumps(content)
    assert "<http://127.0.0.1/log|Open the log>" in json.dumps(content)
