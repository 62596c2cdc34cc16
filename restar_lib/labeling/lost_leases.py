"""Why a labeler's claim is worth nothing any more, as the error that says it.

Looks at what became of the task, in the transaction that was refused; it decides nothing and writes nothing. Called by
`labeling.leases` where no row was as the caller expected.
"""

from __future__ import annotations

from sqlalchemy import Connection, exists, select

from restar_lib.domain import TaskStatus
from restar_lib.errors import LeaseLost, OpenInAnotherTab
from restar_lib.store.tables import Label, LabelSkip, LabelTask


def lost(connection: Connection, *, task_id: int, token: int, labeler: str) -> LeaseLost:
    """The error for `labeler`, whose claim on the task was made under `token`."""
    own = {kind: exists().where(kind.task_id == task_id, kind.labeler == labeler) for kind in (Label, LabelSkip)}
    columns = (LabelTask.status, LabelTask.claimed_by, LabelTask.claim_token)
    query = select(*columns, own[Label].label("answered"), own[LabelSkip].label("skipped"))
    task = connection.execute(query.where(LabelTask.task_id == task_id)).one_or_none()
    if task is None:
        return _gone(task_id, "its review is not stored any more")
    if task.claimed_by == labeler and token < task.claim_token:  # first: it may be a second look at an own answer
        return OpenInAnotherTab(f"task {task_id} is open in another tab of yours; nothing was stored")
    if task.answered:
        return _gone(task_id, "you have answered it, in another tab of yours perhaps")
    if task.skipped:
        return _gone(task_id, "you have skipped it, in another tab of yours perhaps")
    if task.status is TaskStatus.OPEN:
        return _gone(task_id, "it went back to the queue meanwhile")
    return _gone(task_id, "somebody else took this review meanwhile")


def _gone(task_id: int, why: str) -> LeaseLost:
    return LeaseLost(f"task {task_id} is no longer yours: {why}; nothing was stored")
