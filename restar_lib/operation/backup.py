"""A backup of an installation while it runs: its databases as of one moment each, then its files.

The dumps come first, and until the files are copied nobody deletes a model or a snapshot (housekeeping and `forget`
wait), so all that a dump names are among the files; one that nothing names yet does no harm. Releases and roll backs do
not wait: a model is on disk before it is released, and a restore writes the pointer from the dumped log. Airflow's and
MLflow's databases follow ours by seconds, which is what the loop allows for: every run starts from what it finds in the
tables.

It holds people's texts and, unless `secrets` is false, the secrets of an embedded installation (without them Airflow's
encrypted rows are useless, so its database is left out too): store it as safely as the installation itself. It restores
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import ProgrammingError

from restar_lib.artifacts import release_log
from restar_lib.errors import BackupError
from restar_lib.operation import backup_folder, databases
from restar_lib.operation.backup_folder import BackupManifest, DumpInfo
from restar_lib.operation.databases import AIRFLOW, OURS, DatabaseAddress
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for, lock

log = logging.getLogger(__name__)
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BackupReport:
    """What a backup holds."""

    target: Path
    reviews: int
    files: int
    bytes: int
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        """One line for the log."""
        without = f"; without {', '.join(self.left_out)}" if self.left_out else ""
        return (
            f"backed up {self.reviews:,} reviews and {self.files:,} files to {self.target} "
            f"({self.bytes / 1e6:,.1f} MB){without}"
        )


def back_up(
    settings: Settings, target: Path, *, now: datetime, secrets: bool = True, say: Say = log.info
) -> BackupReport:
    """Write a backup to a new folder, or to one file where `target` ends in `.tar`. Raises `BackupError`."""
    _refuse_inside(settings.home, target)
    with databases.reachable(settings) as addresses, backup_folder.being_written(target) as folder:
        embedded = databases.is_embedded(settings)
        left_out = [address.name for address in addresses if embedded and not secrets and address.name == AIRFLOW]
        ours = next(address for address in addresses if address.name == OURS)
        with _nothing_is_deleted(ours):
            dumps = {address.name: _dump(address, folder, say) for address in addresses if address.name not in left_out}
            files = _copy_state(settings.home, folder, secrets=secrets, say=say)
        files |= {dump.file: backup_folder.size_and_hash(folder / dump.file) for dump in dumps.values()}
        manifest = BackupManifest(
            taken_at=now.isoformat(), home=str(settings.home), embedded=embedded, databases=dumps, files=files
        )
        manifest.write(folder)
    missing = [name for name in databases.EMBEDDED_NAMES if name not in dumps]
    return BackupReport(
        target=target,
        reviews=dumps[OURS].rows.get("review", 0),
        files=len(files) - len(dumps),
        bytes=manifest.bytes,
        left_out=(*(f"the database of {name}" for name in missing), *(() if secrets or not embedded else ("secrets",))),
    )


@contextmanager
def _nothing_is_deleted(ours: DatabaseAddress) -> Iterator[None]:
    """Folders of versions and snapshots stay while the block runs; two backups may run at once."""
    engine = engine_for(ours.url)
    try:
        with engine.begin() as connection:
            lock(connection, release_log.DELETION_LOCK, shared=True)
            yield
    finally:
        engine.dispose()


def _dump(address: DatabaseAddress, folder: Path, say: Say) -> DumpInfo:
    file = f"databases/{address.name}.dump"
    (folder / file).parent.mkdir(exist_ok=True)
    engine = engine_for(address.url)
    try:
        # The rows that are counted are the rows that are dumped.
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            snapshot = connection.execute(select(func.pg_export_snapshot())).scalar_one()
            databases.dump(address, folder / file, snapshot=snapshot)
            say(f"database {address.name}: dumped, counting its rows")
            rows = databases.row_counts(connection)
            revision = _revision(connection)
    finally:
        engine.dispose()
    (folder / file).chmod(0o600)
    say(f"database {address.name}: {sum(rows.values()):,} rows of {len(rows)} tables")
    return DumpInfo(file=file, revision=revision, rows=rows)


def _revision(connection: Connection) -> str | None:
    try:
        with connection.begin_nested():
            return connection.execute(text("select version_num from alembic_version")).scalar()
    except ProgrammingError:
        return None  # MLflow's database before its first training


def _copy_state(home: Path, folder: Path, *, secrets: bool, say: Say) -> dict[str, tuple[int, str]]:
    copied: dict[str, tuple[int, str]] = {}
    for path in backup_folder.state_files(home, secrets=secrets):
        name = f"{backup_folder.FILES}/{path.as_posix()}"
        try:
            copied[name] = backup_folder.copy(home / path, folder / name)
        except FileNotFoundError:
            log.info("%s was deleted meanwhile, and is not in the backup", path)
    say(f"state folder: {len(copied):,} files")
    return copied


def _refuse_inside(home: Path, target: Path) -> None:
    if target.resolve().is_relative_to(home.resolve()):
        raise BackupError(f"{target} lies in the state folder {home}: a backup belongs elsewhere, best on another disk")
