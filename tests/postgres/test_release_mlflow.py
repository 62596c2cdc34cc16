"""MLflow follows the sealed folders and the release log, and nothing waits for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from pydantic import SecretStr

from restar_lib.settings import DatabaseSettings, Settings
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from restar_lib.tracking import mlflow_log
from tests.tiny_model import sealed_tiny_model

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture
def mlflow_settings(postgres: EmbeddedPostgres, smoke: Settings) -> Iterator[Settings]:
    """Settings with an empty MLflow database on the real server."""
    postgres.create_databases("mlflow_test")
    yield _with_mlflow(smoke, postgres.url("mlflow_test"))
    with postgres.connect("postgres") as connection:
        connection.execute(sql.SQL("drop database mlflow_test with (force)"))


def _with_mlflow(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database": DatabaseSettings(mlflow_url=SecretStr(url))})


def test_mlflow_holds_one_run_and_version_per_model_and_the_champion_alias(mlflow_settings: Settings) -> None:
    """Logged twice it is there once, what was missed is caught up, and the alias follows a release."""
    first = sealed_tiny_model(mlflow_settings.models_dir)
    second = sealed_tiny_model(mlflow_settings.models_dir, bias=(0.0, 0.5, 0.0))

    run_id = mlflow_log.log_training(mlflow_settings, first)
    assert run_id is not None
    assert mlflow_log.log_training(mlflow_settings, first) == run_id
    assert mlflow_log.catch_up(mlflow_settings, champion=first.name) == 2
    assert mlflow_log.set_champion_alias(mlflow_settings, second.name)

    client = _client(mlflow_settings)
    versions = client.search_model_versions("name = 'restar'")
    assert sorted(version.tags["model_version"] for version in versions) == sorted([first.name, second.name])
    assert client.get_model_version_by_alias("restar", "champion").tags["model_version"] == second.name
    run = client.get_run(run_id)
    assert run.data.params["mode"] == "head"
    assert run.data.metrics["validation/rows"] == 0
    assert Path(run.data.tags["artifact_folder"]) == first.resolve()
    assert run.info.status == "FINISHED"


def test_a_training_ends_and_says_so_when_mlflow_is_away(smoke: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """No exception, no silence: one warning that names the model."""
    folder = sealed_tiny_model(smoke.models_dir)
    away = _with_mlflow(smoke, "postgresql+psycopg://nobody@127.0.0.1:1/mlflow")
    with caplog.at_level(logging.WARNING):
        assert mlflow_log.log_training(away, folder) is None
        assert not mlflow_log.set_champion_alias(away, folder.name)
    assert sum(folder.name in record.message for record in caplog.records) == 2


def _client(settings: Settings) -> MlflowClient:
    from mlflow import MlflowClient as Client

    assert settings.database.mlflow_url is not None
    url = settings.database.mlflow_url.get_secret_value()
    return Client(tracking_uri=url, registry_uri=url)
