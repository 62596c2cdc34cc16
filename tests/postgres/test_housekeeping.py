"""Housekeeping deletes what is old, keeps what is in use, and in a dry run touches nothing."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from restar_lib.artifacts import release_log, sealed_folder
from restar_lib.artifacts.pointer import read_pointer
from restar_lib.domain import QuarantineReason, Reason, ReleaseKind, TaskStatus
from restar_lib.errors import NotTidied
from restar_lib.labeling.leases import claim
from restar_lib.monitoring.alerts.alert_log import AlertDetails, AlertKind, NewAlert
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.operation.housekeeping import TidyCounts, tidy
from restar_lib.settings import Settings
from restar_lib.store.tables import DriftReportRow, IngestRun, LabelTask, PredictionRow, Quarantine
from tests.alerts import raise_alert
from tests.tasks import add_tasks, statuses
from tests.tiny_model import sealed_tiny_model
from tests.watched import USUAL, draw, store_scored

NOW = datetime(2026, 9, 1, 6, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=200)
NOTHING = TidyCounts(
    dry_run=False,
    expired_claims=0,
    model_versions=(),
    abandoned_folders=0,
    snapshots=0,
    predictions=0,
    quarantined=0,
    reports=0,
    logs=0,
    mails=0,
    freed_bytes=0,
)


def write(path: Path, *, age: timedelta) -> Path:
    """A file of seven bytes that was last changed so long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("content")
    return aged(path, age)


def aged(path: Path, age: timedelta) -> Path:
    """Make a file or folder look as old as `age`."""
    moment = (NOW - age).timestamp()
    os.utime(path, (moment, moment))
    return path


def release(engine: Engine, version: str) -> None:
    """Make `version` the champion."""
    change = release_log.ChampionChange(
        model_version=version,
        kind=ReleaseKind.RELEASE,
        provisional=False,
        released_by="test",
        reason="a test",
        released_at=NOW,
    )
    release_log.append(engine, change, expected_previous=release_log.ANY)


def seven_models(settings: Settings) -> list[str]:
    """Seven sealed versions, the oldest first."""
    made = []
    for number in range(7):
        folder = sealed_tiny_model(settings.models_dir, bias=(float(number), 0.0, 0.0))
        aged(folder / sealed_folder.MANIFEST, timedelta(days=20 - number))
        made.append(folder.name)
    return made


def test_old_models_go_but_never_what_serves_or_would_serve_after_a_roll_back(engine: Engine, smoke: Settings) -> None:
    """The champion and its predecessor stay though they are the oldest, and so do the newest five."""
    versions = seven_models(smoke)
    sealed_folder.sibling(smoke.models_dir, versions[2], "verdict.json").write_text("{}")
    release(engine, versions[1])
    release(engine, versions[0])
    config = smoke.model_copy(update={"release": smoke.release.model_copy(update={"keep_versions": 3})})
    counts = tidy(engine, config, now=NOW, dry_run=False)
    assert counts.model_versions == (versions[2], versions[3])
    assert sealed_folder.versions(smoke.models_dir) == (*versions[:2], *versions[4:])
    assert not list(smoke.models_dir.glob(f"{versions[2]}*"))
    assert counts.freed_bytes > 0


def test_what_a_killed_training_left_behind_goes_after_two_days(engine: Engine, smoke: Settings) -> None:
    """A training or a snapshot that is being written now is left alone."""
    old = [smoke.models_dir / ".work-old", smoke.snapshots_dir / ".abc.123"]
    new = [smoke.models_dir / ".work-new", smoke.snapshots_dir / ".def.456", smoke.snapshots_dir / "abc"]
    for folder in (*old, *new):
        write(folder / "part", age=timedelta(0))
    for folder, age in ((old[0], 3), (old[1], 3), (new[0], 1), (new[1], 1), (new[2], 300)):
        aged(folder, timedelta(days=age))
    beside = [write(smoke.models_dir / f"rs-{n}123456789.run.json", age=timedelta(days=n)) for n in (1, 3)]
    assert tidy(engine, smoke, now=NOW, dry_run=False).abandoned_folders == 2
    assert [folder.exists() for folder in (*old, *new)] == [False, False, True, True, True]
    assert [path.exists() for path in beside] == [True, False]


def test_old_predictions_go_but_for_the_champions_and_those_of_asked_reviews(engine: Engine, smoke: Settings) -> None:
    """The champion's would be made again, and accuracy in production is estimated from the asked ones."""
    champion = seven_models(smoke)[-1]
    release(engine, champion)
    some = draw(3, kind=USUAL, seed=1)
    store_scored(engine, some, version="rs-old", prefix="old", scored_at=LONG_AGO)
    store_scored(engine, some, version="rs-old", prefix="new", scored_at=NOW - timedelta(days=10))
    store_scored(engine, some, version=champion, prefix="champion", scored_at=LONG_AGO)
    asked = {"reasons": [Reason.AUDIT], "priority": 1, "inclusion_probability": 0.02, "audit_rate": 0.02}
    with engine.begin() as connection:
        connection.execute(insert(LabelTask).values(review_id="old00001", **asked))
    assert tidy(engine, smoke, now=NOW, dry_run=False).predictions == 2
    with engine.connect() as connection:
        left = connection.execute(select(PredictionRow.review_id).order_by(PredictionRow.review_id)).scalars().all()
    assert left == [*(f"champion{n:05d}" for n in range(3)), *(f"new{n:05d}" for n in range(3)), "old00001"]


def test_an_abandoned_claim_goes_back_to_the_queue(engine: Engine, smoke: Settings) -> None:
    """Only the one whose lease has ended."""
    add_tasks(engine, 2)
    for labeler, seconds in (("anna", 60), ("ben", 7200)):
        claim(engine, labeler=labeler, now=NOW - timedelta(hours=1), lease_seconds=seconds)
    assert tidy(engine, smoke, now=NOW, dry_run=False).expired_claims == 1
    assert sorted(statuses(engine).values()) == [TaskStatus.CLAIMED, TaskStatus.OPEN]


def test_old_reports_go_and_nothing_links_to_them_any_more(engine: Engine, smoke: Settings) -> None:
    """The numbers of the report and its alert stay; a young report keeps its link."""
    details = AlertDetails(findings=("It drifted.",), since=NOW, dag_id="watch_drift", run_key="old")
    for name, age in (("old", 91), ("new", 89)):
        file = f"drift/{name}.html"
        write(smoke.reports_dir / file, age=timedelta(days=age))
        row = {"run_key": name, "model_version": "rs-x", "window_rows": 1, "enough_rows": True, "findings": {}}
        with engine.begin() as connection:
            connection.execute(insert(DriftReportRow).values(report_file=file, **row))
        raise_alert(
            engine, NewAlert(key=name, kind=AlertKind.DRIFT, subject=name, details=details, report_file=file), now=NOW
        )
    assert tidy(engine, smoke, now=NOW, dry_run=False).reports == 1
    with engine.connect() as connection:
        files = (
            connection.execute(select(DriftReportRow.report_file).order_by(DriftReportRow.drift_report_id))
            .scalars()
            .all()
        )
    assert files == [None, "drift/new.html"]
    assert [alert.report_file for alert in waiting(engine, Channel.MAIL)] == [None, "drift/new.html"]
    assert (smoke.reports_dir / "drift/new.html").exists()


def test_old_task_logs_go_with_their_empty_folders_but_not_those_of_services(engine: Engine, smoke: Settings) -> None:
    """A service that has been silent for a month still writes into the file that it has open."""
    logs = smoke.home / "logs"
    old = write(logs / "airflow/dag_id=x/run_id=1/attempt=1.log", age=timedelta(days=31))
    young = write(logs / "airflow/dag_id=x/run_id=2/attempt=1.log", age=timedelta(days=29))
    service = write(logs / "serving.log", age=timedelta(days=300))
    assert tidy(engine, smoke, now=NOW, dry_run=False).logs == 1
    assert (old.parent.exists(), young.exists(), service.exists()) == (False, True, True)


def test_airflows_logs_go_wherever_they_are(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """In production they lie on a volume of their own."""
    logs = tmp_path / "airflow-logs"
    old = write(logs / "dag_id=x/run_id=1/attempt=1.log", age=timedelta(days=31))
    young = write(logs / "dag_id=x/run_id=2/attempt=1.log", age=timedelta(days=29))
    kept = smoke.housekeeping.model_copy(update={"airflow_logs": str(logs)})
    assert tidy(engine, smoke.model_copy(update={"housekeeping": kept}), now=NOW, dry_run=False).logs == 1
    assert (old.exists(), young.exists(), logs.exists()) == (False, True, True)


def test_old_rejected_rows_go_and_the_counts_of_their_runs_stay(engine: Engine, smoke: Settings) -> None:
    """They hold people's words; nobody reads them after a year."""
    run = insert(IngestRun).values(source="files", run_key="old", rows_read=2, quarantined=2)
    with engine.begin() as connection:
        run_id = connection.execute(run.returning(IngestRun.ingest_run_id)).scalar_one()
        for name, age in (("old", 366), ("young", 364)):
            row = {"row_hash": name, "source": "files", "reason": QuarantineReason.TOO_SHORT, "detail": "", "raw": "{}"}
            seen = {"ingest_run_id": run_id, "first_seen_at": NOW - timedelta(days=age)}
            connection.execute(insert(Quarantine).values(row | seen))
    assert tidy(engine, smoke, now=NOW, dry_run=True).quarantined == 1
    assert tidy(engine, smoke, now=NOW, dry_run=False).quarantined == 1
    with engine.connect() as connection:
        assert connection.scalars(select(Quarantine.row_hash)).all() == ["young"]
        assert connection.scalar(select(IngestRun.quarantined)) == 2


def test_old_training_sets_go_but_not_what_a_model_on_disk_learned_from(engine: Engine, smoke: Settings) -> None:
    """Nor the newest, nor the note of one that was rewritten."""
    sealed_tiny_model(smoke.models_dir, snapshot_hash="b" * 16)
    for name, age in (("a", 500), ("b", 500), ("c", 100), ("d", 50)):
        write(smoke.snapshots_dir / (name * 16) / "manifest.json", age=timedelta(days=age))
    write(smoke.snapshots_dir / ("e" * 16) / "forgotten.json", age=timedelta(days=500))
    kept = smoke.housekeeping.model_copy(update={"snapshot_days": 90})
    assert tidy(engine, smoke.model_copy(update={"housekeeping": kept}), now=NOW, dry_run=False).snapshots == 2
    assert sorted(path.name[0] for path in smoke.snapshots_dir.iterdir()) == ["b", "d", "e"]


def test_a_pointer_that_a_killed_release_left_behind_is_written(engine: Engine, smoke: Settings) -> None:
    """The log says what serves, and serving reads the pointer alone; a dry run leaves it."""
    champion = sealed_tiny_model(smoke.models_dir).name
    release(engine, champion)
    tidy(engine, smoke, now=NOW, dry_run=True)
    assert read_pointer(smoke.pointer_path) is None
    tidy(engine, smoke, now=NOW, dry_run=False)
    written = read_pointer(smoke.pointer_path)
    assert written is not None
    assert written.model_version == champion


def test_links_are_neither_followed_nor_deleted(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """What they point to belongs to somebody else."""
    outside = write(tmp_path / "outside/precious.log", age=timedelta(days=400))
    inside = smoke.home / "logs" / "airflow"
    inside.mkdir(parents=True)
    (inside / "file").symlink_to(outside)
    (inside / "folder").symlink_to(outside.parent, target_is_directory=True)
    assert tidy(engine, smoke, now=NOW, dry_run=False) == NOTHING
    assert outside.exists()


def test_a_dry_run_counts_the_same_and_changes_nothing(engine: Engine, smoke: Settings) -> None:
    """And the real run after it finds exactly that; a second one finds nothing."""
    seven_models(smoke)
    write(smoke.models_dir / ".work-old/part", age=timedelta(0))
    aged(smoke.models_dir / ".work-old", timedelta(days=3))
    files = [
        write(smoke.reports_dir / "drift/a.html", age=timedelta(days=100)),
        write(smoke.home / "logs/airflow/a/b.log", age=timedelta(days=100)),
        write(smoke.home / "mail/a.eml", age=timedelta(days=100)),
    ]
    store_scored(engine, draw(3, kind=USUAL, seed=1), version="rs-old", scored_at=LONG_AGO)
    add_tasks(engine, 1, text="Another review, of which somebody began to think.")
    claim(engine, labeler="anna", now=NOW - timedelta(hours=1), lease_seconds=60)
    dry = tidy(engine, smoke, now=NOW, dry_run=True)
    assert all(path.exists() for path in files)
    assert len(sealed_folder.versions(smoke.models_dir)) == 7
    assert statuses(engine)["r0"] is TaskStatus.CLAIMED
    real = tidy(engine, smoke, now=NOW, dry_run=False)
    assert (dry.expired_claims, len(dry.model_versions), dry.predictions, dry.reports, dry.logs, dry.mails) == (
        1, 2, 3, 1, 1, 1,
    )  # fmt: skip
    assert real == replace(dry, dry_run=False)
    assert tidy(engine, smoke, now=NOW, dry_run=False) == NOTHING


def test_what_cannot_be_deleted_is_named_and_stops_nothing_else(engine: Engine, smoke: Settings) -> None:
    """A file where a folder should be; one that belongs to somebody else does the same."""
    strange = write(smoke.models_dir / ".work-strange", age=timedelta(days=3))
    mail = write(smoke.home / "mail/a.eml", age=timedelta(days=100))
    with pytest.raises(NotTidied, match=r"1 could not be deleted.*\.work-strange"):
        tidy(engine, smoke, now=NOW, dry_run=False)
    assert (strange.exists(), mail.exists()) == (True, False)
