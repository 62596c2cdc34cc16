"""MLflow's view of the models: one run and one registered version per sealed folder, and the alias `champion`.

Written from the sealed folder alone (model.json, metrics.json), so whatever MLflow missed while it was away can be
written later by the same call (`catch_up`). MLflow follows and decides nothing: where it is down or not configured, a
warning says so and the training or the release still ends. The files stay in the artifact folder; a version points
there. Runs and versions carry the tag `model_version` and are never doubled.

Its telemetry is switched off by the environment (`MLFLOW_DISABLE_TELEMETRY`, `DO_NOT_TRACK`), which the embedded runner
and the containers set. Called by `orchestration` after training and by `registry.release`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from restar_lib.registry import artifact
from restar_lib.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

NAME: Final = "restar"
"""Of the experiment and of the registered model."""
ALIAS: Final = "champion"
TAG: Final = "model_version"
CONNECT_SECONDS: Final = 5


def log_training(settings: Settings, folder: Path) -> str | None:
    """Log the sealed model in `folder` as a run and register it; returns the run id, None where MLflow did not take it.

    Running it again finds the same run and version.
    """
    try:
        client = _client(settings)
        if client is None:
            return None
        run_id = _run_of(client, folder) or _new_run(client, folder)
        if _registered(client, folder.name) is None:
            _register(client, folder, run_id)
    except Exception as error:  # noqa: BLE001 - MLflow, SQLAlchemy and the driver share no base class; none may stop us
        _warn(f"did not take {folder.name}", error)
        return None
    log.info("MLflow run %s holds the parameters and metrics of %s", run_id, folder.name)
    return run_id


def set_champion_alias(settings: Settings, version: str) -> bool:
    """Point the alias `champion` at `version`, registering it where MLflow does not know it; whether that worked."""
    try:
        client = _client(settings)
        if client is None:
            return False
        registered = _registered(client, version)
        if registered is None:
            log_training(settings, artifact.locate(settings.models_dir, version))
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
    held = [log_training(settings, settings.models_dir / version) for version in artifact.versions(settings.models_dir)]
    if champion is not None:
        set_champion_alias(settings, champion)
    return sum(run_id is not None for run_id in held)


def _warn(what: str, error: Exception) -> None:
    reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
    log.warning("MLflow %s (%s); nothing else depends on it, and housekeeping catches up", what, reason[0])


def _client(settings: Settings) -> MlflowClient | None:
    """A client on the configured database; None where none is configured. Fails fast where the server is away."""
    if settings.database.mlflow_url is None:
        return None
    url = settings.database.mlflow_url.get_secret_value()
    _knock(url)
    import mlflow

    return mlflow.MlflowClient(tracking_uri=url, registry_uri=url)


def _knock(url: str) -> None:
    """Connect once: MLflow itself would try ten times with growing pauses."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS}).connect().close()


def _run_of(client: MlflowClient, folder: Path) -> str | None:
    runs = client.search_runs([_experiment(client, folder)], f"tags.{TAG} = '{folder.name}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def _experiment(client: MlflowClient, folder: Path) -> str:
    known = client.get_experiment_by_name(NAME)
    if known is not None:
        return str(known.experiment_id)
    return str(client.create_experiment(NAME, artifact_location=folder.parent.resolve().as_uri()))


def _new_run(client: MlflowClient, folder: Path) -> str:
    from mlflow.entities import Metric, Param

    description, metrics = _read(folder / "model.json"), _read(folder / "metrics.json")
    tags = {
        "artifact_folder": str(folder.resolve()),
        "snapshot_hash": str(description.get("snapshot_hash")),
        "simulated": str(description.get("simulated")),
    }
    run_id = str(client.create_run(_experiment(client, folder), run_name=folder.name, tags=tags).info.run_id)
    params = [Param(key, str(value)[:500]) for key, value in description.items()]
    numbers = [Metric(key, value, timestamp=0, step=0) for key, value in _numbers(metrics)]
    client.log_batch(run_id, metrics=numbers, params=params)
    # The tag that makes the run findable comes last: a run that was cut short is written again, not taken for whole.
    client.set_tag(run_id, TAG, folder.name)
    client.set_terminated(run_id)
    return run_id


def _register(client: MlflowClient, folder: Path, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(NAME, source=folder.resolve().as_uri(), run_id=run_id, tags={TAG: folder.name})


def _registered(client: MlflowClient, version: str) -> str | None:
    """MLflow's own number of our version."""
    found = client.search_model_versions(f"name = '{NAME}' and tags.`{TAG}` = '{version}'", max_results=1)
    return str(found[0].version) if found else None


def _read(path: Path) -> Mapping[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _numbers(content: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested JSON with its path as its name: `test/per_class/0/recall`."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _numbers(value, f"{name}/{key}" if name else str(key))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _numbers(value, f"{name}/{index}")
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield re.sub(r"[^\w./ -]", "_", name)[:250], float(content)
