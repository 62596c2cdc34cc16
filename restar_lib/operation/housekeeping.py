"""Housekeeping: returns abandoned tasks to the queue and deletes what is old, so that the disk does not fill up.

What is in use is never deleted: not the champion's model folder nor the one that a roll back goes to, not the
champion's predictions nor those of reviews that people were asked about, not the log that a running service writes.
Everything is safe to run again, or to kill. A dry run counts the same things and changes nothing. What MLflow has
missed is logged to it, and an erasure of a person that was killed is finished.

Reviews, labels, verdicts and the release log stay for ever. It knows no schedule (the DAG does).
"""

from __future__ import annotations

import logging
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from restar_lib.artifacts import release_log, sealed_folder
from restar_lib.dataset import snapshot_folder
from restar_lib.errors import NotTidied
from restar_lib.inference.engine import ModelInfo
from restar_lib.ingest import quarantine
from restar_lib.labeling import queue
from restar_lib.monitoring import watch
from restar_lib.monitoring.alerts import alert_log
from restar_lib.privacy import forget
from restar_lib.scoring import predictions
from restar_lib.settings import Settings
from restar_lib.store.database import lock
from restar_lib.tracking import mlflow_log

log = logging.getLogger(__name__)

LOGS, MAILS = "logs", "mail"
"""Below the state folder; both exist only in an embedded installation."""


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

    def __str__(self) -> str:
        """One line for the log."""
        return (
            f"{'would tidy' if self.dry_run else 'tidied'}: {self.expired_claims:,} expired claims, "
            f"{len(self.model_versions)} old models ({', '.join(self.model_versions) or 'none'}), "
            f"{self.abandoned_folders} abandoned folders, {self.snapshots} snapshots, "
            f"{self.predictions:,} predictions, {self.quarantined:,} quarantined rows, {self.reports:,} reports, "
            f"{self.logs:,} logs, {self.mails:,} mails; {self.freed_bytes / 1e6:,.1f} MB"
        )


class _Sweep:
    """Deletes files and folders, or in a dry run only counts them; remembers what could not be deleted."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.freed = 0
        self.failed: list[str] = []

    def files(self, paths: Iterable[Path], *, below: Path) -> list[Path]:
        """Delete files, and the folders under `below` that become empty; returns those that are gone."""
        gone = [path for path in paths if self._file(path)]
        if not self.dry_run:
            for path in gone:
                _drop_empty_parents(path, below=below)
        return gone

    def folders(self, paths: Iterable[Path]) -> int:
        """Delete whole folders; returns how many."""
        return sum(self._folder(path) for path in paths)

    def _file(self, path: Path) -> bool:
        return self._remove(path, _size(path), path.unlink)

    def _folder(self, path: Path) -> bool:
        return self._remove(path, sum(map(_size, path.rglob("*"))), lambda: shutil.rmtree(path))

    def _remove(self, path: Path, size: int, delete: Callable[[], object]) -> bool:
        if not self.dry_run:
            try:
                delete()
            except FileNotFoundError:
                return False  # another run deletes the same
            except OSError as error:
                self.failed.append(f"{path} ({error.strerror})")
                return False
        self.freed += size
        return True


def tidy(engine: Engine, settings: Settings, *, now: datetime, dry_run: bool) -> TidyCounts:
    """Tidy everything once. Raises `NotTidied` at the end where files could not be deleted, naming them."""
    sweep = _Sweep(dry_run=dry_run)
    keep = settings.housekeeping
    counts = TidyCounts(
        dry_run=dry_run,
        expired_claims=queue.count_expired(engine, now=now) if dry_run else queue.expire(engine, now=now),
        model_versions=_old_models(engine, settings, sweep),
        abandoned_folders=_abandoned(settings, sweep, now=now),
        snapshots=sweep.folders(_old_snapshots(settings, before=now - timedelta(days=keep.snapshot_days))),
        quarantined=_old_quarantined(engine, before=now - timedelta(days=keep.quarantine_days), dry_run=dry_run),
        predictions=_old_predictions(engine, before=now - timedelta(days=keep.prediction_days), dry_run=dry_run),
        reports=_old_reports(engine, settings, sweep, before=now - timedelta(days=keep.report_days)),
        logs=_old_logs(settings, sweep, before=now - timedelta(days=keep.log_days)),
        mails=_old_mails(settings, sweep, before=now - timedelta(days=keep.report_days)),
        freed_bytes=sweep.freed,
    )
    if not dry_run:
        _catch_up_mlflow(engine, settings)
        forget.finish(engine, settings)
    log.info("%s", counts)
    if sweep.failed:
        raise NotTidied(
            f"{len(sweep.failed)} could not be deleted, remove them by hand: {'; '.join(sweep.failed[:20])}"
        )
    return counts


def _old_models(engine: Engine, settings: Settings, sweep: _Sweep) -> tuple[str, ...]:
    # Under the release lock: no version becomes the champion between looking and deleting.
    with engine.begin() as connection:
        lock(connection, release_log.LOCK)
        old = sealed_folder.old_versions(
            settings.models_dir, in_use=release_log.in_use(engine), keep=settings.release.keep_versions
        )
        for version in old:
            sweep.freed += sum(map(_size, (settings.models_dir / version).iterdir()))
            if not sweep.dry_run:
                sealed_folder.delete(settings.models_dir, version)
                log.info("deleted model %s: neither in use nor among the newest", version)
    return old


def _abandoned(settings: Settings, sweep: _Sweep, *, now: datetime) -> int:
    before = now - sealed_folder.ABANDONED_AFTER
    sweep.files(_older(sealed_folder.orphans(settings.models_dir), before=before), below=settings.models_dir)
    # A snapshot is written under a name with a leading dot, and renamed when it is whole.
    unfinished = _older(settings.snapshots_dir.glob(".*"), before=before, folders=True)
    return sweep.folders([*sealed_folder.abandoned(settings.models_dir, now=now), *unfinished])


def _old_snapshots(settings: Settings, *, before: datetime) -> list[Path]:
    """Not the newest, nor one that a model on disk was trained on: they say which models have seen a review."""
    named = {
        ModelInfo.read(settings.models_dir / version).snapshot_hash
        for version in sealed_folder.versions(settings.models_dir)
    }
    manifests = list(settings.snapshots_dir.glob(f"[!.]*/{snapshot_folder.MANIFEST}"))
    newest = max(manifests, key=lambda path: path.stat().st_mtime, default=None)
    old = _older((path for path in manifests if path != newest), before=before)
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


def _old_reports(engine: Engine, settings: Settings, sweep: _Sweep, *, before: datetime) -> int:
    folder = settings.reports_dir
    gone = sweep.files(_older(folder.rglob("*"), before=before), below=folder)
    if gone and not sweep.dry_run:
        names = [path.relative_to(folder).as_posix() for path in gone]
        with engine.begin() as connection:
            watch.forget_reports(connection, names)
            alert_log.forget_reports(connection, names)
    return len(gone)


def _old_logs(settings: Settings, sweep: _Sweep, *, before: datetime) -> int:
    folder, elsewhere = settings.home / LOGS, settings.housekeeping.airflow_logs
    # A file in the folder itself is open in a running service, however long nothing was written to it.
    old = (path for path in _older(folder.rglob("*"), before=before) if path.parent != folder)
    gone = sweep.files(old, below=folder)
    if elsewhere:
        gone += sweep.files(_older(Path(elsewhere).rglob("*"), before=before), below=Path(elsewhere))
    return len(gone)


def _old_mails(settings: Settings, sweep: _Sweep, *, before: datetime) -> int:
    folder = settings.home / MAILS
    return len(sweep.files(_older(folder.glob("*.eml"), before=before), below=folder))


def _catch_up_mlflow(engine: Engine, settings: Settings) -> None:
    if settings.database.mlflow_url is not None:
        champion = release_log.current(engine)
        mlflow_log.catch_up(settings, champion=champion.model_version if champion else None)


def _older(paths: Iterable[Path], *, before: datetime, folders: bool = False) -> list[Path]:
    """The plain files (or folders) among `paths` that were last changed before `before`; a link is neither."""
    wanted = stat.S_ISDIR if folders else stat.S_ISREG
    found = []
    for path in paths:
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if wanted(status.st_mode) and status.st_mtime < before.timestamp():
            found.append(path)
    return sorted(found)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _drop_empty_parents(path: Path, *, below: Path) -> None:
    for parent in path.parents:
        if parent == below:
            return
        try:
            parent.rmdir()
        except OSError:
            return  # not empty, or gone already
