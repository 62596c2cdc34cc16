"""## Housekeeping

Gives abandoned tasks back to the queue and deletes what is old: model folders (never the champion's, nor the one that a
roll back goes to), training sets that no model names any more, predictions, rejected rows, reports and logs, each after
the time that `housekeeping` and `release` in the configuration say. Finishes a `restar forget` that was killed,
and writes the pointer where a killed release has left it behind the release log.

Every step stands alone: one that fails stops no other. A damaged model stays, and while there is one no training set is
deleted, because it may have learned from any.

**When**: every morning. By hand it only counts, unless **dry_run** is switched off.

**Again**: safe. What is gone stays gone, and nothing that is in use is ever chosen.

**When it fails**: everything else was done. Mostly a file that belongs to somebody else, or the folder of the model
that serves is damaged; the log names it and says what to do. Nothing else depends on this run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, Param, dag, task

from restar_lib.orchestration import TaskContext, dag_arguments, step
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.operation.housekeeping import TidyCounts

PARAMS = {
    "dry_run": Param(
        True,
        type="boolean",
        title="Dry run",
        description="Count what would be deleted and delete nothing. Scheduled runs always delete.",
    )
}


@dag(
    schedule=CronTriggerTimetable(settings().orchestration.housekeeping_schedule, timezone="UTC"),
    description="Frees abandoned tasks; deletes old models, training sets, predictions, reports and logs",
    doc_md=__doc__,
    tags=["restar", "upkeep"],
    params=PARAMS,
    **dag_arguments(settings()),
)
def housekeeping() -> None:
    """Free what is abandoned and delete what is old."""

    @task
    @step
    def tidy_up(ctx: TaskContext) -> TidyCounts:
        from restar_lib.operation.housekeeping import tidy

        return tidy(ctx.engine, ctx.settings, now=ctx.now, dry_run=ctx.is_by_hand and ctx.params["dry_run"])

    tidy_up()


housekeeping()
