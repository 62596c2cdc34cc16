"""The record of a training, and the way to MLflow's pages."""

import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from restar_lib.errors import ConfigurationError
from restar_lib.registry import run_record
from restar_lib.registry.mlflow_pages import command, environment
from restar_lib.registry.run_record import RunRecord, code_version
from restar_lib.settings import Database, Settings, load

VERSION = "rs-0123456789"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The default profile with a home of its own."""
    return load(environment={"RESTAR_HOME": str(tmp_path / "var")}).settings


def test_the_record_is_the_same_for_the_same_training(settings: Settings) -> None:
    """No clock is in it, so a training that was killed and run again leaves the same file; and it reads back."""
    contents = []
    for _ in range(2):
        RunRecord.of(settings, champion="rs-1").write(settings.models_dir, VERSION)
        contents.append((settings.models_dir / f"{VERSION}.run.json").read_bytes())
    assert contents[0] == contents[1]
    found = run_record.read(settings.models_dir, VERSION)
    assert found is not None
    assert found.settings["training"]["max_tokens"] == settings.training.max_tokens
    assert found.settings["dataset"]["max_rows"] == settings.dataset.max_rows
    assert run_record.read(settings.models_dir, "rs-9999999999") is None


def test_the_code_version_is_the_commit_and_says_when_the_code_differs(tmp_path: Path) -> None:
    """A folder without git of its own has the package's version, not that of a repository around it."""
    package = tmp_path / "restar_lib"
    package.mkdir()
    (package / "x.py").write_text("")
    assert code_version(tmp_path).startswith("restar ")
    who = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    commit = code_version(tmp_path)
    assert len(commit) == len("git ") + 40
    (package / "x.py").write_text("altered = True\n")
    assert code_version(tmp_path) == f"{commit}, altered"
    assert code_version(package).startswith("restar ")


def test_mlflows_pages_listen_on_loopback_and_hide_the_password(settings: Settings) -> None:
    """They have no login; and a command line can be read by every user of the machine."""
    url = "postgresql+psycopg://restar:secret@localhost/mlflow"
    configured = settings.model_copy(update={"database": Database(mlflow_url=SecretStr(url))})
    words = command(configured, port=5001)
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert "secret" not in " ".join(words)
    given = environment(configured, {"PATH": "/bin"})
    assert (given["MLFLOW_BACKEND_STORE_URI"], given["PATH"]) == (url, "/bin")
    assert given["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_without_an_mlflow_database_the_pages_say_what_to_do(settings: Settings) -> None:
    """The message names the key and the way out."""
    with pytest.raises(ConfigurationError, match="make run"):
        environment(settings, {})
