"""The second channel: alerts as messages to a Slack-compatible incoming webhook.

The address comes from the configuration alone (`webhook.url`, a secret: who knows it may post), never from anything
stored or received. It is https, or http on loopback. A redirect is not followed but counts as a failure, so nobody
sends us on to another host. No message and no log names more of it than its host: that is why this is `http.client`,
which logs nothing, follows nothing and asks no proxy. What deserves a message is not decided here.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from restar_lib.errors import ConfigurationError, WebhookFailed
from restar_lib.monitoring.alerts.alert_log import Alert
from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.monitoring.alerts.links import Links
from restar_lib.monitoring.alerts.mail import ApprovalRequest
from restar_lib.settings import Settings, WebhookSettings

Content = dict[str, Any]
MARKS = {
    IncidentStage.OPENED: ":red_circle:",
    IncidentStage.REMINDER: ":large_orange_circle:",
    IncidentStage.ENDED: ":large_green_circle:",
}
TEXT_LIMIT = 2900
"""Slack takes 3,000 characters in a section."""
NUMBERS = 6
HEADERS = {"Content-Type": "application/json", "User-Agent": "restar"}


def build_content(alert: Alert, settings: Settings, links: Links) -> Content:
    """The message of one alert: `text` for a notification, `blocks` for the channel."""
    notice = f" ({settings.simulated_notice})" if settings.simulated_notice else ""
    title = f"{MARKS[alert.stage]} *{_escaped(alert.subject)}*{notice}"
    numbers = [f"{'*' if it.bad else ''}{it.name}: {it.value}{'*' if it.bad else ''}" for it in alert.details.numbers]
    said = "\n".join(map(_escaped, (*alert.details.findings, *numbers[:NUMBERS])))
    where = " | ".join(f"<{place.url}|{place.text}>" for place in links.all)
    return {
        "text": f"[Re*Star] {_escaped(alert.subject)}{notice}",
        "blocks": [_section(title), _section(said), _section(where)],
    }


def failure_content(title: str, error: str, *, log_url: str | None) -> Content:
    """The message of a task that failed for good."""
    where = [_section(f"<{log_url}|Open the log>")] if log_url else []
    return {
        "text": f"[Re*Star] {_escaped(title)}",
        "blocks": [_section(f":red_circle: *{_escaped(title)}*"), _section(_escaped(error)), *where],
    }


def approval_content(request: ApprovalRequest) -> Content:
    """The message that asks a person whether a challenger may serve."""
    title = f"Release {request.challenger}? It waits for you in Required Actions"
    before = [_section(f"*Withdrawn before.* {_escaped(request.withdrawal)}")] if request.withdrawal else []
    where = _section(f"<{request.run_url}|Open the run> | <{request.verdict_url}|Read the verdict>")
    return {"text": f"[Re*Star] {title}", "blocks": [_section(f":raised_hand: *{title}*"), *before, where]}


def post(content: Content, webhook: WebhookSettings) -> None:
    """Post one message. Raises `WebhookFailed` where it was not taken."""
    if webhook.url is None:
        raise ConfigurationError("webhook.url is not set: there is no second channel")
    url = urlsplit(webhook.url.get_secret_value())
    connection = _connection(url.scheme, url.hostname or "", url.port, timeout=webhook.timeout_seconds)
    try:
        target = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
        connection.request("POST", target, body=json.dumps(content).encode(), headers=HEADERS)
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        # The library's own words may hold the address.
        raise WebhookFailed(f"the webhook at {url.hostname} cannot be reached: {type(error).__name__}") from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise WebhookFailed(
            f"the webhook at {url.hostname} answered {status}: check webhook.url, and whether it was revoked"
        )


def _connection(scheme: str, host: str, port: int | None, *, timeout: float) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())


def _section(text: str) -> Content:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:TEXT_LIMIT] or "-"}}


def _escaped(text: str) -> str:
    """Slack's three control characters: what comes from outside must not become a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
