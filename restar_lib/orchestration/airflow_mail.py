"""Mail over Airflow's SMTP connection; mail and webhook message about a task that failed for good, or an approval."""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from restar_lib.errors import MailFailed
from restar_lib.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from restar_lib.monitoring.alerts.mail import ApprovalRequest, TaskFailure

log = logging.getLogger(__name__)


def send_mail(message: EmailMessage) -> None:
    """Send text and HTML over the connection `mail.conn_id`. Raises `MailFailed`."""
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    conn_id = settings().mail.conn_id
    try:
        with SmtpHook(smtp_conn_id=conn_id) as hook:
            # The hook's own `send_email_smtp` builds HTML alone; its client is logged in and encrypted as configured.
            client: Any = hook._smtp_client  # noqa: SLF001
            refused = client.send_message(message)
    except (AirflowException, smtplib.SMTPException, OSError) as error:
        raise MailFailed(
            f"{message['Subject']!r} did not leave over the Airflow connection {conn_id!r}: {error}"
        ) from error
    if refused:  # the others have it: sending it again would reach them twice
        log.error("%r was refused for %s: check mail.recipients", message["Subject"], ", ".join(sorted(refused)))


def mail_failure(context: Context) -> None:
    """Notify the person on call that a task failed and is not tried again. Airflow's `on_failure_callback`.

    Over each channel that is configured: where the mail server is what failed, the webhook still works.
    """
    from restar_lib.monitoring.alerts.mail import TaskFailure

    task = context["ti"]
    failure = TaskFailure(
        dag_id=task.dag_id,
        task_id=task.task_id,
        run_id=task.run_id,
        try_number=task.try_number,
        log_url=getattr(task, "log_url", None),
        error=str(context.get("exception") or "no message: the task was killed, or lost its worker"),
    )
    # The task has failed already and its log says why; a broken channel must not hide that.
    _over_each_channel(
        mail=lambda: _failure_mail(failure),
        content=lambda: _failure_content(failure),
        news=f"that {task.dag_id}.{task.task_id} failed",
    )


def ask_for_approval(request: ApprovalRequest) -> None:
    """Tell people over each channel that a challenger waits. The question itself waits in Airflow, whatever fails."""
    from restar_lib.monitoring.alerts.mail import build_approval_message
    from restar_lib.monitoring.alerts.webhook import approval_content

    _over_each_channel(
        mail=lambda: build_approval_message(request, settings(), now=datetime.now(UTC)),
        content=lambda: approval_content(request),
        news=f"that {request.challenger} waits for approval",
    )


def _over_each_channel(*, mail: Callable[[], EmailMessage], content: Callable[[], dict[str, Any]], news: str) -> None:
    """Mail, and post, where each is switched on; a channel that fails is logged and holds up nothing."""

    def send_by_mail() -> None:
        if settings().mail.enabled:
            send_mail(mail())

    def post_content() -> None:
        from restar_lib.monitoring.alerts.webhook import post

        if settings().webhook.url is not None:
            post(content(), settings().webhook)

    for send in (send_by_mail, post_content):
        try:
            send()
        except Exception:
            log.exception("a channel did not take it %s", news)


def _failure_mail(failure: TaskFailure) -> EmailMessage:
    from restar_lib.monitoring.alerts.mail import build_failure_message

    return build_failure_message(failure, settings(), now=datetime.now(UTC))


def _failure_content(failure: TaskFailure) -> dict[str, Any]:
    from restar_lib.monitoring.alerts.webhook import failure_content

    title = f"{failure.dag_id}: {failure.task_id} failed on try {failure.try_number}"
    return failure_content(title, failure.error, log_url=failure.log_url)
