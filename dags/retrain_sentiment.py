"""## Retrain the sentiment model

Merges finished labels, freezes a snapshot, trains a challenger, and lets the gate judge it on rows that no model has
learned from; before that `evaluate` writes the report that people read (in Reports; its log has the link). A
challenger that passes is released by policy or by a person; the serving API follows without a restart.
**A refusal is a good answer**: the run succeeds, `choose_approval` is skipped, and its log has the lines that refused.
Whatever the gate says, `ask_people` puts the training reviews whose stars are doubted most into the queue
(`selection.doubted_tasks` at most); where nobody is asked it is skipped, and its log says why.

**When**: as soon as `labeling.enough` labels are finished (a trigger looks at the database), weekly, after a drift
alert where configured, and by hand. Automatic runs respect `training.cooldown_minutes`; nothing new is a skip.

**Again**: safe. Labels are merged once, a snapshot is found by its content, a verdict is given once, releasing what
serves changes nothing, and no person is asked twice.

**Approval**: in Required Actions, and by mail. Silence rejects, after `release.approval_timeout_hours`; until then the
next training waits. What somebody rolled back from, serving refused, or a person rejected is released by no policy: a
person is asked, and told when, by whom and why. With nothing new since then, no automatic run trains.

**When it fails**: `train_challenger` is the heavy task (memory, time: `orchestration.training_timeout_minutes`);
clear it to train again on the same snapshot. Where it was killed for memory, mail and log say so, and what to lower.
Where `evaluate` or `ask_people` fails the gate judges and releases all the same; clear it. The champion keeps serving.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task

from restar_lib.orchestration import DRIFT, Summary, TaskContext, dag_arguments, in_child_process, labels_asset, step
from restar_lib.orchestration.approval import approval_form, approval_of_run, branch
from restar_lib.orchestration.trigger_forms import RETRAIN
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.dataset.snapshot import Snapshot
    from restar_lib.releases.release import Release
    from restar_lib.retraining.pipeline import AskedDoubts, Challenger, Evaluated, Judgement, MergedLabels

config = settings()


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(config.orchestration.retrain_schedule, timezone="UTC"),
        assets=labels_asset(config) | DRIFT,
    ),
    description="Labels in, a challenger trained, judged, and released if it is shown to be good",
    doc_md=__doc__,
    tags=["restar", "training"],
    params=RETRAIN,
    **dag_arguments(config),
)
def retrain_sentiment() -> None:
    """From finished labels to a new champion."""

    @task
    @step
    def merge_labels(ctx: TaskContext) -> MergedLabels:
        from restar_lib.retraining import pipeline

        return pipeline.merge_labels(ctx.engine, ctx.settings, trigger=ctx.trigger, rerun=ctx.rerun, now=ctx.now)

    @task
    @step
    def freeze_snapshot(ctx: TaskContext) -> Snapshot:
        from restar_lib.retraining import pipeline

        force = ctx.params["force"]
        return pipeline.freeze_snapshot(ctx.engine, ctx.settings, force=force, trigger=ctx.trigger, now=ctx.now)

    @task(execution_timeout=timedelta(minutes=config.orchestration.training_timeout_minutes))
    @step
    @in_child_process
    def train_challenger(ctx: TaskContext, snapshot_hash: str) -> Challenger:
        from restar_lib.retraining import pipeline

        mode = ctx.params["mode"]
        return pipeline.train_challenger(ctx.engine, ctx.settings, snapshot_hash=snapshot_hash, mode=mode)

    @task(retries=1)
    @step
    @in_child_process
    def evaluate(ctx: TaskContext, challenger: Summary) -> Evaluated:
        from restar_lib.retraining import pipeline

        ids = {name: challenger[name] for name in ("version", "snapshot_hash")}
        return pipeline.evaluate_challenger(ctx.engine, ctx.settings, now=ctx.now, **ids)

    # The report is for people: where it fails the gate still judges, and the mail of the failure says what is missing.
    @task(trigger_rule="all_done_min_one_success")
    @step
    @in_child_process
    def judge(ctx: TaskContext, challenger: Summary) -> Judgement:
        from restar_lib.retraining import pipeline

        ids = {name: challenger[name] for name in ("version", "snapshot_hash")}
        return pipeline.judge(ctx.engine, ctx.settings, run_key=ctx.run_key, **ids)

    # After the gate, so that its latency is measured alone; whatever it says, for the stars are none of the model's.
    @task(trigger_rule="all_done_min_one_success")
    @step
    def ask_people(ctx: TaskContext, challenger: Summary) -> AskedDoubts:
        from restar_lib.retraining import pipeline

        ids = {name: challenger[name] for name in ("version", "snapshot_hash")}
        return pipeline.ask_people(ctx.engine, ctx.settings, **ids)

    @task.branch(multiple_outputs=False)
    @step
    def choose_approval(ctx: TaskContext, judgement: Summary) -> str:
        from restar_lib.retraining import pipeline

        asks = pipeline.needs_person(judgement, policy=ctx.params["approval"], settings=ctx.settings)
        return branch(judgement, needs_person=asks, settings=ctx.settings)

    @task(trigger_rule="none_failed_min_one_success")
    @step
    def release_challenger(ctx: TaskContext, judgement: Summary) -> Release:
        from restar_lib.retraining import pipeline

        approval = approval_of_run()
        return pipeline.release_challenger(
            ctx.engine, ctx.settings, judgement=judgement, approval=approval, now=ctx.now
        )

    frozen = freeze_snapshot()
    challenger = train_challenger(frozen["snapshot_hash"])
    judgement = judge(challenger)
    merge_labels() >> frozen
    # One after the other: the gate measures the latency, and two at once would measure each other.
    evaluate(challenger) >> judgement >> ask_people(challenger)
    approve, released = approval_form(config), release_challenger(judgement)
    choose_approval(judgement) >> [approve, released]
    approve >> released


retrain_sentiment()
