"""## Score reviews

The champion reads every review that it has not read yet. Its calibrated predictions are stored; reviews of which it is
unsure, and the random audit draw, go to the labeling queue with their reasons, in the same transaction. Where a killed
release has left the pointer behind the release log, it is written first, so that the API serves what scores here.

**When**: after every ingest that read something, every hour, and whenever reviews stay unread for some minutes (a
trigger looks at the database: an ingest that was killed announces nothing); by hand at any time. Without a champion, or
with nothing new, it skips and says so.

**Again**: safe. There is one prediction per review and model version, and one task per review; a run that was killed
goes on after its last committed chunk, and two at once change nothing more.

**When it fails**: a model folder that is altered or incomplete is refused by name: run `roll_back`, or restore the
folder. Anything else is retried; then clear the task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task

from restar_lib.orchestration import TaskContext, dag_arguments, in_child_process, reviews_asset, skip, step
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.scoring.batch import ScoreCounts


config = settings()


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(config.orchestration.score_schedule, timezone="UTC"),
        assets=[reviews_asset(config)],
    ),
    description="The champion reads new reviews; the doubtful ones are queued for people",
    doc_md=__doc__,
    tags=["restar", "data"],
    **dag_arguments(config),
)
def score_reviews() -> None:
    """Score what the champion has not read yet."""

    @task
    @step
    @in_child_process
    def score_and_queue(ctx: TaskContext) -> ScoreCounts:
        from restar_lib.releases.release import following_champion_folder
        from restar_lib.scoring.batch import score_new

        champion = following_champion_folder(ctx.engine, ctx.settings)
        if champion is None:
            skip("there is no champion yet: `retrain_sentiment` trains the first model")
        counts = score_new(ctx.engine, ctx.settings, model_folder=champion, now=ctx.now)
        return counts if counts.scored else skip(f"{champion.name} has scored every review already")

    score_and_queue()


score_reviews()
