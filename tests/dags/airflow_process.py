"""A real Airflow in a process of its own, which does what tests ask: parse the DAGs, run one, let the trigger look.

Airflow reads its configuration when it is imported and keeps one metadata database per process, so it stays out of
pytest's process. Requests and answers are one JSON line each, on stdin and on what was stdout; Airflow's own output
goes to stderr. `house` in conftest.py starts it. It asserts nothing.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import event as orm_event
from sqlalchemy import select

FIRST_ENVIRONMENT = dict(os.environ)


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(answer_to(request), default=str) + "\n")
        answers.flush()


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """The answer, or what went wrong with it: one failed test must not take the others with it."""
    try:
        configure(request.pop("environment"))
        return {"answer": ANSWERS[request.pop("do")](**request)}
    except Exception:  # noqa: BLE001  told to the test
        return {"failed": traceback.format_exc()}


def configure(environment: Mapping[str, str]) -> None:
    """Let the next answer see this configuration and database, and nothing of the request before."""
    from restar_lib import settings
    from restar_lib.store import database

    os.environ.clear()
    os.environ.update(FIRST_ENVIRONMENT | environment)
    settings.settings.cache_clear()
    database.engine.cache_clear()


def parsed() -> Any:
    """All DAGs of the project, parsed afresh."""
    from airflow.dag_processing.dagbag import DagBag

    from restar_lib.orchestration import trigger_forms

    # A run's own values are written into the fields of its form; with Airflow, each task is a process of its own.
    importlib.reload(trigger_forms)
    return DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], bundle_name="dags-folder")


def describe() -> dict[str, Any]:
    """What the policies look at, and what did not parse."""
    bag = parsed()
    return {"errors": bag.import_errors, "dags": {dag.dag_id: _dag(dag) for dag in bag.dags.values()}}


def _dag(dag: Any) -> dict[str, Any]:
    return {
        "file": Path(dag.fileloc).name,
        "doc_md": dag.doc_md,
        "description": dag.description,
        "tags": sorted(dag.tags),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "start_date": dag.start_date,
        "assets": _assets(dag),
        "params": {name: _param(dag.params.get_param(name)) for name in dag.params},
        "tasks": {task.task_id: _task(task) for task in dag.tasks},
    }


def _assets(dag: Any) -> list[str]:
    """What starts a DAG, as the scheduler sees it after serialisation."""
    from airflow.serialization.serialized_objects import DagSerialization

    condition = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).timetable.asset_condition
    return sorted(asset.name for _, asset in condition.iter_assets()) if condition else []


def _param(param: Any) -> dict[str, Any]:
    typed = "type" in param.schema or "enum" in param.schema
    return {"typed": typed, "title": param.schema.get("title"), "description": param.description}


def _task(task: Any) -> dict[str, Any]:
    return {
        "owner": task.owner,
        "retries": task.retries,
        "backoff": task.retry_exponential_backoff,
        "timeout": task.execution_timeout,
        "mails_failure": [callback.__name__ for callback in task.on_failure_callback],
        "downstream": sorted(task.downstream_task_ids),
        "trigger_rule": str(task.trigger_rule.value),
    }


def run(
    dag_id: str,
    conf: Mapping[str, Any],
    person: str | None = None,
    answer: str = "Approve",
    by_hand: bool = True,
) -> dict[str, Any]:
    """Run one DAG; every task's state and answer. `person` gives the `answer` to what waits for approval.

    Not `by_hand`, its tasks see a run that the schedule started.
    """
    dag = parsed().dags[dag_id]
    with _scheduler_beside(person, answer), nullcontext() if by_hand else _scheduled():
        made = dag.test(logical_date=None, run_conf=dict(conf))
    tasks = {task.task_id: {"state": str(task.state), "try": task.try_number} for task in made.get_task_instances()}
    answers = {task_id: _answer(made, task_id) for task_id in tasks}
    return {"run_id": made.run_id, "state": str(made.state.value), "tasks": tasks, "answers": answers}


@contextmanager
def _scheduled() -> Iterator[None]:
    """Runs are stored as scheduled ones: `dag.test()` makes runs by hand alone."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunType

    def as_scheduled(_mapper: Any, _connection: Any, run: Any) -> None:
        run.run_type = DagRunType.SCHEDULED

    orm_event.listen(DagRun, "before_insert", as_scheduled)
    try:
        yield
    finally:
        orm_event.remove(DagRun, "before_insert", as_scheduled)


def _answer(made: Any, task_id: str) -> Any:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(run_id=made.run_id, key="return_value", task_ids=task_id, dag_ids=made.dag_id)
        return session.execute(query.with_only_columns(XComModel.value)).scalar()


@contextmanager
def _scheduler_beside(person: str | None, answer: str) -> Iterator[None]:
    """The scheduler's own look at approvals whose time is up, which `dag.test()` leaves out."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    scheduler, stop = SchedulerJobRunner(job=Job()), threading.Event()

    def sweep() -> None:
        while not stop.wait(0.2):
            if person:
                _respond(person, answer)
            scheduler.check_awaiting_input_timeouts()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _respond(person: str, answer: str) -> None:
    """What a button in Required Actions writes; the scheduler's sweep takes it up."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState

    # Not before the task is parked: `dag.test()` waits for ever for one that was answered earlier.
    parked = select(TaskInstance.id).where(TaskInstance.state == TaskInstanceState.AWAITING_INPUT)
    unanswered = select(HITLDetail).where(HITLDetail.responded_at.is_(None), HITLDetail.ti_id.in_(parked))
    with create_session() as session:
        for waiting in session.scalars(unanswered):
            waiting.chosen_options, waiting.params_input = [answer], {}
            waiting.responded_by = {"id": person, "name": person}
            waiting.responded_at = datetime.now(UTC)


def look(enough: int, looks: int) -> list[Any]:
    """What the labels trigger announces in so many looks."""
    from restar_lib.orchestration.labels_trigger import LabelsReadyTrigger

    class Counting(LabelsReadyTrigger):  # type: ignore[misc]
        looked = 0

        async def _finished(self, now: datetime) -> int:
            self.looked += 1
            return await super()._finished(now)

    async def announced() -> list[Any]:
        events: list[Any] = []
        trigger = Counting(enough=enough, poll_seconds=0.02)

        async def listen() -> None:
            async for event in trigger.run():
                events.append(event.payload)  # noqa: PERF401  it never ends: what has come is kept

        listening = asyncio.create_task(listen())
        while trigger.looked <= looks and not listening.done():  # noqa: ASYNC110  what is counted is the looks
            await asyncio.sleep(0.02)
        listening.cancel()
        return events

    return asyncio.run(announced())


def unread() -> bool:
    """Whether the trigger for unread reviews sees some."""
    from restar_lib.orchestration.reviews_trigger import UnreadReviewsTrigger

    return asyncio.run(UnreadReviewsTrigger(poll_seconds=1)._is_any_unread(datetime.now(UTC)))


def asked(run_type: str, assets: list[str]) -> str:
    """Who wants a run that events of these assets started, told by Airflow's own collection of events."""
    from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor

    from restar_lib.orchestration.tasks import trigger_of

    named = [SimpleNamespace(name=name, uri=f"restar://{name}") for name in assets]
    events: Any = [SimpleNamespace(asset=asset, source_aliases=[]) for asset in named]
    return str(trigger_of(run_type, assets=TriggeringAssetEventsAccessor.build(events)).name)


ANSWERS = {"asked": asked, "describe": describe, "run": run, "look": look, "unread": unread}

if __name__ == "__main__":
    main()
