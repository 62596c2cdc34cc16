"""Who releases a challenger, a person or the policy: the branch, the person's form, and the answer.

Used by the tasks of `retrain_sentiment`; whether a person is needed is decided elsewhere (`retraining.pipeline`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import get_current_context

from restar_lib.retraining.policy import BY_POLICY, Approval
from restar_lib.settings import Settings

CHOOSE: Final = "choose_approval"
"""The branching task."""
APPROVE: Final = "approve"
RELEASE: Final = "release_challenger"
FOLLOWED: Final = "followed"
"""Key of the XCom that keeps the branch: its return value is lost where Airflow skips the other one."""


def branch(*, needs_person: bool) -> str:
    """The task that comes next; called in `choose_approval`."""
    chosen = APPROVE if needs_person else RELEASE
    get_current_context()["ti"].xcom_push(key=FOLLOWED, value=chosen)
    return chosen


def approval_form(settings: Settings) -> ApprovalOperator:
    """The question in Required Actions: the verdict, its page and the report. Silence is a no."""
    return ApprovalOperator(
        task_id=APPROVE,
        subject="Release {{ ti.xcom_pull(task_ids='judge', key='challenger') }}?",
        body="{{ ti.xcom_pull(task_ids='judge', key='text') }}"
        "\n\n[The verdict's page]({{ ti.xcom_pull(task_ids='judge', key='url') }})"
        "{% set report = ti.xcom_pull(task_ids='evaluate', key='url') %}"
        "{% if report %}\n\n[The evaluation report]({{ report }}){% endif %}",
        defaults=[ApprovalOperator.REJECT],
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
