"""What a running task works with, and how it ends.

`task_context` is the one place where a task gets settings, engine and clock; `step` turns Re*Star's named errors into
Airflow's outcomes by one table; `in_child_process` is for tasks that need much memory. Used by every DAG file.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec

from airflow.sdk import Asset, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from sqlalchemy import Engine

from restar_lib import errors
from restar_lib.orchestration.dag_defaults import DRIFT
from restar_lib.retraining.policy import TrainingTrigger
from restar_lib.settings import Settings, settings

Summary = dict[str, Any]
"""What a task returns: ids, counts and paths. Each key becomes an XCom of its own, readable in the UI."""
Parameters = ParamSpec("Parameters")


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """What the running task works with."""

    settings: Settings
    engine: Engine
    now: datetime
    run_key: str
    """Airflow's run id."""
    params: Mapping[str, Any]
    """The trigger form's values."""
    trigger: TrainingTrigger
    by: str
    """The user who triggered the run by hand, else `airflow`."""
    rerun: bool
    """Whether this task ran before in this run: a retry, or somebody cleared it."""
    window: tuple[datetime, datetime] | None
    """The run's data interval."""
    is_backfill: bool
    """Whether the run is one of a backfill: it is there for its data interval alone."""

    @property
    def is_by_hand(self) -> bool:
        """Whether a person triggered this run, so that the form's values are theirs."""
        return self.trigger is TrainingTrigger.HAND


def task_context() -> TaskContext:
    """What the task that is running works with."""
    from restar_lib.store.database import engine

    airflow = get_current_context()
    run = airflow["dag_run"]
    interval = (run.data_interval_start, run.data_interval_end)
    return TaskContext(
        settings=settings(),
        engine=engine(),
        now=datetime.now(UTC),
        run_key=run.run_id,
        params=airflow["params"],
        trigger=trigger_of(run.run_type.value, assets=airflow["triggering_asset_events"]),
        by=run.triggering_user_name or "airflow",
        rerun=airflow["ti"].try_number > 1,
        window=(interval[0], interval[1]) if interval[0] and interval[1] else None,
        is_backfill=run.run_type.value == "backfill",
    )


def trigger_of(run_type: str, *, assets: Iterable[Asset]) -> TrainingTrigger:
    """What started a run of this type; `assets` are those whose events did, where some did."""
    if run_type == "asset_triggered":
        # By name, one by one: Airflow's mapping of events answers "yes" to every `in`.
        return TrainingTrigger.DRIFT if DRIFT.name in {asset.name for asset in assets} else TrainingTrigger.LABELS
    return TrainingTrigger.SCHEDULE if run_type == "scheduled" else TrainingTrigger.HAND


OUTCOMES: tuple[tuple[type[errors.RestarError], type[Exception]], ...] = (
    (errors.NothingToDo, AirflowSkipException),
    # Running it again cannot mend these: a person has to read the message.
    (errors.ConfigurationError, AirflowFailException),
    (errors.DamagedFiles, AirflowFailException),
    (errors.SnapshotError, AirflowFailException),
    (errors.ArtifactError, AirflowFailException),
    (errors.ProbeFailed, AirflowFailException),
    (errors.ReleaseConflict, AirflowFailException),
)
"""How a task ends for each named situation; whatever is not here is retried with backoff."""


def step(body: Callable[Concatenate[TaskContext, Parameters], object]) -> Callable[Parameters, Any]:
    """Make a task of `body`: it is given a `TaskContext`, named errors become outcomes, its result a `Summary`."""

    @functools.wraps(body)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
        try:
            return summary(body(task_context(), *args, **kwargs))
        except errors.RestarError as error:
            outcome = next((outcome for situation, outcome in OUTCOMES if isinstance(error, situation)), None)
            if outcome is None:
                raise
            raise outcome(str(error)) from error

    # Airflow reads what a task takes and returns from here; the context is given by this decorator.
    given, *taken = inspect.signature(body).parameters.values()
    run.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    run.__annotations__ = {**body.__annotations__, "return": Summary}
    del run.__annotations__[given.name]
    return run


def in_child_process(
    body: Callable[Concatenate[TaskContext, Parameters], object],
) -> Callable[Concatenate[TaskContext, Parameters], object]:
    """Run `body` in a child process, so that a kill for memory is reported. Stands below `step`."""

    @functools.wraps(body)
    def run(context: TaskContext, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> object:
        from restar_lib.child_process import run_in_child

        def work() -> object:
            context.engine.dispose(close=False)  # the parent's connections stay the parent's
            return summary(body(context, *args, **kwargs))

        return run_in_child(work)

    return run


def summary(result: object) -> Any:
    """A result as XCom can carry it: plain dicts, lists, text and numbers."""
    if is_dataclass(result) and not isinstance(result, type):
        return summary(asdict(result))
    if isinstance(result, Mapping):
        return {str(key): summary(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [summary(value) for value in result]
    if isinstance(result, Enum):
        return result.value
    if isinstance(result, datetime):
        return result.isoformat()
    return str(result) if isinstance(result, Path) else result


def skip(reason: str) -> NoReturn:
    """End the running task as skipped, with the reason in its log."""
    raise errors.NothingToDo(reason)
