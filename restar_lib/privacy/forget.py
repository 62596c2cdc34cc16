"""Erasing a person: their reviews, everything derived from them, traces in files; and which models have seen them.

One transaction deletes the rows and writes the tombstones, by which ingest refuses the person from then on; traces in
files are overwritten before it commits; snapshots, and reports that were written meanwhile, are rewritten after it, by
tombstone. So a call that is killed anywhere is finished by the same call. A dry run does the same and rolls back, so
it counts exactly what would be deleted.

A file that cannot be read never stops it: what is damaged is deleted, because it may hold the person's words, and what
this process may not read is left and listed (`privacy.person_files`). Then the erasure is not complete, and says so.
While a backup runs, the rewriting of snapshots waits for its end.

It trains nothing: models that were trained on the reviews are listed, and a person decides whether to retrain. It
cannot reach, and its report says so: the source's own files, backups, and what was published elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from restar_lib.artifacts import release_log, sealed_folder
from restar_lib.domain import ForgottenKind
from restar_lib.errors import ArtifactError, ConfigurationError, ErasureIncomplete
from restar_lib.gate import verdict_log
from restar_lib.inference.engine import ModelInfo
from restar_lib.ingest import erasure, load, quarantine
from restar_lib.ingest.cleaning.clean import identifier
from restar_lib.ingest.raw_rows import FieldMapping
from restar_lib.ingest.tombstones import ForgetKey, bury, forgotten_reviews, key_in_use
from restar_lib.labeling import queue
from restar_lib.privacy import person_files, snapshot_rewriting, traces
from restar_lib.privacy.forget_report import ForgetReport
from restar_lib.scoring import pending, predictions
from restar_lib.settings import Settings
from restar_lib.store.database import lock
from restar_lib.store.tables import ForgottenPerson

log = logging.getLogger(__name__)


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
class _Finished:
    """What came of finishing erasures by tombstone."""

    changed: int
    """Snapshots and files of reports."""
    left: tuple[Path, ...]
    """Snapshots that could be neither read nor deleted."""


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
        files = person_files.look(settings, person.texts, person.search_terms)
        deleted = _delete(connection, person)
        sets = _write_tombstones(connection, key, person, files.snapshots, now=now)
        report = _report(connection, settings, person, deleted, files, sets=sets, dry_run=dry_run)
        left = set(files.refused)
        if dry_run:
            transaction.rollback()
        else:
            # In the transaction: what is searched for stands in the rows, so a kill must leave the rows.
            left |= set(person_files.erase(settings, files, person.texts, person.search_terms))
            transaction.commit()
    if not dry_run:
        left |= set(_finish(engine, settings, key).left)
        erasure.tidy_statistics(engine)
    report = replace(report, left=tuple(person_files.remedy(path, settings) for path in sorted(left)))
    log.info("%s", report)
    return report


def finish(engine: Engine, settings: Settings) -> int:
    """Rewrite snapshots and reports that still hold erased reviews: written meanwhile, or a call was killed.

    Returns how many snapshots and files of reports those were. Raises `ErasureIncomplete`, when everything else is
    done, where a snapshot can be neither read nor deleted.
    """
    key = ForgetKey.of(settings.home)
    if key is None:
        return 0
    finished = _finish(engine, settings, key)
    if finished.left:
        named = "; ".join(person_files.remedy(path, settings) for path in finished.left)
        raise ErasureIncomplete(f"may hold reviews of people who were forgotten: {named}")
    return finished.changed


def _finish(engine: Engine, settings: Settings, key: ForgetKey) -> _Finished:
    with engine.begin() as connection:
        lock(connection, release_log.DELETION_LOCK)  # a backup that runs holds the snapshots that its dump names
        result = snapshot_rewriting.rewrite_forgotten(engine, settings.snapshots_dir, key)
    person_files.withdraw_rewritten(settings)
    changed = _clear_reports(engine, settings, key)
    return _Finished(changed=len(result.rewritten) + changed, left=result.left)


def _clear_reports(engine: Engine, settings: Settings, key: ForgetKey) -> int:
    """Take reviews with a tombstone out of reports, audits and doubted labels; returns how many files changed."""
    shown: set[str] = set().union(*(store.shown(settings) for store in person_files.STORES))
    with engine.connect() as connection:
        gone = forgotten_reviews(connection, key, shown)
    if not gone:
        return 0
    changed: int = sum(store.forget(settings, gone) for store in person_files.STORES)
    log.info("%d files of reports still showed %d forgotten reviews", changed, len(gone))
    return changed


def _key(connection: Connection, settings: Settings, *, dry_run: bool) -> ForgetKey:
    known = key_in_use(connection, settings.home)
    if known is not None:
        return known
    return ForgetKey(b"for a dry run that keeps nothing") if dry_run else ForgetKey.of_or_new(settings.home)


def _look_up(connection: Connection, settings: Settings, user_id: str) -> _Person:
    mapping = FieldMapping.from_config(settings.source.fields)
    reviews = erasure.reviews_of(connection, user_id)
    ids = {one.review_id for one in reviews} | {one.id_in_source for one in reviews}
    return _Person(
        user_id=user_id,
        reviews=reviews,
        quarantined=quarantine.rows_of_person(connection, user_id, mapping),
        search_terms=traces.search_terms(
            # An id that others' reviews have too would erase what the files say of those.
            ids=(user_id, *(ids - erasure.ids_of_others_too(connection, user_id, reviews))),
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
        *((ForgottenKind.REVIEW, key.review(one.source, one.id_in_source, one.text_hash)) for one in person.reviews),
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
    files: person_files.PersonFiles,
    *,
    sets: Mapping[str, bool],
    dry_run: bool,
) -> ForgetReport:
    snapshot_of = _snapshots_of_models(settings)
    learned = _models(connection, snapshot_of, [one for one, is_learned in sets.items() if is_learned])
    judged = _models(connection, snapshot_of, sets) - learned
    unclear = {version for version, known in snapshot_of.items() if known is None} - learned
    champion = release_log.newest(connection)
    return ForgetReport(
        dry_run=dry_run,
        reviews=len(person.texts),
        quarantined=len(person.quarantined),
        **vars(deleted),
        files=tuple(person_files.relative_name(path, settings) for path in files.changed),
        snapshots=tuple(one.snapshot_hash for one in files.snapshots if one.readable),
        learned=tuple(sorted(learned)),
        judged=tuple(sorted(judged)),
        champion=champion.model_version if champion and champion.model_version in learned | unclear else None,
        deleted=tuple(person_files.relative_name(path, settings) for path in files.damaged),
        unclear=tuple(sorted(unclear)),
    )


def _models(connection: Connection, snapshot_of: Mapping[str, str | None], snapshots: Collection[str]) -> set[str]:
    """The versions that were made from these training sets: those on disk, and those that a verdict names."""
    return verdict_log.challengers_on(connection, sorted(snapshots)) | {
        version for version, snapshot_hash in snapshot_of.items() if snapshot_hash in snapshots
    }


def _snapshots_of_models(settings: Settings) -> dict[str, str | None]:
    """The training set of every version on disk; None where its description cannot be read."""
    found: dict[str, str | None] = {}
    for version in sealed_folder.folders(settings.models_dir):
        try:
            found[version] = ModelInfo.read(settings.models_dir / version).snapshot_hash
        except ArtifactError:
            found[version] = None
    return found
