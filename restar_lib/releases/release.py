"""Releasing: a version becomes the champion, and everything that follows from it.

In this order: the model is verified, loaded and probed in this process; a row is committed to the release log, which
decides what the champion is; the pointer on disk is replaced; the serving API is asked until it answers with the new
version. A process killed between any two steps leaves one champion, and the same call again finishes the work; where
nobody calls again, the next scoring or housekeeping writes the pointer, which serving, without a database, follows. A
bad model is refused before anything is written; where the serving API refuses one, the champion before it is released
again (kind `return`).

It does not decide whether a model is good (`gate`) and trains nothing; the network and MLflow may be away. Called by
`orchestration`, the command line and the embedded runner.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from restar_lib.artifacts import pointer, sealed_folder
from restar_lib.artifacts.release_log import (
    ANY,
    LOCK,
    ChampionChange,
    Release,
    append,
    champion_folder,
    current,
    history,
    in_use,
    newest,
    predecessor,
    previous,
)
from restar_lib.domain import ReleaseKind
from restar_lib.errors import ArtifactError, ProbeFailed, ReleaseConflict
from restar_lib.gate.withdrawal import why_withdrawn
from restar_lib.releases import confirmation
from restar_lib.settings import Settings
from restar_lib.store.database import lock
from restar_lib.tracking import mlflow_log

__all__ = [
    "ANY",
    "Release",
    "champion_folder",
    "current",
    "following_champion_folder",
    "history",
    "in_use",
    "previous",
    "reconcile",
    "release",
    "roll_back",
]

log = logging.getLogger(__name__)


def release(
    engine: Engine,
    settings: Settings,
    *,
    version: str,
    by: str,
    reason: str,
    now: datetime,
    provisional: bool | None = None,
    kind: ReleaseKind = ReleaseKind.RELEASE,
    expected_previous: str | None = ANY,
    by_policy: bool = False,
) -> Release:
    """Make `version` the champion and wait until the serving API answers with it.

    Releasing what serves already adds nothing. `expected_previous` is the version that this one was judged against
    (None: there was none). By default it is `provisional` where its newest verdict did not pass. Raises
    `ArtifactError` or `ProbeFailed` before anything is written, `ReleaseConflict` where the champion has changed
    meanwhile, and `ProbeFailed` after returning to the old champion where serving refused. A withdrawn version is not
    released `by_policy` (`ReleaseConflict`); for a person it is, and the log says who had withdrawn it.
    """
    withdrawal = why_withdrawn(engine, version)
    _verify_or_return(engine, settings, version, now=now)
    change = ChampionChange(
        model_version=version,
        kind=kind,
        provisional=_is_provisional(engine, version) if provisional is None else provisional,
        released_by=by,
        reason=reason,
        released_at=now,
    )
    released = append(engine, change, expected_previous=expected_previous, by_policy=by_policy)
    if withdrawal and released.kind is ReleaseKind.RELEASE:
        log.warning("%s is released again although %s", version, withdrawal)
    log.info(
        "release %d: %s is the champion (%s by %s: %s)",
        released.release_id,
        version,
        released.kind,
        by,
        released.reason,
    )
    reconcile(engine, settings)
    _confirm(engine, settings, released, now=now)
    mlflow_log.set_champion_alias(settings, version)
    return released


def roll_back(engine: Engine, settings: Settings, *, by: str, reason: str, now: datetime) -> Release:
    """Release what the champion replaced. Raises `ReleaseConflict` where it replaced nothing.

    Needs no network and no training code. Each call goes back one version: a task that may be retried asks `previous`
    first and then calls `release` with `ReleaseKind.ROLL_BACK`.
    """
    log_rows = history(engine)
    target = predecessor(log_rows)
    if target is None:
        raise ReleaseConflict(
            "there is no earlier version to roll back to; `restar release VERSION` releases any sealed one"
        )
    return release(
        engine,
        settings,
        version=target.model_version,
        by=by,
        reason=reason,
        provisional=target.provisional,
        kind=ReleaseKind.ROLL_BACK,
        expected_previous=log_rows[-1].model_version,
        now=now,
    )


def reconcile(engine: Engine, settings: Settings) -> Release | None:
    """Write the pointer from the log where they differ; returns the champion. Safe at any time, also twice at once."""
    with engine.begin() as connection:
        # Under the lock of `append`: else an older release could write its pointer after a newer one did.
        lock(connection, LOCK)
        champion = newest(connection)
        if champion is not None and _read_or_none(settings.pointer_path) != _pointer_of(champion):
            pointer.write_pointer(settings.pointer_path, _pointer_of(champion))
            log.info("%s now says %s (release %d)", settings.pointer_path, champion.model_version, champion.release_id)
    return champion


def following_champion_folder(engine: Engine, settings: Settings) -> Path | None:
    """`champion_folder`, after the pointer was made to follow the log: what scores next is what serves.

    A release from the command line that was killed between the two left them apart. A pointer that cannot be written
    does not stop who asks; the log names it. Raises `ArtifactError` where the folder is gone.
    """
    try:
        reconcile(engine, settings)
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): serving does not follow the release log until `restar reconcile` succeeds",
            settings.pointer_path,
            error,
        )
    return champion_folder(engine, settings)


def _verify_or_return(engine: Engine, settings: Settings, version: str, *, now: datetime) -> None:
    """Verify the model. A bad one that is the champion already (a call was killed after its commit) is replaced."""
    try:
        _verify(settings, version)
    except (ArtifactError, ProbeFailed) as error:
        champion = current(engine)
        if champion is None or champion.model_version != version:
            raise
        said = f"the champion {version} (release {champion.release_id}) is unusable: {error}"
        raise type(error)(_return(engine, settings, champion, said=said, now=now)) from None


def _verify(settings: Settings, version: str) -> None:
    """Raise `ArtifactError` or `ProbeFailed` unless the sealed folder is whole and answers as recorded."""
    from restar_lib.artifacts.model_loading import load_verified

    load_verified(sealed_folder.locate(settings.models_dir, version), threads=settings.scoring.threads)


def _is_provisional(engine: Engine, version: str) -> bool:
    from restar_lib.gate.verdict_log import is_provisional

    return is_provisional(engine, version=version)


def _confirm(engine: Engine, settings: Settings, released: Release, *, now: datetime) -> None:
    if not settings.serving.url:
        return
    confirmed = confirmation.wait_until_serving(
        settings.serving.url, release_id=released.release_id, timeout_seconds=settings.release.swap_timeout_seconds
    )
    match confirmed.status:
        case confirmation.ConfirmationStatus.SERVING:
            log.info("release %d: the serving API answers with %s", released.release_id, released.model_version)
        case confirmation.ConfirmationStatus.SILENT:
            log.warning(
                "release %d: %s is champion, but the serving API at %s has not followed: %s; it will once it is up",
                released.release_id,
                released.model_version,
                settings.serving.url,
                confirmed.detail,
            )
        case confirmation.ConfirmationStatus.REFUSED:
            said = (
                f"the serving API refused {released.model_version} (release {released.release_id}): {confirmed.detail}"
            )
            raise ProbeFailed(_return(engine, settings, released, said=said, now=now))


def _return(engine: Engine, settings: Settings, refused: Release, *, said: str, now: datetime) -> str:
    """Go back to what served before `refused`; returns `said` and what came of it."""
    before = predecessor(history(engine))
    if before is None:
        return f"{said}; there is no earlier champion to return to"
    try:
        back = release(
            engine,
            settings,
            version=before.model_version,
            by="restar",
            reason=said,
            provisional=before.provisional,
            kind=ReleaseKind.RETURN,
            expected_previous=refused.model_version,
            now=now,
        )
    except (ReleaseConflict, ArtifactError, ProbeFailed) as error:
        return f"{said}; the return to {before.model_version} did not succeed: {error}"
    return f"{said}; returned to {back.model_version} (release {back.release_id})"


def _pointer_of(row: Release) -> pointer.Pointer:
    return pointer.Pointer(
        release_id=row.release_id,
        model_version=row.model_version,
        folder=f"models/{row.model_version}",
        provisional=row.provisional,
        released_at=row.released_at,
    )


def _read_or_none(path: Path) -> pointer.Pointer | None:
    try:
        return pointer.read_pointer(path)
    except ArtifactError:
        return None  # the file is about to be replaced
