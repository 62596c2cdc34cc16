"""## Watch for drift

Compares the champion's newest predictions with what it was trained on (Evidently: text length, unknown words, category,
rating, predicted class, confidence), keeps the HTML report, and raises an alert where a threshold of `monitoring` is
passed. Alerts are mailed once each. A window too small to judge says so and does not alert.

**When**: every night after the new reviews; by hand at any time.

**Again**: safe. There is one report per run and one row per alert; an alert whose mail did not leave is mailed by the
next run, also by one of another night.

**When it fails**: `mail_alerts` fails where the mail server is away (connection `mail.conn_id`): mend it and clear the
task; the alert itself is in table `alert`. Without a champion the run skips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, dag, task

from restar_lib.orchestration import DRIFT, Duty, Summary, house_rules, send_mail, skip, step
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.monitoring.alerts import MailCounts
    from restar_lib.monitoring.drift import DriftReport


@dag(
    schedule=CronTriggerTimetable(settings().orchestration.watch_schedule, timezone="UTC"),
    description="Has the stream moved away from what the champion learned?",
    doc_md=__doc__,
    tags=["restar", "watch"],
    **house_rules(settings()),
)
def watch_drift() -> None:
    """Compare, alert, mail."""

    @task
    @step
    def compare(my: Duty) -> DriftReport:
        from restar_lib.monitoring.drift import watch

        return watch(my.engine, my.settings, run_key=my.run_key, now=my.now)

    @task(trigger_rule="all_done")
    @step
    def mail_alerts(my: Duty) -> MailCounts:
        from restar_lib.monitoring.mail import send_alerts

        return send_alerts(my.engine, my.settings, sender=send_mail, now=my.now)

    @task(outlets=[DRIFT])
    @step
    def ask_for_retraining(my: Duty, report: Summary) -> None:
        if not (report["alerts"] and my.settings.monitoring.retrain_on_drift):
            skip("no alert, or monitoring.retrain_on_drift is off")

    compared = compare()
    # Alerts of earlier runs wait for their mail even where this comparison was skipped or failed.
    compared >> mail_alerts()
    ask_for_retraining(compared)


watch_drift()
