"""The stages that may be killed, as the DAGs run them: tasks one after the other, each handing its result to the next.

A step that has returned is not run again; one that was killed is, with `again` set, as Airflow does it. Each is one
call into `restar_lib`, the same that the DAG makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from restar_lib.domain import ReleaseKind
from restar_lib.errors import NothingToDo
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.releases.release import champion_folder, current, previous, release
from restar_lib.retraining import pipeline
from restar_lib.retraining.policy import BY_POLICY, TrainingTrigger
from restar_lib.scoring.batch import score_new
from restar_lib.settings import Settings
from tests.faults.world import Handed, World

HISTORY_AT = datetime(2026, 3, 1, 2, tzinfo=UTC)
NIGHT = datetime(2026, 3, 2, 2, tzinfo=UTC)
RUN = "scheduled__night"


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a step works with."""

    engine: Engine
    settings: Settings
    handed: Handed
    again: bool
    now: datetime


Step = Callable[[Call], Any]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Tasks that belong together."""

    steps: tuple[Step, ...]
    overrides: dict[str, str] = field(default_factory=dict)


def read_reviews(call: Call) -> Any:
    """`ingest_reviews`."""
    return ingest(call.engine, open_source(call.settings), call.settings, run_key=RUN, now=call.now)


def score_reviews(call: Call) -> Any:
    """`score_reviews`: predictions and tasks."""
    champion = champion_folder(call.engine, call.settings)
    assert champion is not None
    return score_new(call.engine, call.settings, model_folder=champion, now=call.now)


def merge_labels(call: Call) -> Any:
    """`retrain_sentiment`, first task."""
    return pipeline.merge_labels(
        call.engine, call.settings, trigger=TrainingTrigger.HAND, rerun=call.again, now=call.now
    )


def freeze_snapshot(call: Call) -> Any:
    """`retrain_sentiment`, second task."""
    return pipeline.freeze_snapshot(call.engine, call.settings, force=False, trigger=TrainingTrigger.HAND, now=call.now)


def train_challenger(call: Call) -> Any:
    """`retrain_sentiment`, third task."""
    snapshot_hash = call.handed["freeze_snapshot"]["snapshot_hash"]
    return pipeline.train_challenger(
        call.engine, call.settings, snapshot_hash=snapshot_hash, mode=pipeline.AS_CONFIGURED
    )


def evaluate(call: Call) -> Any:
    """`retrain_sentiment`, fourth task."""
    trained = call.handed["train_challenger"]
    ids = {name: trained[name] for name in ("version", "snapshot_hash")}
    return pipeline.evaluate_challenger(call.engine, call.settings, now=call.now, **ids)


def judge(call: Call) -> Any:
    """`retrain_sentiment`, fifth task."""
    trained = call.handed["train_challenger"]
    ids = {name: trained[name] for name in ("version", "snapshot_hash")}
    return pipeline.judge(call.engine, call.settings, run_key=RUN, **ids)


def ask_people(call: Call) -> Any:
    """`retrain_sentiment`, beside the approval."""
    trained = call.handed["train_challenger"]
    ids = {name: trained[name] for name in ("version", "snapshot_hash")}
    try:
        return pipeline.ask_people(call.engine, call.settings, **ids)
    except NothingToDo:
        return {"asked": 0}


def release_challenger(call: Call) -> Any:
    """`retrain_sentiment`, last task."""
    judgement = call.handed["judge"]
    return pipeline.release_challenger(
        call.engine, call.settings, judgement=judgement, approval=BY_POLICY, now=call.now
    )


def choose_target(call: Call) -> Any:
    """`roll_back`, first task."""
    champion, target = current(call.engine), previous(call.engine)
    assert champion is not None
    assert target is not None
    return {"leaving": champion.model_version, "target": target.model_version, "provisional": target.provisional}


def release_target(call: Call) -> Any:
    """`roll_back`, second task."""
    chosen = call.handed["choose_target"]
    return release(
        call.engine,
        call.settings,
        version=chosen["target"],
        by="anna",
        reason="it is bad",
        provisional=chosen["provisional"],
        kind=ReleaseKind.ROLL_BACK,
        expected_previous=chosen["leaving"],
        now=call.now,
    )


def returned(result: Any) -> Any:
    """A step's result as XCom would carry it."""
    return result if isinstance(result, dict) else asdict(result)


STAGES = {
    "ingest": Stage(steps=(read_reviews,)),
    # Few tasks, so that reading and predicting take the time, and fewer than there are doubtful reviews ...
    "score": Stage(
        steps=(score_reviews,),
        overrides={"RESTAR_SELECTION__AUDIT_RATE": "0.02", "RESTAR_SELECTION__MAX_TASKS": "12"},
    ),
    # ... and every review a task, so that the queue does.
    "enqueue": Stage(steps=(score_reviews,), overrides={"RESTAR_SELECTION__AUDIT_RATE": "1.0"}),
    "merge": Stage(steps=(merge_labels, freeze_snapshot)),
    "train": Stage(steps=(train_challenger,)),
    "evaluate": Stage(steps=(evaluate, judge)),
    "ask": Stage(steps=(ask_people,)),
    "release": Stage(steps=(release_challenger,)),
    "roll_back": Stage(steps=(choose_target, release_target)),
}


def run(world: World, stage: str, *, again: bool, now: datetime = NIGHT) -> None:
    """Run what is left of a stage."""
    settings = world.settings
    with world.engine() as engine:
        for step in STAGES[stage].steps:
            if step.__name__ not in world.handed:
                call = Call(engine=engine, settings=settings, handed=world.handed, again=again, now=now)
                world.hand(step.__name__, returned(step(call)))
