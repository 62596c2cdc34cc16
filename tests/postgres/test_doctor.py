"""The doctor finds what is broken, says what to do, and goes on after a check that failed."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from restar_lib.artifacts import release_log, sealed_folder
from restar_lib.cli import app
from restar_lib.domain import ReleaseKind
from restar_lib.errors import SourceError
from restar_lib.operation.checks import machine, processes, stored_state
from restar_lib.operation.checks.check import Check, CheckContext, CheckFunction, CheckStatus, ok
from restar_lib.operation.doctor import run_checks
from restar_lib.releases.release import reconcile
from restar_lib.settings import MailSettings, Settings, WebhookSettings
from restar_lib.settings import settings as process_settings
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def look(
    check_function: CheckFunction, settings: Settings, engine: Engine | None = None, *, embedded: bool = False
) -> list[Check]:
    """What one check_function says."""
    return list(run_checks(CheckContext(settings=settings, embedded=embedded, engine=engine), [check_function]))


def worst(checks: list[Check]) -> Check:
    """The line that matters most."""
    order = list(CheckStatus)
    return max(checks, key=lambda check: order.index(check.status))


def with_source(settings: Settings, path: Path) -> Settings:
    """Reviews come from these files."""
    source = settings.source.model_copy(update={"kind": "files", "name": "files", "path": str(path)})
    return settings.model_copy(update={"source": source})


@pytest.fixture
def released(engine: Engine, smoke: Settings) -> str:
    """The champion of a house."""
    version = sealed_tiny_model(smoke.models_dir).name
    change = release_log.ChampionChange(
        model_version=version, kind=ReleaseKind.RELEASE, provisional=False, released_by="test", reason="a test",
        released_at=NOW,
    )  # fmt: skip
    release_log.append(engine, change, expected_previous=None)
    reconcile(engine, smoke)
    return version


def test_a_healthy_house_is_healthy(engine: Engine, smoke: Settings, released: str) -> None:
    """Schema, champion, pointer, source and tombstones; the champion has answered its probe."""
    check_functions = (stored_state.postgres, stored_state.schema, stored_state.champion, stored_state.tombstones)
    checks = [check for one in check_functions for check in look(one, smoke, engine)]
    assert {check.status for check in checks} == {CheckStatus.OK}
    assert f"{released} is as sealed and answers its probe" in {check.detail for check in checks}


def test_an_altered_champion_fails_and_says_how_to_go_back(engine: Engine, smoke: Settings, released: str) -> None:
    """By file name."""
    (smoke.models_dir / released / "metrics.json").write_text("{}")
    found = worst(look(stored_state.champion, smoke, engine))
    assert (found.status, found.name) == (CheckStatus.FAIL, "champion")
    assert "metrics.json was altered" in found.detail
    assert "restar roll-back" in found.remedy


def test_a_pointer_that_lags_behind_the_log_fails(engine: Engine, smoke: Settings, released: str) -> None:
    """`restar reconcile` mends it."""
    smoke.pointer_path.unlink()
    found = worst(look(stored_state.champion, smoke, engine))
    assert (found.name, found.status, found.remedy) == ("pointer", CheckStatus.FAIL, "run `restar reconcile`")
    reconcile(engine, smoke)
    assert worst(look(stored_state.champion, smoke, engine)).status is CheckStatus.OK
    assert released in sealed_folder.versions(smoke.models_dir)


def test_an_older_schema_fails_and_names_the_command(engine: Engine, smoke: Settings) -> None:
    """Also an empty database."""
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '0001'"))
    assert "revision 0001, this version needs" in look(stored_state.schema, smoke, engine)[0].detail
    with engine.begin() as connection:
        connection.execute(text("drop table alembic_version"))
    found = look(stored_state.schema, smoke, engine)[0]
    assert (found.status, found.remedy) == (CheckStatus.FAIL, "run `restar migrate`")


def test_a_lost_key_of_tombstones_fails(engine: Engine, smoke: Settings) -> None:
    """Before the next ingest does."""
    with engine.begin() as connection:
        connection.execute(text("insert into forgotten values ('user', 'abc', '01234567', now())"))
    assert look(stored_state.tombstones, smoke, engine)[0].status is CheckStatus.FAIL


def test_a_database_that_is_away_fails_in_production_and_warns_where_it_is_ours_to_start(smoke: Settings) -> None:
    """What depends on it is left out, not failed again and again."""
    assert look(stored_state.postgres, smoke)[0].status is CheckStatus.FAIL
    assert look(stored_state.postgres, smoke, embedded=True)[0].status is CheckStatus.WARN
    assert look(stored_state.champion, smoke) == look(processes.dags, smoke) == []


@pytest.mark.parametrize(
    ("content", "health"),
    [
        ('{"text": "It is sturdy.", "rating": 5, "date": "2024-05-01"}\n', CheckStatus.OK),
        ("", CheckStatus.WARN),
        ("not a review\n", CheckStatus.FAIL),
    ],
)
def test_the_first_row_of_the_source_is_read(
    smoke: Settings, tmp_path: Path, content: str, health: CheckStatus
) -> None:
    """So that a wrong path or form is known before the night."""
    path = tmp_path / "reviews.jsonl"
    path.write_text(content)
    assert look(stored_state.source, with_source(smoke, path))[0].status is health


def test_a_source_that_is_not_there_fails(smoke: Settings, tmp_path: Path) -> None:
    """With the source's own message."""
    found = look(stored_state.source, with_source(smoke, tmp_path / "nowhere"))[0]
    assert found.status is CheckStatus.FAIL
    assert "nowhere" in found.detail


def test_packages_that_are_not_as_pinned_fail(smoke: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named with both versions; markers for other machines are not asked of this one."""
    pins = tmp_path / "run.txt"
    monkeypatch.setattr(machine, "PINS", pins)
    pins.write_text("# compiled\ntyper==0.0.1\nnot-installed-anywhere==1.0\nno-such==1.0 ; sys_platform == 'win32'\n")
    found = look(machine.packages, smoke)[0]
    assert found.status is CheckStatus.FAIL
    assert found.detail.startswith("2 of 2 are not as pinned: typer ")
    assert "not-installed-anywhere missing (wanted==1.0)" in found.detail


def test_a_port_that_somebody_has_fails_and_names_the_key(smoke: Settings) -> None:
    """Where the house does not run; where it does, it has them itself."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        embedded = smoke.embedded.model_copy(update={"mail_port": other.getsockname()[1]})
        taken = smoke.model_copy(update={"embedded": embedded})
        found = worst(look(machine.ports, taken, embedded=True))
        assert found.status is CheckStatus.FAIL
        assert "RESTAR_EMBEDDED__MAIL_PORT" in found.remedy


def test_secrets_that_others_may_read_fail(smoke: Settings) -> None:
    """With the command that closes them."""
    smoke.home.mkdir()
    (smoke.home / "secrets.json").touch(mode=0o600)
    assert worst(look(machine.home, smoke)).status is CheckStatus.OK
    (smoke.home / "secrets.json").chmod(0o644)
    assert "chmod 600" in worst(look(machine.home, smoke)).remedy


def test_services_that_are_away_fail_each_by_name(engine: Engine, smoke: Settings) -> None:
    """Nothing listens on these ports."""
    away = smoke.model_copy(
        update={
            "serving": smoke.serving.model_copy(update={"url": "http://127.0.0.1:9 http://127.0.0.1:9"}),
            "orchestration": smoke.orchestration.model_copy(update={"airflow_url": "http://127.0.0.1:9"}),
            "embedded": smoke.embedded.model_copy(update={"mail_port": 1024}),
            "hub": smoke.hub.model_copy(update={"endpoint": "http://127.0.0.1:9", "model_repository": "a/b"}),
        }
    )
    for check_function, lines in ((processes.serving, 2), (processes.airflow, 1), (processes.hub, 1)):
        found = look(check_function, away, engine)
        assert [check.status for check in found] == [CheckStatus.FAIL] * lines
        assert all("http://127.0.0.1:9 does not answer" in check.detail for check in found)
    assert "does not answer" in look(processes.mail, away, engine, embedded=True)[0].detail


def test_alerts_that_reach_nobody_are_a_warning(smoke: Settings) -> None:
    """Mailing is switched off, and no webhook takes its place; with one, all is well."""
    unmailed = smoke.model_copy(update={"mail": MailSettings(enabled=False)})
    (found,) = look(processes.mail, unmailed, None)
    assert (found.status, "alerts reach nobody" in found.detail) == (CheckStatus.WARN, True)
    hook = WebhookSettings.model_validate({"url": "https://example.org/hook"})
    (found,) = look(processes.mail, unmailed.model_copy(update={"webhook": hook}), None)
    assert found.status is CheckStatus.OK


@pytest.fixture
def airflow_database(postgres: EmbeddedPostgres, smoke: Settings) -> Iterator[tuple[Settings, EmbeddedPostgres]]:
    """A database with the two tables of Airflow's that are looked at."""
    with postgres.connect("postgres") as connection:
        connection.execute("create database airflow_of_doctor")
        with postgres.connect("airflow_of_doctor") as airflow:
            airflow.execute("create table import_error (filename text, stacktrace text)")
            airflow.execute("create table dag (dag_id text, is_paused boolean, is_stale boolean)")
            airflow.execute("insert into dag values ('release', false, false), ('old', true, true)")
        url = SecretStr(postgres.url("airflow_of_doctor", driver="postgresql+psycopg2"))
        database = smoke.database.model_copy(update={"airflow_url": url})
        yield smoke.model_copy(update={"database": database}), postgres
        connection.execute("drop database airflow_of_doctor with (force)")


def test_a_dag_that_does_not_parse_fails_with_its_last_line(
    engine: Engine, airflow_database: tuple[Settings, EmbeddedPostgres]
) -> None:
    """And a paused one is a warning: it was somebody's decision, and nobody else's surprise."""
    settings, server = airflow_database
    assert [check.detail for check in look(processes.dags, settings, engine)] == ["1 parsed without errors"]
    with server.connect("airflow_of_doctor") as airflow:
        airflow.execute("insert into import_error values ('dags/release.py', E'Traceback\\nNameError: x')")
        airflow.execute("update dag set is_paused = true")
    found = look(processes.dags, settings, engine)
    assert [check.status for check in found] == [CheckStatus.FAIL, CheckStatus.WARN]
    assert found[0].detail == "dags/release.py does not parse: NameError: x"
    assert found[1].detail == "paused: release"


def test_a_check_that_breaks_is_a_failure_and_stops_nothing(smoke: Settings) -> None:
    """Named errors by their message, others by their type."""

    def the_weather(_: CheckContext) -> Iterator[Check]:
        raise RuntimeError("no window")
        yield

    def the_source(_: CheckContext) -> Iterator[Check]:
        raise SourceError("it is dry")
        yield

    def the_rest(_: CheckContext) -> list[Check]:
        return [ok("the rest", "is fine")]

    context = CheckContext(settings=smoke, embedded=False, engine=None)
    found = [str(check) for check in run_checks(context, (the_weather, the_source, the_rest))]
    assert found == [
        "fail  the weather: could not be looked at: RuntimeError: no window",
        "fail  the source: it is dry",
        "ok    the rest: is fine",
    ]


def test_the_command_ends_with_1_where_something_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with 0 where nothing does: a stopped embedded house is a warning."""
    monkeypatch.setenv("RESTAR_HOME", str(tmp_path / "var"))
    process_settings.cache_clear()
    try:
        assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
        monkeypatch.setattr(machine, "DISK_NEEDED", 10**9)
        result = CliRunner().invoke(app, ["doctor"])
        assert result.exit_code == 1
        assert "fail  disk" in result.output
    finally:
        process_settings.cache_clear()
