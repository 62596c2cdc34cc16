"""## Roll back

The champion is bad: put back the version that it replaced. Needs no training code, no MLflow and no network, and takes
seconds. Without Airflow, `restar roll-back` does the same.

**When**: by hand only, with the reason, which stands in the release log for ever.

**Again**: safe. A run leaves the champion that it found and no other, so a retry or a clear never goes back two
versions; a second run goes back one further.

**When it fails**: with nothing to go back to it says so; `release` can make any version the champion. Where the target
was altered or does not answer its probe, the champion keeps serving.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param, dag, task

from restar_lib.orchestration import Summary, TaskContext, dag_arguments, skip, step
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.releases.release import Release

PARAMS = {
    "reason": Param(
        type="string", minLength=3, title="Reason", description="What is wrong with the champion. It stays in the log."
    )
}


@dag(
    schedule=None,
    description="Put back the model that the champion replaced",
    doc_md=__doc__,
    tags=["restar", "release"],
    params=PARAMS,
    **dag_arguments(settings()),
)
def roll_back() -> None:
    """Put back the earlier champion."""

    @task
    @step
    def choose_target(ctx: TaskContext) -> Summary:
        from restar_lib.releases.release import current, previous

        champion, target = current(ctx.engine), previous(ctx.engine)
        if champion is None or target is None:
            skip("there is no earlier version to go back to; `release` makes any sealed version the champion")
        return {"leaving": champion.model_version, "target": target.model_version, "provisional": target.provisional}

    @task
    @step
    def release_target(ctx: TaskContext, chosen: Summary) -> Release:
        from restar_lib.domain import ReleaseKind
        from restar_lib.releases.release import release

        return release(
            ctx.engine,
            ctx.settings,
            version=chosen["target"],
            by=ctx.by,
            reason=ctx.params["reason"],
            provisional=chosen["provisional"],
            kind=ReleaseKind.ROLL_BACK,
            expected_previous=chosen["leaving"],
            now=ctx.now,
        )

    # Two tasks, so that a retry of the release goes to the target that was chosen first.
    release_target(choose_target())


roll_back()
