"""The mails of Re*Star: an alert, a task that failed for good, a release to approve; each as text and as HTML.

Building is pure: the same alert gives the same mail, Message-ID included, so a mail program shows a repeated one once;
the mails of one incident stand in one thread. Templates are in `include/email`; whatever stands in them from outside is
escaped. Nothing in a mail is loaded from anywhere: the picture travels in it. It does not send (`orchestration` does,
over Airflow's connection) and does not decide what deserves a mail.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment

from restar_lib.monitoring.alerts import chart
from restar_lib.monitoring.alerts.alert_log import Alert, AlertKind, Bar, BarChart
from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.monitoring.alerts.links import Links
from restar_lib.reports.templates import environment_of
from restar_lib.settings import PROJECT_ROOT, Settings

TEMPLATES = PROJECT_ROOT / "include" / "email"
WIDTH = 76
HEADER_WIDTH = 200
RED, AMBER, GREEN = "#d0312d", "#d98a00", "#2e9e5b"
EYEBROWS = {
    AlertKind.DRIFT: "drift",
    AlertKind.CONFIDENCE: "confidence",
    AlertKind.QUEUE: "labeling queue",
    AlertKind.QUALITY: "quality",
    AlertKind.REFUSED: "refused rows",
}
ACCENTS = {
    AlertKind.DRIFT: RED,
    AlertKind.CONFIDENCE: AMBER,
    AlertKind.QUEUE: AMBER,
    AlertKind.QUALITY: RED,
    AlertKind.REFUSED: RED,
}
PICTURE_ID = "moved@restar"
FAILURE_ACTIONS = (
    "Read the last lines of the log: an error of ours names the id and says what to do.",
    "When the cause is gone, clear the task in Airflow. Every task may be run again: it finds what is done already.",
    "Nothing is lost meanwhile: the champion keeps serving, and what was not read, scored or merged waits.",
)

APPROVAL_ACTIONS = (
    "Open the run: the question waits in Airflow under Required Actions, with every line of the verdict.",
    "Approve releases it at once. Reject keeps the champion, and no policy releases this version later.",
    "Without an answer nothing is released, and the next training waits until then.",
)

Sender = Callable[[EmailMessage], None]
"""Sends one mail, or raises `MailFailed`."""


@dataclass(frozen=True, kw_only=True)
class TaskFailure:
    """A task that failed and is not tried again."""

    dag_id: str
    task_id: str
    run_id: str
    try_number: int
    log_url: str | None
    error: str


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """A challenger that passed the gate and waits for a person."""

    challenger: str
    champion: str | None
    verdict: str
    """`passed` or `provisional`."""
    withdrawal: str | None
    """Who said no to it before, when and why; None where nobody did."""
    verdict_url: str
    run_url: str
    run_id: str
    answer_by: datetime


def build_message(alert: Alert, settings: Settings, links: Links, *, examples: tuple[str, ...] = ()) -> EmailMessage:
    """The mail of one alert: what, since when, how bad, the picture, what else changed, where to look, what to do.

    `examples` are lines that strangers wrote; they are in the mail alone, not in the stored alert.
    """
    picture = alert.details.shapes
    content = {
        "alert": alert,
        "details": alert.details,
        "examples": examples,
        "links": links,
        "eyebrow": EYEBROWS[alert.kind],
        "accent": GREEN if alert.stage is IncidentStage.ENDED else ACCENTS[alert.kind],
        "ended": alert.stage is IncidentStage.ENDED,
        "picture_id": PICTURE_ID if picture else None,
        "picture_in_words": chart.in_words(picture),
    }
    message = _message(settings, "alert", title=alert.subject, content=content)
    if picture:
        _attach_picture(message, chart.draw(picture))
    _identify(message, f"alert {alert.alert_key}", when=alert.created_at)
    if alert.incident_id is not None:
        thread = f"<incident-{alert.kind}-{alert.incident_id}@restar>"
        message["References"] = thread
        message["In-Reply-To"] = thread
    return message


def _attach_picture(message: EmailMessage, png: bytes) -> None:
    """Put the picture beside the HTML that shows it."""
    html = message.get_body(("html",))
    if isinstance(html, EmailMessage):
        html.add_related(png, "image", "png", cid=f"<{PICTURE_ID}>", disposition="inline", filename="moved.png")


def build_failure_message(failure: TaskFailure, settings: Settings, *, now: datetime) -> EmailMessage:
    """The mail of a task that failed for good."""
    content = {
        "failure": failure,
        "failed_at": now,
        "actions": FAILURE_ACTIONS,
        "eyebrow": "task failed",
        "accent": RED,
    }
    title = f"{failure.dag_id}: {failure.task_id} failed"
    message = _message(settings, "failure", title=title, content=content)
    key = f"failure {failure.dag_id} {failure.task_id} {failure.run_id} {failure.try_number}"
    _identify(message, key, when=now)
    return message


def build_approval_message(request: ApprovalRequest, settings: Settings, *, now: datetime) -> EmailMessage:
    """The mail that asks a person whether a challenger may serve."""
    content = {"request": request, "actions": APPROVAL_ACTIONS, "eyebrow": "approval", "accent": AMBER}
    message = _message(settings, "approval", title=f"Release {request.challenger}? It waits for you", content=content)
    _identify(message, f"approval {request.challenger} {request.run_id}", when=now)
    return message


def _message(settings: Settings, template: str, *, title: str, content: Mapping[str, Any]) -> EmailMessage:
    notice = settings.simulated_notice
    # A line break in a header would be another header; names of tasks and columns come from outside.
    subject = " ".join(f"[Re*Star] {title}{f' ({notice})' if notice else ''}".split())
    values = {**content, "title": title, "subject": subject, "notice": notice}
    # At the default of 78 a subject of our usual length would be folded right after its name: a leading blank.
    message = EmailMessage(policy=SMTP.clone(max_line_length=HEADER_WIDTH))
    message["Subject"] = subject
    message["From"] = settings.mail.sender
    message["To"] = ", ".join(settings.mail.recipients)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_templates().get_template(f"{template}.txt").render(values))
    message.add_alternative(_templates().get_template(f"{template}.html").render(values), subtype="html")
    return message


def _identify(message: EmailMessage, key: str, *, when: datetime) -> None:
    message["Date"] = format_datetime(when)
    message["Message-ID"] = f"<{sha256(f'{key} {when.isoformat()}'.encode()).hexdigest()[:32]}@restar>"


@cache
def _templates() -> Environment:
    environment = environment_of(TEMPLATES, trim_blocks=True)
    environment.filters |= {
        "moment": _moment,
        "wrapped": _wrapped,
        "percent_unbroken": _percent_unbroken,
        "filled": _filled,
        "text_width": _text_width,
    }
    return environment


def _moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _wrapped(text: str, indent: int = 0) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def _percent_unbroken(text: str) -> str:
    """Keeps a percent sign in the line of its number."""
    return text.replace(" %", "\u00a0%")


def _filled(bar: Bar, picture: BarChart) -> int:
    """How much of a bar's track is full, in percent; something is never drawn as nothing."""
    if bar.value <= 0:
        return 0
    return max(1, min(100, round(100 * bar.value / picture.full)))


def _text_width(picture: BarChart) -> int:
    return 16 + 7 * max((len(bar.text) for bar in picture.bars), default=0)
