"""Who releases a challenger, a person or the policy: the branch, the mail and the form for the person, and the answer.

Used by the tasks of `retrain_sentiment`; whether a person is needed is decided elsewhere (`retraining.pipeline`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import get_current_context

from restar_lib.retraining.policy import BY_POLICY, Approval
from restar_lib.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

JUDGE: Final = "judge"
CHOOSE: Final = "choose_approval"
"""The branching task."""
APPROVE: Final = "approve"
RELEASE: Final = "release_challenger"
FOLLOWED: Final = "followed"
"""Key of the XCom that keeps the branch: its return value is lost where Airflow skips the other one."""


def branch(judgement: Mapping[str, Any], *, needs_person: bool, settings: Settings) -> str:
    """The task that comes next; called in `choose_approval`. A person who is needed is told by mail."""
    chosen = APPROVE if needs_person else RELEASE
    ti = get_current_context()["ti"]
    ti.xcom_push(key=FOLLOWED, value=chosen)
    if needs_person:
        _tell_people(judgement, settings, run_id=ti.run_id, dag_id=ti.dag_id)
    return chosen


def _tell_people(judgement: Mapping[str, Any], settings: Settings, *, run_id: str, dag_id: str) -> None:
    from restar_lib.monitoring.alerts.mail import ApprovalRequest
    from restar_lib.orchestration.airflow_mail import ask_for_approval

    base = settings.orchestration.airflow_url.rstrip("/")
    ask_for_approval(
        ApprovalRequest(
            challenger=judgement["challenger"],
            champion=judgement["champion"],
            verdict="provisional" if judgement["provisional"] else "passed",
            withdrawal=judgement.get("withdrawal"),
            verdict_url=judgement["url"],
            run_url=f"{base}/dags/{dag_id}/runs/{quote(run_id, safe='')}/required_actions",
            run_id=run_id,
            answer_by=datetime.now(UTC) + timedelta(hours=settings.release.approval_timeout_hours),
        )
    )


class ReleaseApproval(ApprovalOperator):  # type: ignore[misc]
    """The question whether a challenger may serve. A person's no is kept; silence only releases nothing."""

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Called with the answer. The rejection is kept first: Airflow skips what follows by an exception."""
        user = event.get("responded_by_user")
        if user and event.get("chosen_options") == [self.REJECT]:
            _keep_rejection(context["ti"].xcom_pull(task_ids=JUDGE), by=user["name"])
        return super().execute_complete(context=context, event=event)


def _keep_rejection(judgement: dict[str, Any], *, by: str) -> None:
    from restar_lib.retraining import pipeline
    from restar_lib.store.database import engine

    pipeline.reject_challenger(engine(), judgement=judgement, by=by, now=datetime.now(UTC))


def approval_form(settings: Settings) -> ReleaseApproval:
    """The question in Required Actions: the verdict, its page and the report. Silence is a no."""
    return ReleaseApproval(
        task_id=APPROVE,
        subject="Release {{ ti.xcom_pull(task_ids='judge', key='challenger') }}?",
        body="{{ ti.xcom_pull(task_ids='judge', key='text') }}"
        "\n\n[The verdict's page]({{ ti.xcom_pull(task_ids='judge', key='url') }})"
        "{% set report = ti.xcom_pull(task_ids='evaluate', key='url') %}"
        "{% if report %}\n\n[The evaluation report]({{ report }}){% endif %}",
        defaults=[ReleaseApproval.REJECT],
        response_timeout=timedelta(hours=settings.release.approval_timeout_hours),
    )


def approval_of_run() -> Approval:
    """What was decided in this run, and by whom.

    By policy only where the branch itself said so: somebody who marks it, or `approve`, as successful has not approved.
    """
    ti = get_current_context()["ti"]
    if ti.xcom_pull(task_ids=CHOOSE, key=FOLLOWED) == RELEASE:
        return BY_POLICY
    given = ti.xcom_pull(task_ids=APPROVE) or {"chosen_options": []}
    user = given.get("responded_by_user") or {"name": "nobody answered in time"}
    return Approval(approved=given["chosen_options"] == ["Approve"], by=user["name"])
