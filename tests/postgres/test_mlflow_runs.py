"""What an MLflow run knows of a version: parameters, code, data, curves, labels, verdict, and a model that answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Engine, insert

from restar_lib.artifacts import sealed_folder
from restar_lib.domain import LabelSource, Reason, Sentiment, Side, TaskStatus
from restar_lib.settings import DatabaseSettings, Settings
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from restar_lib.store.tables import IngestRun, Label, LabelTask, ReviewRow, SnapshotLabel, SnapshotRow
from restar_lib.tracking import mlflow_log, mlflow_model
from restar_lib.tracking.training_record import TrainingRecord
from tests.tiny_model import make_tiny_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SNAPSHOT = "5" * 16
NUMBERS = count(1)


@pytest.fixture(scope="module")
def mlflow_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """MLflow's database, made once: its tables take seconds. Each test has a version of its own in it."""
    postgres.create_databases("mlflow_runs")
    yield postgres.url("mlflow_runs")
    with postgres.connect("postgres") as connection:
        connection.execute(sql.SQL("drop database mlflow_runs with (force)"))


@pytest.fixture
def house(mlflow_url: str, smoke: Settings, engine: Engine, database_url: str) -> Settings:
    """Settings with both databases; in ours, one snapshot with one finished task of two labels."""
    _label_something(engine)
    urls = DatabaseSettings(url=SecretStr(database_url), mlflow_url=SecretStr(mlflow_url))
    return smoke.model_copy(update={"database": urls})


def _label_something(engine: Engine) -> None:
    rows = {"train_rows": 1, "validation_rows": 1, "test_rows": 1, "people_rows": 1}
    review = {
        "review_id": "r1", "source": "test", "text": "fine", "rating": 3, "reviewed_at": NOW, "words": 1,
        "text_hash": "hash", "side": Side.TRAIN, "ingest_run_id": 1,
    }  # fmt: skip
    task = {
        "task_id": 41, "review_id": "r1", "status": TaskStatus.MERGED, "reasons": [Reason.UNCERTAIN], "priority": 1.0,
        "inclusion_probability": 1.0, "consensus": Sentiment.NEUTRAL, "done_at": NOW, "merged_at": NOW,
    }  # fmt: skip
    label = {"task_id": 41, "sentiment": Sentiment.NEUTRAL, "source": LabelSource.PERSON}
    labels = [{**label, "label_id": number, "labeler": f"person {number}"} for number in (7, 9)]
    with engine.begin() as connection:
        connection.execute(insert(IngestRun).values(ingest_run_id=1, source="test", run_key="test"))
        connection.execute(insert(ReviewRow).values(review))
        connection.execute(insert(LabelTask).values(task))
        connection.execute(insert(Label), labels)
        connection.execute(insert(SnapshotRow).values(snapshot_hash=SNAPSHOT, created_at=NOW, **rows))
        connection.execute(insert(SnapshotLabel).values(snapshot_hash=SNAPSHOT, task_id=41))


def sealed(settings: Settings) -> Path:
    """A model like no other, with a training's curve and the record of its run."""
    work = sealed_folder.new_work_folder(settings.models_dir)
    make_tiny_model(work, snapshot_hash=SNAPSHOT, temperature=1 + next(NUMBERS) / 100)
    curve = [
        {"step": 0, "epoch": 0.0, "loss": None, "validation_macro_f1": 0.4},
        {"step": 10, "epoch": 1.0, "loss": 0.7, "validation_macro_f1": 0.6},
    ]
    (work / "history.json").write_text(json.dumps(curve))
    folder = settings.models_dir / sealed_folder.seal(work, settings.models_dir)
    TrainingRecord.of(settings, champion="rs-0000000000").write(settings.models_dir, folder.name)
    return folder


def client_of(settings: Settings) -> MlflowClient:
    """MLflow itself."""
    from mlflow import MlflowClient as Client

    assert settings.database.mlflow_url is not None
    url = settings.database.mlflow_url.get_secret_value()
    return Client(tracking_uri=url, registry_uri=url)


def runs_of(settings: Settings, folder: Path) -> list[str]:
    """Every run of this name, finished or not."""
    client = client_of(settings)
    experiment = client.get_experiment_by_name("restar")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{folder.name}'")
    return [run.info.run_id for run in runs]


def models_of(settings: Settings, folder: Path) -> list[LoggedModel]:
    """Every model of this name, finished or not."""
    client = client_of(settings)
    experiment = client.get_experiment_by_name("restar")
    assert experiment is not None
    return list(client.search_logged_models([experiment.experiment_id], f"name = '{folder.name}'"))


def test_a_run_holds_where_a_version_came_from(house: Settings) -> None:
    """Settings, code, data hash, curves over the steps, and the labels by their ids: no name, no text."""
    folder = sealed(house)
    run_id = mlflow_log.log_training(house, folder)
    assert run_id is not None
    client = client_of(house)
    run = client.get_run(run_id)
    params, tags = run.data.params, run.data.tags
    assert params["training.regularisation"] == str(house.training.regularisation)
    assert params["dataset.max_rows"] == str(house.dataset.max_rows)
    assert params["champion_before"] == "rs-0000000000"
    assert tags["code_version"].startswith(("git ", "restar "))
    (data,) = [entry.dataset for entry in run.inputs.dataset_inputs]
    assert (data.name, data.digest) == ("snapshot", SNAPSHOT)
    curve = client.get_metric_history(run_id, "training/validation_macro_f1")
    assert [(point.step, point.value) for point in curve] == [(0, 0.4), (10, 0.6)]
    assert [point.step for point in client.get_metric_history(run_id, "training/loss")] == [10]
    lineage = Path(client.download_artifacts(run_id, "lineage/labels.json")).read_text()
    assert json.loads(lineage) == {"snapshot_hash": SNAPSHOT, "label_ids_by_task_id": {"41": [7, 9]}}
    assert run.data.metrics["people/labels"] == 2


def test_a_verdict_is_added_when_it_is_given(house: Settings) -> None:
    """The same call again tells of it; the answer and the refusing lines are tags."""
    folder = sealed(house)
    run_id = mlflow_log.log_training(house, folder)
    lines = [
        {"name": "accuracy", "passed": False, "detail": "too low", "numbers": {"value": 0.7, "limit": 0.85}},
        {"name": "latency", "passed": True, "detail": "fast", "numbers": {"p99_ms": 9.0}},
    ]
    verdict = {"verdict_id": 3, "passed": False, "provisional": False, "lines": lines, "created_at": NOW.isoformat()}
    sealed_folder.sibling(house.models_dir, folder.name, "verdict.json").write_text(json.dumps(verdict))
    assert mlflow_log.catch_up(house, champion=None) == 1
    run = client_of(house).get_run(str(run_id))
    assert (run.data.tags["verdict"], run.data.tags["verdict_refused_by"]) == ("refused", "accuracy")
    assert run.data.metrics["gate/accuracy/value"] == 0.7


def test_a_run_that_was_cut_short_is_completed(house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The half run of a killed process is found by its name and filled: no second one lies beside it."""
    folder = sealed(house)
    with monkeypatch.context() as patched:
        patched.setattr(mlflow_log, "_log_lineage", _killed)
        assert mlflow_log.log_training(house, folder) is None
    run_id = mlflow_log.log_training(house, folder)
    assert runs_of(house, folder) == [run_id]


def _killed(*_: object, **__: object) -> None:
    raise ConnectionError("the process died here")


def test_what_a_run_does_not_know_yet_is_added(house: Settings) -> None:
    """Told before its record was there, or partly; what MLflow was told first stays, whatever is said later."""
    folder, client = sealed(house), client_of(house)
    beside = sealed_folder.sibling(house.models_dir, folder.name, "run.json")
    record = beside.read_text()
    beside.unlink()
    run_id = str(mlflow_log.log_training(house, folder))
    assert "code_version" not in client.get_run(run_id).data.tags
    client.log_param(run_id, "package.torch", "another")
    beside.write_text(record)
    assert mlflow_log.log_training(house, folder) == run_id
    found = client.get_run(run_id).data
    assert found.params["training.regularisation"] == str(house.training.regularisation)
    assert found.params["package.torch"] == "another"
    assert found.tags["code_version"].startswith(("git ", "restar "))


def test_a_damaged_record_keeps_mlflow_from_nothing_else(house: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The version is told of without it, and a warning names the file and what to do."""
    folder = sealed(house)
    beside = sealed_folder.sibling(house.models_dir, folder.name, "run.json")
    record = beside.read_text()
    beside.write_text("{")
    run_id = str(mlflow_log.log_training(house, folder))
    (warning,) = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert f"{folder.name} without its settings, code and packages: {beside}" in warning
    assert "restore it from a backup, or delete it" in warning
    assert client_of(house).get_run(run_id).data.params["mode"] == "head"
    beside.write_text(record)
    mlflow_log.log_training(house, folder)
    assert client_of(house).get_run(run_id).data.params["training.epochs"] == str(house.training.epochs)


def test_two_at_once_make_one_run(house: Settings) -> None:
    """The end of a training and housekeeping may tell MLflow of the same version at the same moment."""
    folder = sealed(house)
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(lambda _: mlflow_log.log_training(house, folder), range(2)))
    assert runs_of(house, folder) == list(found)
    assert len(client_of(house).search_model_versions(f"name = 'restar' and tags.model_version = '{folder.name}'")) == 1


def test_the_registered_model_answers_by_its_signature(house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's loader opens the sealed folder with the serving engine; inputs and outputs are declared."""
    import mlflow
    import pandas as pd

    folder = sealed(house)
    mlflow_log.log_training(house, folder)
    (version,) = client_of(house).search_model_versions(f"tags.model_version = '{folder.name}'")
    assert house.database.mlflow_url is not None
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_URI", house.database.mlflow_url.get_secret_value())
    model = mlflow.pyfunc.load_model(f"models:/restar/{version.version}")
    answers = model.predict(pd.DataFrame({"text": ["excellent and sturdy", "broken and useless"]}))
    assert answers["sentiment"].tolist() == ["positive", "negative"]
    assert set(answers.columns) == set(model.metadata.get_output_schema().input_names())
    assert model.metadata.get_input_schema().input_names() == ["text"]


@pytest.mark.parametrize(
    "step", ["log_model_artifacts", "log_outputs", "finalize_logged_model", "create_model_version"]
)
def test_a_model_that_was_cut_short_is_completed(house: Settings, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Killed before any step, the next call ends with one model that is ready, named by its run, and loads."""
    import mlflow
    import pandas as pd

    folder = sealed(house)
    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, step, _killed)
        assert mlflow_log.log_training(house, folder) is None
    run_id = str(mlflow_log.log_training(house, folder))
    assert mlflow_log.log_training(house, folder) == run_id
    (model,) = models_of(house, folder)
    (version,) = client_of(house).search_model_versions(f"name = 'restar' and tags.model_version = '{folder.name}'")
    outputs = client_of(house).get_run(run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [model.model_id]
    assert (version.source, model.status) == (model.artifact_location, "READY")
    answers = mlflow.pyfunc.load_model(version.source).predict(pd.DataFrame({"text": ["excellent"]}))
    assert answers["sentiment"].tolist() == ["positive"]


def test_a_registered_model_without_its_file_is_completed(house: Settings) -> None:
    """As an older Re*Star left it: registered, and nothing in it."""
    folder = sealed(house)
    run_id, client = mlflow_log.log_training(house, folder), client_of(house)
    (model,) = models_of(house, folder)
    description = Path(model.artifact_location.removeprefix("file://")) / "MLmodel"
    description.unlink()
    client.finalize_logged_model(model.model_id, "PENDING")
    assert mlflow_log.log_training(house, folder) == run_id
    assert description.is_file()
    assert [found.status for found in models_of(house, folder)] == ["READY"]


def test_a_registered_model_of_an_earlier_release_opens_again(house: Settings) -> None:
    """Its file names a module that has moved since: the next catch-up writes it anew, and it answers."""
    import mlflow
    import pandas as pd

    folder = sealed(house)
    mlflow_log.log_training(house, folder)
    (model,) = models_of(house, folder)
    description = Path(model.artifact_location.removeprefix("file://")) / "MLmodel"
    description.write_text(description.read_text().replace(mlflow_model.LOADER, "restar_lib.registry.mlflow_model"))
    client_of(house).delete_logged_model_tag(model.model_id, mlflow_log.LOADER_TAG)
    assert mlflow_log.catch_up(house, champion=folder.name) == 1
    answers = mlflow.pyfunc.load_model(model.artifact_location).predict(pd.DataFrame({"text": ["excellent"]}))
    assert answers["sentiment"].tolist() == ["positive"]
