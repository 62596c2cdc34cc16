"""## Watch for drift

Compares the champion's newest predictions with what it was trained on (Evidently: text length, unknown words,
category, rating, predicted class, confidence), stores the HTML report, estimates accuracy and macro-F1 on audits, and
checks how long the oldest open task has waited. Where a threshold of `monitoring` is passed, an incident opens: people
are notified once, reminded after `monitoring.remind_after_hours`, and notified when it has ended. Windows too small to
judge say so and change nothing.

**When**: every night after the new reviews; by hand at any time.

**Again**: safe. There is one report per run, one open incident of a kind, and each alert leaves once over each
channel; what could not leave is sent by `send_alerts`, every hour. With `monitoring.retrain_on_drift` an open incident
asks for a retraining, again after `monitoring.retrain_cooldown_hours` at the earliest.

**When it fails**: `mail_alerts` fails where the mail server (connection `mail.conn_id`) or the webhook (`webhook.url`)
is away: mend it; nothing is lost. Without a champion the run skips. What each alert means and what to do:
docs/watching.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, dag, task

from restar_lib.orchestration import DRIFT, TaskContext, dag_arguments, send_mail, step
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.monitoring.alerts.send import SendCounts
    from restar_lib.monitoring.watch import DriftReport
    from restar_lib.retraining.incident_request import RetrainingRequest


@dag(
    schedule=CronTriggerTimetable(settings().orchestration.watch_schedule, timezone="UTC"),
    description="Has the stream moved away from what the champion learned?",
    doc_md=__doc__,
    tags=["restar", "watch"],
    **dag_arguments(settings()),
)
def watch_drift() -> None:
    """Compare, tell people, ask for a retraining."""

    @task
    @step
    def compare(ctx: TaskContext) -> DriftReport:
        from restar_lib.monitoring.watch import watch

        return watch(ctx.engine, ctx.settings, run_key=ctx.run_key, now=ctx.now)

    @task(trigger_rule="all_done")
    @step
    def mail_alerts(ctx: TaskContext) -> SendCounts:
        from restar_lib.monitoring.alerts.send import send_alerts

        return send_alerts(ctx.engine, ctx.settings, sender=send_mail, now=ctx.now)

    @task(outlets=[DRIFT])
    @step
    def ask_for_retraining(ctx: TaskContext) -> RetrainingRequest:
        from restar_lib.retraining.incident_request import request_retraining

        return request_retraining(ctx.engine, ctx.settings, run_key=ctx.run_key, now=ctx.now)

    # Alerts of earlier runs wait to be sent even where this comparison was skipped or failed.
    compare() >> [mail_alerts(), ask_for_retraining()]


watch_drift()
