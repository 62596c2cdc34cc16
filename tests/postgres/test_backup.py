"""A backup is whole or refused, and what is restored from it is what was backed up."""

import json
import os
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, select, text, update

from restar_lib.artifacts import pointer, release_log
from restar_lib.dataset import snapshot
from restar_lib.domain import ReleaseKind
from restar_lib.errors import BackupError, EmbeddedError
from restar_lib.operation import databases
from restar_lib.operation.backup import back_up
from restar_lib.operation.backup_folder import BackupManifest
from restar_lib.operation.housekeeping import tidy
from restar_lib.operation.restore import restore
from restar_lib.privacy.forget import forget
from restar_lib.releases.release import reconcile, release, roll_back
from restar_lib.settings import Settings, load
from restar_lib.state_folder import claim_identity, load_secrets, runner_lock
from restar_lib.store.database import engine_for, migrate
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from restar_lib.store.tables import Base, ReviewRow
from tests.reviews import add_reviews
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def everything(engine: Engine) -> dict[str, list[str]]:
    """All rows of all our tables."""
    with engine.connect() as connection:
        return {
            table.name: sorted(map(str, connection.execute(select(table)))) for table in Base.metadata.sorted_tables
        }


def furnish(engine: Engine, settings: Settings) -> str:
    """Reviews, a snapshot, a champion, a report and the log of a service."""
    add_reviews(engine, settings, 60)
    frozen = snapshot.freeze(engine, settings, now=NOW)
    version = sealed_tiny_model(settings.models_dir, snapshot_hash=frozen.snapshot_hash).name
    change = release_log.ChampionChange(
        model_version=version, kind=ReleaseKind.RELEASE, provisional=True, released_by="test", reason="a test",
        released_at=NOW,
    )  # fmt: skip
    release_log.append(engine, change, expected_previous=None)
    reconcile(engine, settings)
    for name in ("reports/drift/one.html", "logs/serving.log", "models/.work-half/part", "embedded.yaml.note"):
        path = settings.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    return version


def on(settings: Settings, url: str, home: Path) -> Settings:
    """An installation whose databases are on a server of its own."""
    database = settings.database.model_copy(update={"url": SecretStr(url)})
    return settings.model_copy(update={"database": database, "home": home})


@pytest.fixture
def house(database_url: str, engine: Engine, smoke: Settings) -> Settings:
    """A furnished installation with a server of its own."""
    settings = on(smoke, database_url, smoke.home)
    settings.home.mkdir()
    furnish(engine, settings)
    return settings


@pytest.fixture
def empty(postgres: EmbeddedPostgres, house: Settings, tmp_path: Path) -> Iterator[Settings]:
    """An empty database and an empty place for the state."""
    with postgres.connect("postgres") as connection:
        connection.execute("create database restored")
        yield on(house, postgres.url("restored"), tmp_path / "elsewhere")
        connection.execute("drop database restored with (force)")


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_what_was_wiped_comes_back_row_by_row_and_file_by_file(
    engine: Engine, house: Settings, empty: Settings, tmp_path: Path, name: str
) -> None:
    """And the champion serves from the new place; what is half written and what logs say stays behind."""
    report = back_up(house, tmp_path / name, now=NOW)
    assert report.reviews == 60
    restored = restore(empty, tmp_path / name)
    there = engine_for(databases.configured(empty)[0].url)
    assert everything(there) == everything(engine)
    there.dispose()
    kept = {path.relative_to(empty.home).as_posix() for path in empty.home.rglob("*") if path.is_file()}
    had = {path.relative_to(house.home).as_posix() for path in house.home.rglob("*") if path.is_file()}
    assert had - kept == {"logs/serving.log", "models/.work-half/part"}
    assert kept <= had
    serves = pointer.read_pointer(empty.pointer_path)
    assert serves is not None
    assert serves.model_version == restored.champion


def test_a_backup_of_a_changed_house_is_of_one_moment(house: Settings, engine: Engine, tmp_path: Path) -> None:
    """The counts in the manifest are those of the dump, whatever arrives while it is written."""

    def arrive(line: str) -> None:
        if line.startswith("database restar: dumped"):
            add_reviews(engine, house, 5, prefix="late")

    back_up(house, tmp_path / "backup", now=NOW, say=arrive)
    assert BackupManifest.read(tmp_path / "backup").databases["restar"].rows["review"] == 60


def test_a_roll_back_does_not_wait_for_a_backup(house: Settings, engine: Engine, tmp_path: Path) -> None:
    """It ends while the dumps are written; restored is what the dump knew, and its champion is among the files."""
    first = release_log.history(engine)[0].model_version
    second = sealed_tiny_model(house.models_dir, bias=(1.0, 0.0, 0.0)).name
    release(engine, house, version=second, by="test", reason="a test", now=NOW)
    # A lock that is held makes a statement fail here instead of waiting for ever.
    impatient = create_engine(engine.url, connect_args={"options": "-c lock_timeout=2000"})

    def go_back(line: str) -> None:
        if line.startswith("database restar: dumped"):
            roll_back(impatient, house, by="test", reason="in the middle", now=NOW)

    back_up(house, tmp_path / "backup", now=NOW, say=go_back)
    impatient.dispose()
    assert [row.model_version for row in release_log.history(engine)] == [first, second, first]
    files = BackupManifest.read(tmp_path / "backup").files
    assert all(f"files/models/{version}/model.onnx" in files for version in (first, second))


@pytest.mark.parametrize("deleter", ["housekeeping", "forget"])
def test_what_a_dump_names_is_not_deleted_before_it_is_copied(
    house: Settings, engine: Engine, tmp_path: Path, deleter: str
) -> None:
    """Housekeeping and the rewriting of training sets wait until the backup has its files."""
    snapshot_file = next(house.snapshots_dir.glob("*/manifest.json"))
    stale = sealed_tiny_model(house.models_dir, bias=(1.0, 0.0, 0.0))
    sealed_tiny_model(house.models_dir, bias=(2.0, 0.0, 0.0))
    os.utime(stale / "manifest.json", (0, 0))
    few = house.model_copy(update={"release": house.release.model_copy(update={"keep_versions": 1})})
    with engine.begin() as connection:
        some = select(ReviewRow.review_id).order_by(ReviewRow.review_id).limit(10)
        connection.execute(update(ReviewRow).where(ReviewRow.review_id.in_(some)).values(user_id="anna-reviewer-1"))
    work = {
        "housekeeping": lambda: tidy(engine, few, now=NOW, dry_run=False),
        "forget": lambda: forget(engine, house, user_id="anna-reviewer-1", now=NOW, dry_run=False),
    }[deleter]
    goes = {"housekeeping": stale / "model.onnx", "forget": snapshot_file}[deleter]
    thread = threading.Thread(target=work)

    def begin(line: str) -> None:
        if line.startswith("database restar: dumped"):
            thread.start()
            while thread.is_alive() and not somebody_waits(engine):
                pass

    back_up(house, tmp_path / "backup", now=NOW, say=begin)
    thread.join()
    assert not goes.exists()
    assert f"files/{goes.relative_to(house.home)}" in BackupManifest.read(tmp_path / "backup").files


def somebody_waits(engine: Engine) -> bool:
    """Whether a connection waits for an advisory lock."""
    waiting = text("select exists (select from pg_locks where locktype = 'advisory' and not granted)")
    with engine.connect() as connection:
        return bool(connection.scalar(waiting))


def test_a_database_that_goes_away_ends_in_one_line_and_leaves_nothing(
    house: Settings, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Somebody stops the house in the middle of the backup."""

    def stop(_: str) -> None:
        with postgres.connect("postgres") as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname <> current_database()"
            )

    with pytest.raises(BackupError, match="the database went away"):
        back_up(house, tmp_path / "backups" / "one", now=NOW, say=stop)
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("harm", ["altered", "missing", "no manifest"])
def test_a_backup_that_is_not_whole_is_refused_before_anything_is_written(
    house: Settings, empty: Settings, tmp_path: Path, harm: str
) -> None:
    """The message names the file."""
    back_up(house, tmp_path / "backup", now=NOW)
    victim = tmp_path / "backup" / ("manifest.json" if harm == "no manifest" else "files/reports/drift/one.html")
    if harm == "altered":
        victim.write_text("c0ntent")
    else:
        victim.unlink()
    with pytest.raises(BackupError, match=r"manifest\.json" if harm == "no manifest" else r"one\.html"):
        restore(empty, tmp_path / "backup")
    assert not empty.home.exists()


@pytest.mark.parametrize("name", ["files/../outside.txt", "files//outside.txt", "/outside.txt"])
def test_a_backup_whose_names_lead_elsewhere_is_refused(
    house: Settings, empty: Settings, tmp_path: Path, name: str
) -> None:
    """A backup may come from anybody: what it names is written below the state folder, or nothing is."""
    back_up(house, tmp_path / "backup", now=NOW)
    manifest = tmp_path / "backup" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][name] = next(iter(content["files"].values()))
    manifest.write_text(json.dumps(content))
    with pytest.raises(BackupError, match="leads elsewhere"):
        restore(empty, tmp_path / "backup")
    assert not empty.home.exists()


def test_a_folder_behind_a_link_is_not_silently_missing(house: Settings, tmp_path: Path) -> None:
    """A backup follows no link, so it refuses instead of leaving the models out."""
    moved = tmp_path / "bigger-disk"
    (house.home / "models").rename(moved)
    (house.home / "models").symlink_to(moved)
    with pytest.raises(BackupError, match="models is a link to a folder"):
        back_up(house, tmp_path / "backup", now=NOW)
    assert not (tmp_path / "backup").exists()


def test_nothing_is_overwritten(house: Settings, empty: Settings, tmp_path: Path) -> None:
    """Neither a state folder with anything in it, nor a database with tables."""
    back_up(house, tmp_path / "backup", now=NOW)
    with pytest.raises(BackupError, match="is not empty"):
        restore(house.model_copy(update={"database": empty.database}), tmp_path / "backup")
    with pytest.raises(BackupError, match=r"database 'restar' is not empty \(\d+ tables\)"):
        restore(house.model_copy(update={"home": empty.home}), tmp_path / "backup")
    assert not empty.home.exists()
    with pytest.raises(BackupError, match="exists already"):
        back_up(house, tmp_path / "backup", now=NOW)
    with pytest.raises(BackupError, match="belongs elsewhere"):
        back_up(house, house.home / "backup", now=NOW)


def test_a_restore_that_was_killed_is_noticed(house: Settings, empty: Settings, tmp_path: Path) -> None:
    """Half an installation is never taken for a whole one."""
    back_up(house, tmp_path / "backup", now=NOW)

    def killed(line: str) -> None:
        if line.startswith("state folder"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(empty, tmp_path / "backup", say=killed)
    with pytest.raises(BackupError, match="did not end"):
        restore(empty, tmp_path / "backup")


def test_a_backup_of_a_newer_schema_is_refused(house: Settings, empty: Settings, tmp_path: Path) -> None:
    """An older Re*Star would not know what to do with it."""
    back_up(house, tmp_path / "backup", now=NOW)
    manifest = BackupManifest.read(tmp_path / "backup")
    ours = replace(manifest.databases["restar"], revision="9999")
    replace(manifest, databases={"restar": ours}).write(tmp_path / "backup")
    with pytest.raises(BackupError, match="9999, newer than"):
        restore(empty, tmp_path / "backup")


def test_a_tar_file_that_was_cut_short_is_refused(house: Settings, empty: Settings, tmp_path: Path) -> None:
    """It says so, and nothing was restored."""
    back_up(house, tmp_path / "backup.tar", now=NOW)
    assert (tmp_path / "backup.tar").stat().st_mode & 0o077 == 0
    with tarfile.open(tmp_path / "backup.tar") as whole:
        assert "manifest.json" in whole.getnames()
    content = (tmp_path / "backup.tar").read_bytes()
    (tmp_path / "backup.tar").write_bytes(content[: len(content) // 2])
    with pytest.raises(BackupError):
        restore(empty, tmp_path / "backup.tar")
    assert not empty.home.exists()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that the embedded server's own user may enter (under root it runs as `nobody`)."""
    with tempfile.TemporaryDirectory(prefix="restar-backup-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_an_embedded_installation_is_wiped_and_restored(public_folder: Path) -> None:
    """With its own server, stopped or running, its secrets, its source, and Airflow's and MLflow's databases."""
    home = public_folder / "var"
    settings = load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(home)}).settings
    secrets = load_secrets(home)
    claim_identity(home, source="simulated:simulated", now=NOW)
    server = databases.embedded_server(settings)
    with databases.running(server, log=home / "logs" / "postgres.log"):
        migrate(server.url("restar"))
        engine = engine_for(server.url("restar"))
        version = furnish(engine, settings)
        with create_engine(server.url("airflow")).begin() as connection:
            connection.execute(text("create table dag_run as select generate_series(1, 7) as id"))
        before = everything(engine)
        engine.dispose()
        back_up(settings, public_folder / "while it runs", now=NOW)
    report = back_up(settings, public_folder / "backup.tar", now=NOW)
    assert report.left_out == ()
    with runner_lock(home), pytest.raises(EmbeddedError, match="another `make run`"):
        back_up(settings, public_folder / "while it starts", now=NOW)
    home.rename(public_folder / "wiped")
    restored = restore(settings, public_folder / "backup.tar")
    assert (restored.champion, restored.left_out) == (version, ())
    assert load_secrets(home) == secrets
    assert json.loads((home / "state.json").read_text())["source"] == "simulated:simulated"
    with databases.reachable(settings) as addresses:
        urls = {address.name: address.url for address in addresses}
        engine = engine_for(urls["restar"])
        assert everything(engine) == before
        engine.dispose()
        with create_engine(urls["airflow"]).connect() as connection:
            assert connection.scalar(text("select count(*) from dag_run")) == 7


def test_a_backup_without_secrets_holds_none_and_leaves_airflow_out(public_folder: Path) -> None:
    """Airflow's rows are encrypted under a key that would be missing."""
    home = public_folder / "var"
    settings = load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(home)}).settings
    server = databases.embedded_server(settings)
    with databases.running(server, log=home / "logs" / "postgres.log"):
        migrate(server.url("restar"))
        report = back_up(settings, public_folder / "backup", now=NOW, secrets=False)
    assert report.left_out == ("the database of airflow", "secrets")
    content = b"".join(path.read_bytes() for path in (public_folder / "backup").rglob("*") if path.is_file())
    kept = vars(load_secrets(home)).values()
    assert [one for one in kept if str(one).encode() in content] == []


def test_the_names_of_the_test_databases_are_quoted(
    postgres: EmbeddedPostgres, smoke: Settings, tmp_path: Path
) -> None:
    """A database may be called anything, and its password may hold anything: no shell is asked."""
    name = "odd 'name' & more"
    with postgres.connect("postgres") as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            migrate(postgres.url(name.replace("&", "%26")))
            settings = on(smoke, postgres.url(name.replace("&", "%26")), smoke.home)
            settings.home.mkdir()
            assert back_up(settings, tmp_path / "backup", now=NOW).reviews == 0
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
