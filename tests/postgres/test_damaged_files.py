"""A file that cannot be read stops neither the erasure of a person nor housekeeping; it counts as holding their words."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from typer.testing import CliRunner

from restar_lib.artifacts import release_log, sealed_folder
from restar_lib.cli import app
from restar_lib.dataset import snapshot
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import ReleaseKind
from restar_lib.errors import ConfigurationError, ErasureIncomplete, NotTidied, SnapshotError
from restar_lib.ingest.tombstones import KEY_FILE
from restar_lib.label_audit.audit_store import save
from restar_lib.operation.housekeeping import tidy
from restar_lib.privacy.forget import finish
from restar_lib.settings import Settings
from restar_lib.settings import settings as process_settings
from restar_lib.store import database
from restar_lib.store.tables import ReviewRow
from tests.forgetting import ANNA, BEN, NOW, audit_of, filled, forgotten, ids_of, row
from tests.tiny_model import sealed_tiny_model

Damage = Callable[[Path], object]


def cut(path: Path) -> None:
    """Lose the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    """Lose everything."""
    path.write_bytes(b"")


def folder_instead(path: Path) -> None:
    """A folder with something in it, where the file was."""
    path.unlink()
    path.mkdir()
    (path / "something").touch()


def holding(content: str) -> Damage:
    """Other content."""
    return lambda path: path.write_text(content)


ANY_FILE = {"cut": cut, "empty": emptied, "folder": folder_instead, "text": holding("no such thing")}
ANY_JSON = ANY_FILE | {"list": holding("[1]"), "number": holding("3"), "other keys": holding('{"format": 1}')}
BROKEN_SETS = (
    *(("train.jsonl.gz", name) for name in ANY_FILE),
    ("test.jsonl.gz", "cut"),
    *(("manifest.json", name) for name in ANY_JSON),
    ("manifest.json", "gone"),
)


def damage(path: Path, name: str) -> None:
    """Damage a file in one way."""
    (ANY_JSON | {"gone": Path.unlink})[name](path)


@pytest.fixture
def house(engine: Engine, smoke: Settings) -> Settings:
    """Reviews of Anna, Ben and many others."""
    return filled(engine, smoke)


def two_sets(engine: Engine, settings: Settings) -> tuple[Snapshot, Snapshot]:
    """Two training sets with Anna's reviews; the first one comes first in every listing."""
    first = snapshot.freeze(engine, settings, now=NOW)
    smaller = settings.dataset.model_copy(update={"max_validation_rows": 5})
    second = snapshot.freeze(engine, settings.model_copy(update={"dataset": smaller}), now=NOW)
    assert first.snapshot_hash != second.snapshot_hash
    made = sorted((first, second), key=lambda one: one.snapshot_hash)
    return made[0], made[1]


def hers_left(engine: Engine, user: str = ANNA) -> int:
    """Reviews of a person in the database."""
    with engine.connect() as connection:
        return len(connection.scalars(select(ReviewRow.review_id).where(ReviewRow.user_id == user)).all())


@pytest.mark.parametrize(("file", "how"), BROKEN_SETS)
def test_a_damaged_training_set_is_deleted_and_the_others_are_rewritten(
    engine: Engine, house: Settings, file: str, how: str
) -> None:
    """It may hold them, and no training can read it; models that learned from it are named."""
    broken, whole = two_sets(engine, house)
    model = sealed_tiny_model(house.models_dir, snapshot_hash=broken.snapshot_hash)
    damage(broken.folder / file, how)
    dry = forgotten(engine, house, dry_run=True)
    report = forgotten(engine, house)
    assert vars(report) == vars(dry) | {"dry_run": False}
    assert hers_left(engine) == 0
    assert report.complete
    assert report.deleted == (f"snapshots/{broken.snapshot_hash}",)
    assert report.snapshots == (whole.snapshot_hash,)
    assert [path.name for path in broken.folder.iterdir()] == ["forgotten.json"]
    assert model.name in (*report.learned, *report.judged)
    with pytest.raises(SnapshotError, match="people in it were forgotten"):
        snapshot.load(broken.folder)
    assert forgotten(engine, house).deleted == ()


def test_what_comes_before_the_damage_of_a_compressed_file_is_kept(engine: Engine, house: Settings) -> None:
    """Nobody can read the rest; a raw copy of reviews goes on being of use."""
    held = house.home / "replay" / "held" / "slice-0001.jsonl.gz"
    held.parent.mkdir(parents=True)
    lines = [json.dumps(one).encode() for one in (row(BEN, 1), row(ANNA, 2), *(row(BEN, n) for n in range(3, 900)))]
    held.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    cut(held)
    assert forgotten(engine, house).files == ("replay/held/slice-0001.jsonl.gz",)
    kept = gzip.decompress(held.read_bytes()).split(b"\n")
    assert kept[:3] == [lines[0], b" " * len(lines[1]), lines[2]]
    assert 3 < len(kept) < len(lines)
    assert forgotten(engine, house).files == ()


def test_a_temporary_file_of_a_killed_call_is_deleted(engine: Engine, house: Settings) -> None:
    """It was being packed again when the process was killed, so it ends in the middle."""
    left = house.home / "replay" / "held" / ".slice-0001.jsonl.gz-ab12cd_3"
    left.parent.mkdir(parents=True)
    left.write_bytes(gzip.compress(json.dumps(row(ANNA, 2)).encode())[:30])
    assert forgotten(engine, house).complete
    assert not left.exists()
    assert hers_left(engine) == 0


@pytest.mark.parametrize("how", ANY_JSON)
def test_a_damaged_audit_of_stars_is_listed_by_a_dry_run_and_deleted(engine: Engine, house: Settings, how: str) -> None:
    """All three files of it, and what a kill has left beside it; an audit of others stays."""
    hers, bens = (save(house, audit_of(*ids_of(engine, user), name=user)) for user in (ANNA, BEN))
    damage(hers.json, how)
    left = hers.json.with_name(f".{BEN}.html-ab12cd_3")
    left.write_text("words that nobody can find")
    expected = tuple(sorted((f"reports/stars/{ANNA}.json", f"reports/stars/{left.name}")))
    assert [forgotten(engine, house, dry_run=dry).deleted for dry in (True, False)] == [expected, expected]
    assert [path.exists() for path in (hers.html, hers.json, hers.csv, left)] == [False] * 4
    assert [path.exists() for path in (bens.html, bens.json, bens.csv)] == [True] * 3


@pytest.mark.parametrize("how", ANY_JSON)
@pytest.mark.parametrize("ending", ["evaluation.json", "doubted.json"])
def test_a_damaged_report_beside_a_model_is_deleted(engine: Engine, house: Settings, ending: str, how: str) -> None:
    """It may show her words; the model itself is left alone."""
    model = sealed_tiny_model(house.models_dir)
    report, left = (
        house.models_dir / f"{start}{model.name}.{ending}{end}" for start, end in (("", ""), (".", "-ab12cd_3"))
    )
    report.write_text('{"a": 1}')
    left.write_text("half of a rep")
    damage(report, how)
    assert forgotten(engine, house).complete
    assert not report.exists()
    assert not left.exists()
    sealed_folder.verify(model)


@pytest.mark.parametrize("content", ['{"review_id": "cut o', "[]", '{"text": "without an id"}', "3", "no JSON"])
def test_a_damaged_published_set_is_withdrawn(engine: Engine, house: Settings, content: str) -> None:
    """Also one that a killed push has left under its temporary name."""
    places = [house.published_dir / "datasets" / name / "data" / "train" for name in ("whole", ".half.123")]
    for folder in places:
        folder.mkdir(parents=True)
        (folder / "toys.jsonl").write_text(json.dumps({"review_id": "somebody's"}) + "\n" + content)
    report = forgotten(engine, house)
    assert report.deleted == ("published/datasets/.half.123", "published/datasets/whole")
    assert [folder.exists() for folder in places] == [False, False]


def test_a_mail_that_cannot_be_parsed_is_searched_all_the_same(engine: Engine, house: Settings) -> None:
    """Whatever stands in its head."""
    mail = house.home / "mail" / "one.eml"
    mail.parent.mkdir(parents=True)
    mail.write_bytes(
        b"Content-Type: multipart/mixed; boundary=\nContent-Transfer-Encoding: base64\n\n\xff\x00==" + ANNA.encode()
    )
    assert forgotten(engine, house).complete
    assert not mail.exists() or ANNA.encode() not in mail.read_bytes()


@pytest.mark.parametrize("how", ANY_JSON)
def test_a_model_whose_description_is_damaged_is_named_and_stays(engine: Engine, house: Settings, how: str) -> None:
    """Nobody knows what it learned from; that it serves is said."""
    frozen = snapshot.freeze(engine, house, now=NOW)
    broken = sealed_tiny_model(house.models_dir, snapshot_hash=frozen.snapshot_hash, bias=(1.0, 0.0, 0.0))
    whole = sealed_tiny_model(house.models_dir, snapshot_hash=frozen.snapshot_hash)
    release(engine, broken.name)
    damage(broken / "model.json", how)
    report = forgotten(engine, house)
    assert (report.learned, report.unclear, report.champion) == ((whole.name,), (broken.name,), broken.name)
    assert broken.is_dir()
    assert hers_left(engine) == 0
    assert any(broken.name in line and "model.json cannot be read" in line for line in report.advice)


def test_a_training_set_that_is_being_written_leaves_the_erasure_incomplete(engine: Engine, house: Settings) -> None:
    """It may hold them; housekeeping sees to it, whether it becomes whole or was left by a kill."""
    unfinished = house.snapshots_dir / ".0123456789abcdef.77"
    unfinished.mkdir(parents=True)
    (unfinished / "train.jsonl.gz").write_bytes(b"half")
    report = forgotten(engine, house)
    assert hers_left(engine) == 0
    assert not report.complete
    assert "snapshots/.0123456789abcdef.77" in report.left[0]
    assert "NOT completely" in str(report)


def test_the_command_says_that_an_erasure_is_not_complete(
    engine: Engine, house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its exit code as well."""
    unfinished = house.snapshots_dir / ".0123456789abcdef.77"
    unfinished.mkdir(parents=True)
    monkeypatch.setenv("RESTAR_HOME", str(house.home))
    monkeypatch.setenv("RESTAR_DATABASE__URL", engine.url.render_as_string(hide_password=False))
    for cached in (process_settings, database.engine):
        cached.cache_clear()
    done = CliRunner().invoke(app, ["forget", "--user", ANNA, "--for-good"])
    shutil.rmtree(unfinished)
    again = CliRunner().invoke(app, ["forget", "--user", ANNA, "--for-good"])
    database.engine().dispose()
    for cached in (process_settings, database.engine):
        cached.cache_clear()
    assert (done.exit_code, "NOT COMPLETE" in done.output) == (1, True)
    assert again.exit_code == 0


def test_what_may_not_be_read_is_left_and_named(engine: Engine, house: Settings) -> None:
    """A log, a folder and a training set of somebody else: none is deleted, and nobody says that they were searched."""
    frozen = snapshot.freeze(engine, house, now=NOW)
    log, folder, side = (
        house.home / "logs" / "one.log",
        house.home / "logs" / "theirs",
        frozen.folder / "train.jsonl.gz",
    )
    folder.mkdir(parents=True)
    log.write_text(f"about {ANNA}")
    for path in (log, folder, side):
        path.chmod(0)
    if os.access(log, os.R_OK):
        pytest.skip("this user may read everything")
    report = forgotten(engine, house)
    assert hers_left(engine) == 0
    assert [one.partition(":")[0] for one in report.left] == [
        "logs/one.log", "logs/theirs", f"snapshots/{frozen.snapshot_hash}",
    ]  # fmt: skip
    with pytest.raises(ErasureIncomplete, match=frozen.snapshot_hash):
        finish(engine, house)
    for path in (log, folder, side):
        path.chmod(0o700)
    assert finish(engine, house) == 1
    assert ANNA in log.read_text()


@pytest.mark.parametrize("how", ["empty", "text", "folder"])
def test_a_damaged_key_of_tombstones_is_refused_by_name(engine: Engine, house: Settings, how: str) -> None:
    """Nothing can be forgotten without it, and an empty one would be no secret."""
    house.home.mkdir()
    (house.home / KEY_FILE).write_text("00" * 32)
    damage(house.home / KEY_FILE, how)
    with pytest.raises(ConfigurationError, match=r"forget\.key is not a key of tombstones"):
        forgotten(engine, house)


def release(engine: Engine, version: str) -> None:
    """Make `version` the champion."""
    change = release_log.ChampionChange(
        model_version=version, kind=ReleaseKind.RELEASE, provisional=False, released_by="test", reason="a test",
        released_at=NOW,
    )  # fmt: skip
    release_log.append(engine, change, expected_previous=release_log.ANY)


def old(path: Path, days: int) -> Path:
    """Make a file look as old as that."""
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


@pytest.mark.parametrize("how", ANY_JSON)
def test_housekeeping_goes_on_after_a_model_whose_description_is_damaged(
    engine: Engine, smoke: Settings, how: str
) -> None:
    """It is named; an old training set stays, because it may have learned from it; everything else is tidied."""
    broken = sealed_tiny_model(smoke.models_dir)
    damage(broken / "model.json", how)
    sets = [smoke.snapshots_dir / (name * 16) for name in "ab"]
    for folder in sets:
        folder.mkdir(parents=True)
        old((folder / "manifest.json").absolute().parent, 500)
        (folder / "manifest.json").touch()
        old(folder / "manifest.json", 500)
    mail = smoke.home / "mail" / "a.eml"
    mail.parent.mkdir(parents=True)
    mail.touch()
    counts = tidy(engine, smoke, now=old(mail, 200) and NOW, dry_run=False)
    assert (counts.damaged, counts.snapshots, counts.mails) == ((broken.name,), 0, 1)
    assert all(folder.exists() for folder in sets)
    shutil.rmtree(broken)
    assert tidy(engine, smoke, now=NOW, dry_run=False).snapshots == 1


def test_housekeeping_says_that_what_serves_is_damaged_and_does_the_rest(engine: Engine, smoke: Settings) -> None:
    """The folder stays as it is, with what stands beside it."""
    champion = sealed_tiny_model(smoke.models_dir)
    release(engine, champion.name)
    emptied(champion / "model.json")
    (champion / "manifest.json").unlink()
    beside = old(Path(shutil.copy(champion / "probe.json", f"{champion}.verdict.json")), 30)
    log = smoke.home / "logs" / "airflow" / "old.log"
    log.parent.mkdir(parents=True)
    log.touch()
    old(log, 100)
    with pytest.raises(NotTidied, match=rf"{champion.name}, which serves.*is damaged.*restore its folder"):
        tidy(engine, smoke, now=NOW, dry_run=False)
    assert (champion.is_dir(), beside.exists(), log.exists()) == (True, True, False)


def test_a_step_of_housekeeping_that_fails_stops_no_other(engine: Engine, smoke: Settings) -> None:
    """The key of the tombstones is damaged, so erasures cannot be finished; a table is away as well."""
    smoke.home.mkdir()
    (smoke.home / KEY_FILE).write_text("no key")
    log = smoke.home / "logs" / "airflow" / "old.log"
    log.parent.mkdir(parents=True)
    log.touch()
    old(log, 100)
    with engine.begin() as connection:
        connection.exec_driver_sql("alter table prediction rename to prediction_away")
    with pytest.raises(NotTidied, match=r"(?s)2 need a look: predictions: .*erasures: .*forget\.key"):
        tidy(engine, smoke, now=NOW, dry_run=False)
    assert not log.exists()


def test_housekeeping_finishes_erasures_though_a_training_set_is_damaged(engine: Engine, house: Settings) -> None:
    """The damaged one may hold whoever was forgotten."""
    forgotten(engine, house)
    frozen = snapshot.freeze(engine, house, now=NOW)
    cut(frozen.folder / "train.jsonl.gz")
    assert finish(engine, house) == 1
    assert finish(engine, house) == 0
