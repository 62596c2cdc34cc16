"""From a backup to an installation: into an empty state folder and empty databases, checked before and after.

Nothing is overwritten: a folder or a database with anything in it is refused. The backup is verified file by file
before the first one is copied; each database is filled in one transaction; then row counts are compared, the schema is
brought up to date, the pointer follows the release log, and the champion must answer its probe. A restore that was
killed leaves a marker: the folder is refused until it is wiped. It starts no service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from restar_lib.artifacts import sealed_folder
from restar_lib.errors import BackupError
from restar_lib.operation import backup_folder, databases
from restar_lib.operation.backup_folder import FILES, SECRETS, BackupManifest
from restar_lib.operation.databases import AIRFLOW, OURS, DatabaseAddress
from restar_lib.releases.release import reconcile
from restar_lib.settings import Settings
from restar_lib.store.database import alembic_config, engine_for, migrate

log = logging.getLogger(__name__)
Say = Callable[[str], None]
MARKER = "restoring"


@dataclass(frozen=True, kw_only=True)
class RestoreReport:
    """What was restored."""

    taken_at: str
    home: Path
    reviews: int
    files: int
    champion: str | None
    """Verified and probed."""
    left_out: tuple[str, ...]
    """Databases that the backup does not hold, or that the configuration does not name here."""

    def __str__(self) -> str:
        """One line for the log."""
        without = f"; without the databases {', '.join(self.left_out)}" if self.left_out else ""
        return (
            f"restored the backup of {self.taken_at} to {self.home}: {self.reviews:,} reviews, {self.files:,} files, "
            f"champion {self.champion or 'none'}{without}"
        )


def restore(settings: Settings, source: Path, *, say: Say = log.info) -> RestoreReport:
    """Restore a backup. Raises `BackupError` before anything is written where the backup or the target is not fit."""
    with backup_folder.opened(source) as folder:
        manifest = backup_folder.verify(folder)
        say(f"the backup of {manifest.taken_at} is whole: {len(manifest.files):,} files")
        _refuse_newer(manifest)
        _refuse_full_home(settings.home)
        if not databases.is_embedded(settings):
            with databases.reachable(settings) as addresses:
                return _restore_into(settings, addresses, folder, manifest, say)
        _copy_files(settings, folder, manifest, say)
        with databases.reachable(settings) as addresses:
            with_airflow = f"{FILES}/{SECRETS}" in manifest.files
            usable = [address for address in addresses if with_airflow or address.name != AIRFLOW]
            return _restore_into(settings, usable, folder, manifest, say)


def _restore_into(
    settings: Settings, addresses: Sequence[DatabaseAddress], folder: Path, manifest: BackupManifest, say: Say
) -> RestoreReport:
    addresses = [address for address in addresses if address.name in manifest.databases]
    _refuse_full_databases(addresses)
    if not databases.is_embedded(settings):
        _copy_files(settings, folder, manifest, say)
    for address in addresses:
        _load(address, folder, manifest, say)
    ours = next(address for address in addresses if address.name == OURS)
    migrate(ours.url)
    champion = _verify_champion(settings, ours)
    (settings.home / MARKER).unlink()
    return RestoreReport(
        taken_at=manifest.taken_at,
        home=settings.home,
        reviews=manifest.databases[OURS].rows.get("review", 0),
        files=len(manifest.files) - len(manifest.databases),
        champion=champion,
        left_out=tuple(
            name for name in databases.EMBEDDED_NAMES if name not in {address.name for address in addresses}
        ),
    )


def _copy_files(settings: Settings, folder: Path, manifest: BackupManifest, say: Say) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / MARKER).write_text(f"the backup of {manifest.taken_at} is being restored\n", encoding="utf-8")
    names = [name for name in manifest.files if name.startswith(f"{FILES}/")]
    for name in names:
        copied = backup_folder.copy(folder / name, settings.home / name.removeprefix(f"{FILES}/"))
        if copied != manifest.files[name]:
            raise BackupError(f"{name} changed while it was restored: wipe {settings.home} and start again")
    say(f"state folder: {len(names):,} files")


def _load(address: DatabaseAddress, folder: Path, manifest: BackupManifest, say: Say) -> None:
    info = manifest.databases[address.name]
    databases.load(address, folder / info.file)
    engine = engine_for(address.url)
    try:
        with engine.connect() as connection:
            rows = databases.row_counts(connection)
    finally:
        engine.dispose()
    if different := sorted(name for name in {*rows, *info.rows} if rows.get(name) != info.rows.get(name)):
        raise BackupError(f"database {address.name}: other row counts than in the backup in {', '.join(different)}")
    say(f"database {address.name}: {sum(rows.values()):,} rows of {len(rows)} tables, as in the backup")


def _verify_champion(settings: Settings, ours: DatabaseAddress) -> str | None:
    from restar_lib.artifacts.model_loading import load_verified

    engine = engine_for(ours.url)
    try:
        champion = reconcile(engine, settings)
    finally:
        engine.dispose()
    if champion is None:
        return None
    folder = sealed_folder.locate(settings.models_dir, champion.model_version)
    load_verified(folder, threads=settings.scoring.threads)
    return champion.model_version


def _refuse_newer(manifest: BackupManifest) -> None:
    revision = manifest.databases[OURS].revision
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config("")).walk_revisions()}
    if revision not in known:
        raise BackupError(f"the backup's schema is {revision}, newer than this Re*Star knows: upgrade it first")


def _refuse_full_home(home: Path) -> None:
    # Empty folders are what a fresh volume or an image may bring.
    files = [path for path in home.rglob("*") if not path.is_dir() or path.is_symlink()] if home.exists() else []
    there = sorted({path.relative_to(home).parts[0] for path in files})
    if MARKER in there:
        raise BackupError(f"an earlier restore into {home} did not end: wipe it (`restar reset`) and restore again")
    if there:
        shown = ", ".join(there[:5])
        raise BackupError(
            f"{home} is not empty ({shown}): nothing is overwritten. Restore into another place with "
            "RESTAR_HOME=<folder>, or wipe this one with `restar reset`"
        )


def _refuse_full_databases(addresses: Sequence[DatabaseAddress]) -> None:
    for address in addresses:
        engine = engine_for(address.url)
        try:
            tables = inspect(engine).get_table_names()
        finally:
            engine.dispose()
        if tables:
            raise BackupError(
                f"database {address.name!r} is not empty ({len(tables)} tables): nothing is overwritten. "
                "Create an empty one and name it in the configuration"
            )
