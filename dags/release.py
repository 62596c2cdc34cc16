"""## Release a model

Makes one model version the champion, for example one that was rejected too hastily or that was trained elsewhere. A
person takes the responsibility: the gate is not asked again, so read the version's verdict first. Unless it passed, the
model is marked as provisional wherever it answers.

**When**: by hand only, with the version and the reason, which stand in the release log for ever.

**Again**: safe. Releasing what serves already changes nothing; the pointer on disk always follows the log.

**When it fails**: a folder that is incomplete or altered, or a model whose answers to the probe are not the recorded
ones, is refused by name before anything is written. Where the serving API refuses the version, the earlier champion is
released again by itself and the task fails, saying why. To go back by hand: `roll_back`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param, dag, task

from restar_lib.orchestration import TaskContext, dag_arguments, step
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.releases.release import Release

PARAMS = {
    "version": Param(
        type="string",
        pattern="^rs-[0-9a-f]{10}$",
        title="Model version",
        description="For example `rs-0123456789`: a folder in `models`, a version of model `restar` in MLflow.",
    ),
    "reason": Param(
        type="string", minLength=3, title="Reason", description="Why this version should serve. It is kept in the log."
    ),
}


@dag(
    schedule=None,
    description="Make a model version the champion, by hand",
    doc_md=__doc__,
    tags=["restar", "release"],
    params=PARAMS,
    **dag_arguments(settings()),
)
def release() -> None:
    """Make a version the champion."""

    @task
    @step
    def release_version(ctx: TaskContext) -> Release:
        from restar_lib.gate.verdict_log import is_provisional
        from restar_lib.releases.release import release as make_champion

        version = ctx.params["version"]
        return make_champion(
            ctx.engine,
            ctx.settings,
            version=version,
            by=ctx.by,
            reason=ctx.params["reason"],
            provisional=is_provisional(ctx.engine, version=version),
            now=ctx.now,
        )

    release_version()


release()
