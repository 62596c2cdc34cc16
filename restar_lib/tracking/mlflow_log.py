"""MLflow's view of the models: one run and one registered version per sealed folder, and the alias `champion`.

A run holds the parameters (all of `training` and `dataset`), the code's version, the snapshot as its data set down to
the ids of the labels in it, the curves of the training, every metric, the verdict, and from the evaluation report its
figures and plots. All of it is read from the sealed folder, the files beside it and the tables, so whatever MLflow
missed while it was away, and whatever was learned later, can be logged later by the same call (`log_training`,
`catch_up`). MLflow follows and decides nothing: where it is down or not configured, a warning says so and the training
or the release still ends. The weights stay in the artifact folder; the registered model is a description that opens
them (`mlflow_model`). Runs and versions carry the tag `model_version` and are never doubled.

Its telemetry is switched off by the environment (`MLFLOW_DISABLE_TELEMETRY`, `DO_NOT_TRACK`), which the embedded runner
and the containers set. Called by `retraining.pipeline`, `releases.release` and housekeeping.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from restar_lib.artifacts import sealed_folder
from restar_lib.errors import ArtifactError
from restar_lib.settings import Settings
from restar_lib.tracking import mlflow_content, mlflow_model, training_record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from restar_lib.tracking.training_record import TrainingRecord

log = logging.getLogger(__name__)

NAME: Final = "restar"
"""Of the experiment and of the registered model."""
ALIAS: Final = "champion"
TAG: Final = "model_version"
LOADER_TAG: Final = "loader"
"""Tag of MLflow's own model: which module of ours its description names. One without it is of an earlier release."""
EVALUATED, JUDGED = "evaluated", "verdict_id"
"""Tags that say which report and which verdict the run knows."""
ARTIFACTS: Final = "mlflow"
"""Below the state folder: plots and lineage; no weights and no texts."""
KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
"""So that the pages show trainings, not conversations."""
CONNECT_SECONDS: Final = 5
MOST_AT_ONCE: Final = 1000
"""Metrics that MLflow takes in one call."""


def log_training(settings: Settings, folder: Path) -> str | None:
    """Log the sealed model in `folder` as a run and register it; returns the run id, None where MLflow did not take it.

    Running it again finds the same run and version, and adds what MLflow does not know of it yet: what a killed process
    left out, its verdict and its evaluation.
    """
    try:
        with _connected(settings, folder.name) as client:
            if client is None:
                return None
            run_id = _run_of(client, settings, folder) or _new_run(client, settings, folder)
            _add_parameters(client, folder, run_id)
            model_id = _described(client, folder, run_id)
            if _registered(client, folder.name) is None:
                _register(client, folder, run_id, model_id)
            _add_verdict(client, folder, run_id)
            _add_evaluation(client, settings, folder, run_id)
    except Exception as error:  # noqa: BLE001 - MLflow, SQLAlchemy and the driver share no base class; none may stop us
        _warn(f"did not take {folder.name}", error)
        return None
    log.info("MLflow run %s holds what is known of %s", run_id, folder.name)
    return run_id


def set_champion_alias(settings: Settings, version: str) -> bool:
    """Point the alias `champion` at `version`, registering it where MLflow does not know it; whether that worked."""
    try:
        with _connected(settings, ALIAS) as client:
            if client is None:
                return False
            registered = _registered(client, version)
            if registered is None:
                log_training(settings, sealed_folder.locate(settings.models_dir, version))
                registered = _registered(client, version)
            if registered is None:
                return False
            client.set_registered_model_alias(NAME, ALIAS, registered)
    except Exception as error:  # noqa: BLE001 - as above
        _warn(f"does not know that {version} is the champion", error)
        return False
    return True


def catch_up(settings: Settings, *, champion: str | None) -> int:
    """Log every sealed version that MLflow missed, and set the alias; returns how many versions it holds now."""
    held = [
        log_training(settings, settings.models_dir / version) for version in sealed_folder.versions(settings.models_dir)
    ]
    if champion is not None:
        set_champion_alias(settings, champion)
    return sum(run_id is not None for run_id in held)


def _warn(what: str, error: Exception) -> None:
    reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
    log.warning("MLflow %s (%s); nothing else depends on it, and housekeeping catches up", what, reason[0])


@contextmanager
def _connected(settings: Settings, name: str) -> Iterator[MlflowClient | None]:
    """A client on the configured database, None where none is configured; one at a time for each `name`.

    Two processes that log the same version at once would each make a run of it. Fails fast where the server is
    away: MLflow itself would try ten times with growing pauses.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    from restar_lib.store.database import lock

    if settings.database.mlflow_url is None:
        yield None
        return
    url = settings.database.mlflow_url.get_secret_value()
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS})
    with engine.begin() as connection:
        lock(connection, f"mlflow {name}")
        import mlflow

        yield mlflow.MlflowClient(tracking_uri=url, registry_uri=url)


def _run_of(client: MlflowClient, settings: Settings, folder: Path) -> str | None:
    return _search(client, settings, f"tags.{TAG} = '{folder.name}'")


def _search(client: MlflowClient, settings: Settings, wanted: str) -> str | None:
    runs = client.search_runs([_experiment(client, settings)], wanted, max_results=1)
    return str(runs[0].info.run_id) if runs else None


def _experiment(client: MlflowClient, settings: Settings) -> str:
    known = client.get_experiment_by_name(NAME)
    if known is not None:
        return str(known.experiment_id)
    place = (settings.home / ARTIFACTS).resolve().as_uri()
    return str(client.create_experiment(NAME, artifact_location=place, tags=KIND))


def _new_run(client: MlflowClient, settings: Settings, folder: Path) -> str:
    sealed_at = mlflow_content.milliseconds((folder / sealed_folder.MANIFEST).stat().st_mtime)
    # A run that was cut short has everything but its tag: it is completed, so that there is no second one.
    run_id = _search(client, settings, f"attributes.run_name = '{folder.name}'") or str(
        client.create_run(_experiment(client, settings), run_name=folder.name, start_time=sealed_at).info.run_id
    )
    _log(client, run_id, mlflow_content.metrics(folder, at=sealed_at))
    client.log_inputs(run_id, [mlflow_content.data_set(folder, settings.snapshots_dir)])
    _log_lineage(client, settings, folder, run_id)
    client.set_tag(run_id, TAG, folder.name)
    client.set_terminated(run_id, end_time=sealed_at)
    return run_id


def _add_parameters(client: MlflowClient, folder: Path, run_id: str) -> None:
    """Those that the run does not have yet: MLflow takes no second value, and the first is that of the training."""
    from mlflow.entities import Param, RunTag

    logged, record = client.get_run(run_id).data, _record(folder)
    found, marks = mlflow_content.parameters(folder, record), mlflow_content.tags(folder, record)
    params = [Param(key, value) for key, value in found.items() if key not in logged.params]
    tags = [RunTag(key, value) for key, value in marks.items() if key not in logged.tags]
    if params or tags:
        client.log_batch(run_id, params=params, tags=tags)


def _record(folder: Path) -> TrainingRecord | None:
    try:
        return training_record.read(folder.parent, folder.name)
    except ArtifactError as error:
        log.warning("MLflow is told of %s without its settings, code and packages: %s", folder.name, error)
        return None


def _log(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> None:
    for start in range(0, len(metrics), MOST_AT_ONCE):
        client.log_batch(run_id, metrics=metrics[start : start + MOST_AT_ONCE])


def _log_lineage(client: MlflowClient, settings: Settings, folder: Path, run_id: str) -> None:
    """The ids of the labels that it learned from, by task; no name and no text."""
    from restar_lib.dataset.lineage import label_ids
    from restar_lib.store.database import engine_for

    if settings.database.url is None:
        return
    snapshot_hash = str(mlflow_content.read(folder / "model.json").get("snapshot_hash"))
    engine = engine_for(settings.database.url.get_secret_value())
    try:
        tasks = label_ids(engine, snapshot_hash)
    finally:
        engine.dispose()
    content = {"snapshot_hash": snapshot_hash, "label_ids_by_task_id": {str(task): ids for task, ids in tasks.items()}}
    client.log_dict(run_id, content, "lineage/labels.json")
    client.log_batch(run_id, metrics=mlflow_content.lineage_metrics(tasks))


def _add_verdict(client: MlflowClient, folder: Path, run_id: str) -> None:
    verdict = mlflow_content.verdict_beside(folder)
    if verdict is None or client.get_run(run_id).data.tags.get(JUDGED) == str(verdict["verdict_id"]):
        return
    _log(client, run_id, mlflow_content.verdict_metrics(verdict))
    for key, value in mlflow_content.verdict_tags(verdict).items():
        client.set_tag(run_id, key, value)
    client.set_tag(run_id, JUDGED, str(verdict["verdict_id"]))


def _add_evaluation(client: MlflowClient, settings: Settings, folder: Path, run_id: str) -> None:
    from restar_lib.evaluation.report import report_store
    from restar_lib.tracking import mlflow_plots

    report = report_store.of_version(settings, folder.name)
    if report is None:
        return
    known = f"{report.snapshot_hash} {report.evaluated_at.isoformat()}"
    if client.get_run(run_id).data.tags.get(EVALUATED) == known:
        return
    _log(client, run_id, mlflow_content.evaluation_metrics(report))
    for file, figure in mlflow_plots.pictures(report):
        client.log_figure(run_id, figure, file)
    client.set_tag(run_id, EVALUATED, known)


def _register(client: MlflowClient, folder: Path, run_id: str, model_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # The place itself, not `models:/<id>`: that would be looked up in whatever server this process has set globally.
    place = client.get_logged_model(model_id).artifact_location
    client.create_model_version(NAME, source=place, run_id=run_id, model_id=model_id, tags={TAG: folder.name})


def _described(client: MlflowClient, folder: Path, run_id: str) -> str:
    """The id of MLflow's own model: a file that says what goes in and out and where the sealed folder is.

    It is marked as ready when all of it is there; what a killed process has left before that is completed, and a file
    that names the loader of an earlier release of this program is written again.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    run = client.get_run(run_id)
    experiment = run.info.experiment_id
    known = client.search_logged_models([experiment], f"source_run_id = '{run_id}'", max_results=1)
    if known and known[0].status == LoggedModelStatus.READY and known[0].tags.get(LOADER_TAG) == mlflow_model.LOADER:
        return str(known[0].model_id)
    tags = {TAG: folder.name}
    model = (
        known[0]
        if known
        else client.create_logged_model(
            experiment, name=folder.name, source_run_id=run_id, tags=tags, model_type="onnx"
        )
    )
    model_id = str(model.model_id)
    with tempfile.TemporaryDirectory(prefix="restar-mlflow-") as place:
        mlflow_model.description(folder, run_id=run_id, model_id=model_id).save(f"{place}/{mlflow_model.DESCRIPTION}")
        client.log_model_artifacts(model_id, place)
    if model_id not in {output.model_id for output in run.outputs.model_outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    client.set_logged_model_tags(model_id, {LOADER_TAG: mlflow_model.LOADER})
    client.finalize_logged_model(model_id, "READY")
    return model_id


def _registered(client: MlflowClient, version: str) -> str | None:
    """MLflow's own number of our version."""
    found = client.search_model_versions(f"name = '{NAME}' and tags.`{TAG}` = '{version}'", max_results=1)
    return str(found[0].version) if found else None
