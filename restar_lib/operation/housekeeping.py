"""Housekeeping: returns abandoned tasks to the queue and deletes what is old, so that the disk does not fill up.

What is in use is never deleted: not the champion's model folder nor the one that a roll back goes to, not the
champion's predictions nor those of reviews that people were asked about, not the log that a running service writes.
Everything is safe to run again, or to kill. A dry run counts the same things and changes nothing. What MLflow has
missed is logged to it, an erasure of a person that was killed is finished, and a pointer that a killed release left
behind the release log is written.

Every step stands alone: one that fails is named at the end, and the others have done their work. A model that is
damaged is named and stays; a training set that it may name stays as well.

Reviews, labels, verdicts and the release log stay for ever. It knows no schedule (the DAG does).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from restar_lib.artifacts import release_log, sealed_folder
from restar_lib.dataset import snapshot_folder
from restar_lib.errors import ArtifactError, NotTidied
from restar_lib.inference.engine import ModelInfo
from restar_lib.ingest import quarantine
from restar_lib.labeling import queue
from restar_lib.monitoring import watch
from restar_lib.monitoring.alerts import alert_log
from restar_lib.operation.sweep import Sweep, older
from restar_lib.privacy import forget
from restar_lib.releases.release import reconcile
from restar_lib.scoring import predictions
from restar_lib.settings import Settings
from restar_lib.store.database import lock
from restar_lib.tracking import mlflow_log

log = logging.getLogger(__name__)

LOGS, MAILS = "logs", "mail"
"""Below the state folder; both exist only in an embedded installation."""
NONE: Final[tuple[str, ...]] = ()
RESTORE: Final = "restore its folder from a backup, or release another version (`restar roll-back`)"


@dataclass(frozen=True, kw_only=True)
class TidyCounts:
    """What was deleted, or in a dry run what would have been."""

    dry_run: bool
    expired_claims: int
    """Tasks that went back to the queue, because their lease had ended."""
    model_versions: tuple[str, ...]
    abandoned_folders: int
    """Unfinished models and snapshots of processes that died days ago."""
    snapshots: int
    """Training sets that are old and that no model on disk names."""
    predictions: int
    quarantined: int
    reports: int
    logs: int
    mails: int
    """Those of the mail catcher; alerts stay in their table."""
    freed_bytes: int
    """On disk, without the database."""
    damaged: tuple[str, ...] = ()
    """Models whose description cannot be read; they stay until they are old."""

    def __str__(self) -> str:
        """One line for the log."""
        named = ", ".join(self.damaged)
        return (
            f"{'would tidy' if self.dry_run else 'tidied'}: {self.expired_claims:,} expired claims, "
            f"{len(self.model_versions)} old models ({', '.join(self.model_versions) or 'none'}), "
            f"{self.abandoned_folders} abandoned folders, {self.snapshots} snapshots, "
            f"{self.predictions:,} predictions, {self.quarantined:,} quarantined rows, {self.reports:,} reports, "
            f"{self.logs:,} logs, {self.mails:,} mails; {self.freed_bytes / 1e6:,.1f} MB"
            f"; {len(self.damaged)} damaged models{f' ({named})' if named else ''}"
        )


def tidy(engine: Engine, settings: Settings, *, now: datetime, dry_run: bool) -> TidyCounts:
    """Tidy everything once. Raises `NotTidied` at the end, naming what could not be deleted and what failed."""
    sweep = Sweep(dry_run=dry_run)
    keep = settings.housekeeping
    damaged = sweep.step("damaged models", lambda: _damaged(engine, settings, sweep), otherwise=NONE)
    counts = TidyCounts(
        dry_run=dry_run,
        expired_claims=sweep.step(
            "expired claims",
            lambda: queue.count_expired(engine, now=now) if dry_run else queue.expire(engine, now=now),
            otherwise=0,
        ),
        model_versions=sweep.step("old models", lambda: _old_models(engine, settings, sweep), otherwise=NONE),
        abandoned_folders=sweep.step("abandoned folders", lambda: _abandoned(settings, sweep, now=now), otherwise=0),
        snapshots=sweep.step(
            "training sets",
            lambda: _delete_snapshots(engine, settings, sweep, before=now - timedelta(days=keep.snapshot_days)),
            otherwise=0,
        ),
        quarantined=sweep.step(
            "rejected rows",
            lambda: _old_quarantined(engine, before=now - timedelta(days=keep.quarantine_days), dry_run=dry_run),
            otherwise=0,
        ),
        predictions=sweep.step(
            "predictions",
            lambda: _old_predictions(engine, before=now - timedelta(days=keep.prediction_days), dry_run=dry_run),
            otherwise=0,
        ),
        reports=sweep.step(
            "reports",
            lambda: _old_reports(engine, settings, sweep, before=now - timedelta(days=keep.report_days)),
            otherwise=0,
        ),
        logs=sweep.step(
            "logs", lambda: _old_logs(settings, sweep, before=now - timedelta(days=keep.log_days)), otherwise=0
        ),
        mails=sweep.step(
            "mails", lambda: _old_mails(settings, sweep, before=now - timedelta(days=keep.report_days)), otherwise=0
        ),
        freed_bytes=sweep.freed,
        damaged=damaged,
    )
    if not dry_run:
        sweep.step("pointer", lambda: reconcile(engine, settings), otherwise=None)
        sweep.step("MLflow", lambda: _catch_up_mlflow(engine, settings), otherwise=None)
        sweep.step("erasures", lambda: forget.finish(engine, settings), otherwise=0)
    log.info("%s", counts)
    _refuse_unfinished(sweep)
    return counts


def _refuse_unfinished(sweep: Sweep) -> None:
    said = []
    if sweep.failed:
        said.append(f"{len(sweep.failed)} could not be deleted, remove them by hand: {'; '.join(sweep.failed[:20])}")
    if sweep.broken:
        said.append(f"{len(sweep.broken)} need a look: {'; '.join(sweep.broken[:20])}")
    if said:
        raise NotTidied(f"everything else was tidied; {'. '.join(said)}")


def _damaged(engine: Engine, settings: Settings, sweep: Sweep) -> tuple[str, ...]:
    """The versions whose description cannot be read. One that serves, or would after a roll back, needs a person."""
    damaged = {version: error for version, (_, error) in _descriptions(settings).items() if error}
    in_use = release_log.in_use(engine)
    for version in sorted(in_use - set(sealed_folder.folders(settings.models_dir))):
        damaged[version] = f"{settings.models_dir / version} is not there"
    for version, error in sorted(damaged.items()):
        if version in in_use:
            sweep.broken.append(f"{version}, which serves or would after a roll back, is damaged ({error}): {RESTORE}")
        else:
            log.warning("model %s is damaged (%s): delete its folder, or restore it from a backup", version, error)
    return tuple(sorted(damaged))


def _descriptions(settings: Settings) -> dict[str, tuple[str | None, str]]:
    """By version on disk: the snapshot that it learned from, and what is wrong with its description."""
    found: dict[str, tuple[str | None, str]] = {}
    for version in sealed_folder.folders(settings.models_dir):
        try:
            found[version] = (ModelInfo.read(settings.models_dir / version).snapshot_hash, "")
        except ArtifactError as error:
            found[version] = (None, str(error))
    return found


def _old_models(engine: Engine, settings: Settings, sweep: Sweep) -> tuple[str, ...]:
    # Under the release lock: no version becomes the champion between looking and deleting.
    with engine.begin() as connection:
        lock(connection, release_log.DELETION_LOCK)
        lock(connection, release_log.LOCK)
        old = sealed_folder.old_versions(
            settings.models_dir, in_use=release_log.in_use(engine), keep=settings.release.keep_versions
        )
        return tuple(version for version in old if sweep.model(settings.models_dir, version))


def _abandoned(settings: Settings, sweep: Sweep, *, now: datetime) -> int:
    before = now - sealed_folder.ABANDONED_AFTER
    sweep.files(older(sealed_folder.orphans(settings.models_dir), before=before), below=settings.models_dir)
    # What appears whole is written under a name with a leading dot, and renamed when it is.
    written = [*settings.snapshots_dir.glob(".*"), *settings.published_dir.glob("*/.*")]
    unfinished = older(written, before=before, folders=True)
    return sweep.folders([*sealed_folder.abandoned(settings.models_dir, now=now), *unfinished])


def _delete_snapshots(engine: Engine, settings: Settings, sweep: Sweep, *, before: datetime) -> int:
    with engine.begin() as connection:
        lock(connection, release_log.DELETION_LOCK)
        return sweep.folders(_old_snapshots(settings, before=before))


def _old_snapshots(settings: Settings, *, before: datetime) -> list[Path]:
    """Not the newest, nor one that a model on disk was trained on: they say which models have seen a review."""
    described = _descriptions(settings)
    if any(error for _, error in described.values()):
        log.warning("no training set is deleted: a damaged model may have learned from any of them")
        return []
    named = {snapshot_hash for snapshot_hash, _ in described.values()}
    manifests = list(settings.snapshots_dir.glob(f"[!.]*/{snapshot_folder.MANIFEST}"))
    newest = max(manifests, key=lambda path: path.stat().st_mtime, default=None)
    old = older((path for path in manifests if path != newest), before=before)
    return [path.parent for path in old if path.parent.name not in named]


def _old_quarantined(engine: Engine, *, before: datetime, dry_run: bool) -> int:
    with engine.begin() as connection:
        count = quarantine.count_old if dry_run else quarantine.erase_old
        return count(connection, before=before)


def _old_predictions(engine: Engine, *, before: datetime, dry_run: bool) -> int:
    keep = release_log.in_use(engine)
    if dry_run:
        with engine.connect() as connection:
            return predictions.count_old(connection, before=before, keep_versions=keep)
    deleted = 0
    while True:
        with engine.begin() as connection:
            chunk = predictions.delete_old(connection, before=before, keep_versions=keep)
        deleted += chunk
        if chunk < predictions.DELETE_CHUNK:
            return deleted


def _old_reports(engine: Engine, settings: Settings, sweep: Sweep, *, before: datetime) -> int:
    folder = settings.reports_dir
    gone = sweep.files(older(folder.rglob("*"), before=before), below=folder)
    if gone and not sweep.dry_run:
        names = [path.relative_to(folder).as_posix() for path in gone]
        with engine.begin() as connection:
            watch.forget_reports(connection, names)
            alert_log.forget_reports(connection, names)
    return len(gone)


def _old_logs(settings: Settings, sweep: Sweep, *, before: datetime) -> int:
    folder, elsewhere = settings.home / LOGS, settings.housekeeping.airflow_logs
    # A file in the folder itself is open in a running service, however long nothing was written to it.
    old = (path for path in older(folder.rglob("*"), before=before) if path.parent != folder)
    gone = sweep.files(old, below=folder)
    if elsewhere:
        gone += sweep.files(older(Path(elsewhere).rglob("*"), before=before), below=Path(elsewhere))
    return len(gone)


def _old_mails(settings: Settings, sweep: Sweep, *, before: datetime) -> int:
    folder = settings.home / MAILS
    return len(sweep.files(older(folder.glob("*.eml"), before=before), below=folder))


def _catch_up_mlflow(engine: Engine, settings: Settings) -> None:
    if settings.database.mlflow_url is not None:
        champion = release_log.current(engine)
        mlflow_log.catch_up(settings, champion=champion.model_version if champion else None)
