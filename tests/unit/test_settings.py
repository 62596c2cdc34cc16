"""Configuration from the environment: secrets may come from files."""

from pathlib import Path

import pytest

from restar_lib.errors import ConfigurationError
from restar_lib.settings import load


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    """`..._FILE` names it; the end of its line is no part of it, and `config show` says where it came from."""
    secret = tmp_path / "url"
    secret.write_text("postgresql+psycopg://restar:a: b@postgres/restar\n")
    loaded = load(environment={"RESTAR_HOME": str(tmp_path), "RESTAR_DATABASE__URL_FILE": str(secret)})
    assert loaded.settings.database.url is not None
    assert loaded.settings.database.url.get_secret_value() == "postgresql+psycopg://restar:a: b@postgres/restar"
    assert loaded.origins["database.url"] == "environment"


def test_a_secret_file_that_is_not_there_stops_by_name(tmp_path: Path) -> None:
    """Variable and path are named; nothing starts with half a configuration."""
    with pytest.raises(ConfigurationError, match=r"RESTAR_DATABASE__URL_FILE=/nowhere/url: the file cannot be read"):
        load(environment={"RESTAR_HOME": str(tmp_path), "RESTAR_DATABASE__URL_FILE": "/nowhere/url"})


def test_in_production_a_person_decides_and_nothing_passes_under_the_floors(tmp_path: Path) -> None:
    """The profile that docker-compose.yaml names."""
    found = load(environment={"RESTAR_PROFILE": "production", "RESTAR_HOME": str(tmp_path)}).settings
    assert (found.release.approval, found.gate.allow_provisional) == ("person", False)
    assert found.training.cooldown_minutes == 60


def test_an_empty_answer_in_the_environment_is_empty_text(tmp_path: Path) -> None:
    """Compose hands on a variable that nobody filled in as empty, for example the path of a source that has none."""
    found = load(environment={"RESTAR_SOURCE__PATH": "", "RESTAR_HOME": str(tmp_path)}).settings
    assert found.source.path == ""
