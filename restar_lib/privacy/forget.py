"""Erasing a person: their reviews, everything derived from them, traces in files; and which models have seen them.

One transaction deletes the rows and writes the tombstones, by which ingest refuses the person from then on; traces in
files are overwritten before it commits; snapshots, and reports that were written meanwhile, are rewritten after it, by
tombstone. So a call that is killed anywhere is finished by the same call. A dry run does the same and rolls back, so
it counts exactly what would be deleted.

It trains nothing: models that were trained on the reviews are listed, and a person decides whether to retrain. It
cannot reach, and its report says so: the source's own files, backups, and what was published elsewhere.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from restar_lib.artifacts import release_log, sealed_folder
from restar_lib.dataset.snapshot_folder import NOTE
from restar_lib.domain import ForgottenKind
from restar_lib.errors import ArtifactError, ConfigurationError
from restar_lib.evaluation.report import report_store
from restar_lib.gate import verdict_log
from restar_lib.inference.engine import ModelInfo
from restar_lib.ingest import erasure, load, quarantine
from restar_lib.ingest.cleaning import identifier
from restar_lib.ingest.raw_rows import FieldMapping
from restar_lib.ingest.tombstones import ForgetKey, bury, forgotten_reviews, key_in_use
from restar_lib.label_audit import audit_store
from restar_lib.label_quality import doubted_labels
from restar_lib.labeling import queue
from restar_lib.privacy import snapshot_rewriting, traces
from restar_lib.scoring import pending, predictions
from restar_lib.settings import Settings
from restar_lib.store.database import lock
from restar_lib.store.tables import ForgottenPerson

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ForgetReport:
    """What was forgotten, or in a dry run what would be."""

    dry_run: bool
    reviews: int
    handed_over: int
    """Texts that stay, because another person wrote the same."""
    predictions: int
    tasks: int
    labels: int
    quarantined: int
    files: tuple[str, ...]
    """Logs, reports, mails and copies of raw reviews, below the state folder."""
    snapshots: tuple[str, ...]
    """Training sets on disk that held the reviews, and were rewritten."""
    learned: tuple[str, ...]
    """Models that were trained or calibrated on the reviews, deleted ones included."""
    judged: tuple[str, ...]
    """Models that were only judged on them."""
    champion: str | None
    """The champion, where it was trained on the reviews."""

    @property
    def advice(self) -> list[str]:
        """What a person has to know or do, one line each."""
        lines = [f"rewritten: {name}" for name in (*self.files, *(f"snapshots/{one}" for one in self.snapshots))]
        lines += [f"{version} was trained or calibrated on these reviews" for version in self.learned]
        lines += [f"{version} was judged on these reviews" for version in self.judged]
        if self.champion:
            lines.append(f"{self.champion} serves: retrain (DAG retrain_sentiment, `force`) to have it replaced")
        if self.dry_run:
            return [*lines, "nothing was changed: run it again with --for-good"]
        return [
            *lines,
            "out of reach: the source's own files, earlier backups, and what was published elsewhere",
            "a backup that is older than this and is restored brings them back: forget them again then",
        ]

    def __str__(self) -> str:
        """One line for the log: no id of the person is in it."""
        return (
            f"{'would forget' if self.dry_run else 'forgot'} a person: {self.reviews:,} reviews "
            f"({self.handed_over:,} texts live on with others), {self.predictions:,} predictions, "
            f"{self.tasks:,} tasks, {self.labels:,} labels, {self.quarantined:,} quarantined rows, "
            f"{len(self.files):,} files, {len(self.snapshots):,} snapshots; seen by {len(self.learned):,} models"
        )


@dataclass(frozen=True, kw_only=True)
class _Person:
    """The person that a request is about, and what is theirs."""

    user_id: str
    reviews: Sequence[erasure.WrittenReview]
    quarantined: Mapping[str, str]
    """Rejected rows by their hash."""
    search_terms: traces.SearchTerms
    """What would identify them in a file."""

    @property
    def texts(self) -> dict[str, str]:
        """The texts of their reviews by review id."""
        return {one.review_id: one.text for one in self.reviews}


@dataclass(frozen=True, kw_only=True)
class _Deleted:
    """How many rows were deleted."""

    handed_over: int
    predictions: int
    tasks: int
    labels: int


def forget(engine: Engine, settings: Settings, *, user_id: str, now: datetime, dry_run: bool) -> ForgetReport:
    """Erase everything that `user_id` wrote before `now`, for good. Running it again finishes an erasure or adds to it.

    Raises `ConfigurationError` for an empty id, and where the key of earlier tombstones is missing.
    """
    wanted = identifier(user_id)
    if wanted is None:
        raise ConfigurationError(f"{user_id!r} is not a user id: give it as it stands in the reviews")
    with engine.connect() as connection, connection.begin() as transaction:
        lock(connection, load.LOCK)  # no ingest stores a review of theirs meanwhile
        key = _key(connection, settings, dry_run=dry_run)
        person = _look_up(connection, settings, wanted)
        seen = snapshot_rewriting.affected_snapshots(settings.snapshots_dir, person.texts)
        found = [trace for folder in _folders(settings) for trace in traces.find(folder, person.search_terms)]
        shown = (
            *report_store.naming(settings, person.texts),
            *doubted_labels.naming(settings, person.texts),
        )
        deleted = _delete(connection, person)
        sets = _write_tombstones(connection, key, person, seen, now=now)
        places = sorted({trace.path for trace in found} | set(shown))
        report = _report(connection, settings, person, deleted, places, sets=sets, seen=seen, dry_run=dry_run)
        if dry_run:
            transaction.rollback()
        else:
            # Before the traces: both are found by the ids in their data, which must not be overwritten yet.
            report_store.forget(settings, person.texts)
            audit_store.forget(settings, person.texts)  # they hold whole texts; one command writes them again
            traces.erase(found, person.search_terms)
            _delete_published(settings.published_dir / "datasets", person.texts)
            transaction.commit()
    if not dry_run:
        _finish(engine, settings, key)
        erasure.tidy_statistics(engine)
    log.info("%s", report)
    return report


def finish(engine: Engine, settings: Settings) -> int:
    """Rewrite snapshots and reports that still hold erased reviews: written meanwhile, or a call was killed.

    Returns how many snapshots and files of reports those were.
    """
    key = ForgetKey.of(settings.home)
    return _finish(engine, settings, key) if key else 0


def _finish(engine: Engine, settings: Settings, key: ForgetKey) -> int:
    return _rewrite(engine, settings, key) + _clear_reports(engine, settings, key)


def _clear_reports(engine: Engine, settings: Settings, key: ForgetKey) -> int:
    """Take reviews with a tombstone out of reports, audits and doubted labels; returns how many files changed."""
    shown = report_store.shown(settings) | audit_store.shown(settings) | doubted_labels.shown(settings)
    with engine.connect() as connection:
        gone = forgotten_reviews(connection, key, shown)
    if not gone:
        return 0
    changed = report_store.forget(settings, gone) + audit_store.forget(settings, gone)
    changed += doubted_labels.forget(settings, gone)
    log.info("%d files of reports still showed %d forgotten reviews", changed, len(gone))
    return changed


def _rewrite(engine: Engine, settings: Settings, key: ForgetKey) -> int:
    """Rewrite snapshots, and delete their published copies in our own folder; returns how many were rewritten."""
    rewritten = snapshot_rewriting.rewrite_forgotten(engine, settings.snapshots_dir, key)
    for note in settings.snapshots_dir.glob(f"*/{NOTE}"):
        shutil.rmtree(settings.published_dir / "datasets" / note.parent.name, ignore_errors=True)
    return len(rewritten)


def _delete_published(folder: Path, review_ids: Collection[str]) -> None:
    """Delete the published sets in our own folder that hold one of these reviews, with or without their snapshot."""
    wanted = {review_id.encode() for review_id in review_ids}
    for published in folder.glob("*/"):
        lines = (line for path in published.glob("data/*/*.jsonl") for line in path.open("rb"))
        if any(json.loads(line)["review_id"].encode() in wanted for line in lines):
            shutil.rmtree(published)


def _key(connection: Connection, settings: Settings, *, dry_run: bool) -> ForgetKey:
    known = key_in_use(connection, settings.home)
    if known is not None:
        return known
    return ForgetKey(b"for a dry run that keeps nothing") if dry_run else ForgetKey.of_or_new(settings.home)


def _folders(settings: Settings) -> list[Path]:
    """Where traces may be: the state folder, and Airflow's logs where they are elsewhere."""
    elsewhere = settings.housekeeping.airflow_logs
    return [settings.home, *([Path(elsewhere)] if elsewhere else [])]


def _shown(path: Path, settings: Settings) -> str:
    return (path.relative_to(settings.home) if path.is_relative_to(settings.home) else path).as_posix()


def _look_up(connection: Connection, settings: Settings, user_id: str) -> _Person:
    mapping = FieldMapping.from_config(settings.source.fields)
    reviews = erasure.reviews_of(connection, user_id)
    return _Person(
        user_id=user_id,
        reviews=reviews,
        quarantined=quarantine.rows_of_person(connection, user_id, mapping),
        search_terms=traces.search_terms(
            ids=(user_id, *(one.review_id for one in reviews), *(one.id_in_source for one in reviews)),
            texts=[one.text for one in reviews],
            wrote=lambda line: quarantine.is_by_person(line, user_id, mapping),
        ),
    )


def _delete(connection: Connection, person: _Person) -> _Deleted:
    review_ids = sorted(person.texts)
    verdict_log.forget_reviews(connection, review_ids)
    snapshot_rewriting.forget_labels(connection, review_ids)
    removed = queue.remove_tasks_of(connection, review_ids)
    scored = predictions.delete_of(connection, review_ids)
    new_originals = erasure.erase_reviews(connection, review_ids)
    pending.reopen_runs(connection, new_originals)
    quarantine.erase(connection, person.quarantined)
    return _Deleted(handed_over=len(new_originals), predictions=scored, tasks=removed.tasks, labels=removed.labels)


def _write_tombstones(
    connection: Connection,
    key: ForgetKey,
    person: _Person,
    seen: Sequence[snapshot_rewriting.AffectedSnapshot],
    *,
    now: datetime,
) -> dict[str, bool]:
    """Write the tombstones; returns each training set that ever held their reviews: True where models learned them."""
    buried = [
        (ForgottenKind.USER, key.user(person.user_id)),
        *((ForgottenKind.REVIEW, key.review(one.source, one.id_in_source)) for one in person.reviews),
        *((ForgottenKind.REVIEW, key.stored_review(one)) for one in sorted(person.texts)),
        *((ForgottenKind.ROW, key.row(one)) for one in sorted(set(person.quarantined.values()))),
    ]
    bury(connection, key, buried, now=now)
    user_key = key.user(person.user_id)
    before = connection.scalar(select(ForgottenPerson.snapshots).where(ForgottenPerson.user_key == user_key)) or []
    sets = {one["snapshot"]: bool(one["learned"]) for one in before}
    for sighting in seen:
        for snapshot in snapshot_rewriting.ancestors(connection, [sighting.snapshot_hash]):
            sets[snapshot] = sets.get(snapshot, False) or sighting.learned
    stored = [{"snapshot": snapshot, "learned": learned} for snapshot, learned in sorted(sets.items())]
    row = insert(ForgottenPerson).values(user_key=user_key, first_asked_at=now, last_asked_at=now, snapshots=stored)
    again = {"last_asked_at": row.excluded.last_asked_at, "snapshots": row.excluded.snapshots}
    connection.execute(row.on_conflict_do_update(index_elements=["user_key"], set_=again))
    return sets


def _report(
    connection: Connection,
    settings: Settings,
    person: _Person,
    deleted: _Deleted,
    places: Sequence[Path],
    *,
    sets: Mapping[str, bool],
    seen: Sequence[snapshot_rewriting.AffectedSnapshot],
    dry_run: bool,
) -> ForgetReport:
    learned = _models(connection, settings, [one for one, is_learned in sets.items() if is_learned])
    judged = _models(connection, settings, sets) - learned
    champion = release_log.newest(connection)
    return ForgetReport(
        dry_run=dry_run,
        reviews=len(person.texts),
        quarantined=len(person.quarantined),
        **vars(deleted),
        files=tuple(_shown(path, settings) for path in places),
        snapshots=tuple(one.snapshot_hash for one in seen),
        learned=tuple(sorted(learned)),
        judged=tuple(sorted(judged)),
        champion=champion.model_version if champion and champion.model_version in learned else None,
    )


def _models(connection: Connection, settings: Settings, snapshots: Collection[str]) -> set[str]:
    """The versions that were made from these training sets: those on disk, and those that a verdict names."""
    return verdict_log.challengers_on(connection, sorted(snapshots)) | {
        version
        for version in sealed_folder.versions(settings.models_dir)
        if _snapshot_of(settings, version) in snapshots
    }


def _snapshot_of(settings: Settings, version: str) -> str | None:
    try:
        return ModelInfo.read(settings.models_dir / version).snapshot_hash
    except ArtifactError:
        return None  # an altered folder; `restar doctor` names it
