"""The record of a training, and the way to MLflow's pages."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from restar_lib.cli.trainings import mlflow_pages
from restar_lib.errors import ArtifactError, ConfigurationError
from restar_lib.settings import DatabaseSettings, Settings, load
from restar_lib.tracking import training_record
from restar_lib.tracking.mlflow_server import command, environment
from restar_lib.tracking.training_record import TrainingRecord, code_version

VERSION = "rs-0123456789"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The default profile with a home of its own."""
    return load(environment={"RESTAR_HOME": str(tmp_path / "var")}).settings


def test_the_record_is_the_same_for_the_same_training(settings: Settings) -> None:
    """No clock is in it, so a training that was killed and run again leaves the same file; and it reads back."""
    contents = []
    for _ in range(2):
        TrainingRecord.of(settings, champion="rs-1").write(settings.models_dir, VERSION)
        contents.append((settings.models_dir / f"{VERSION}.run.json").read_bytes())
    assert contents[0] == contents[1]
    found = training_record.read(settings.models_dir, VERSION)
    assert found is not None
    assert found.settings["training"]["max_tokens"] == settings.training.max_tokens
    assert found.settings["dataset"]["max_rows"] == settings.dataset.max_rows
    assert training_record.read(settings.models_dir, "rs-9999999999") is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"settings": 3, "code": "", "packages": {}, "champion": null}']
)
def test_a_damaged_record_names_its_file_and_the_remedy(settings: Settings, content: str) -> None:
    """In one line, whatever stands in it."""
    TrainingRecord.of(settings, champion=None).write(settings.models_dir, VERSION)
    path = settings.models_dir / f"{VERSION}.run.json"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=rf"^{path}: not the record of a training \(.+\); restore it from a backup"):
        training_record.read(settings.models_dir, VERSION)


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
    configured = settings.model_copy(update={"database": DatabaseSettings(mlflow_url=SecretStr(url))})
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


def test_without_an_mlflow_database_no_address_is_printed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing will answer there."""
    monkeypatch.setattr("restar_lib.cli.trainings.settings", lambda: settings)
    with pytest.raises(ConfigurationError):
        mlflow_pages(port=5000)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_pages_and_their_server(number: signal.Signals) -> None:
    """A child of the command as well: the output closes when the last process that could write to it is gone."""
    code = "import sys; from restar_lib.tracking.mlflow_server import serve; sys.exit(serve(sys.argv[1:], {}))"
    words = [sys.executable, "-c", code, "/bin/sh", "-c", "/bin/sleep 60 & echo serving; wait"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as pages:
        assert pages.stdout is not None
        assert pages.stdout.readline() == "serving\n"
        pages.send_signal(number)
        rest, _ = pages.communicate(timeout=30)
    assert (rest, pages.returncode) == ("", 0)


def test_pages_that_cannot_start_give_their_exit_code() -> None:
    """For example where the port is taken."""
    code = "import sys; from restar_lib.tracking.mlflow_server import serve; sys.exit(serve(sys.argv[1:], {}))"
    words = [sys.executable, "-c", code, "/bin/sh", "-c", "exit 3"]
    assert subprocess.run(words, check=False).returncode == 3
