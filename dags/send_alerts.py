"""## Send alerts

Sends what could not leave when it was raised, because the mail server or the webhook was away: each alert once over
each channel, the oldest first, and never an all-clear before the alert that it clears.

**When**: every hour; by hand at any time, for example once the mail server is back. With nothing to send it skips.

**Again**: safe. An alert is held by the run that sends it and is marked in the same transaction; two runs at once send
it once.

**When it fails**: a channel is still away; the log names it and what it answered. Check the Airflow connection
`mail.conn_id` or `webhook.url`. Nothing is lost: what waits is in table `alert_delivery`, and the next hour tries
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, dag, task

from restar_lib.orchestration import TaskContext, dag_arguments, send_mail, skip, step
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.monitoring.alerts.send import SendCounts


@dag(
    schedule=CronTriggerTimetable(settings().orchestration.alerts_schedule, timezone="UTC"),
    description="Sends the alerts that could not leave when they were raised",
    doc_md=__doc__,
    tags=["restar", "watch"],
    **dag_arguments(settings()),
)
def send_alerts() -> None:
    """Send what waits."""

    @task
    @step
    def send_what_waits(ctx: TaskContext) -> SendCounts:
        from restar_lib.monitoring.alerts import send

        if not send.anything_waits(ctx.engine, ctx.settings):
            skip("no alert waits")
        return send.send_alerts(ctx.engine, ctx.settings, sender=send_mail, now=ctx.now)

    send_what_waits()


send_alerts()
