"""The release log: table `release`, append-only, and what can be read from it.

Each row names the one before it, and the newest is the champion. It reads the table and appends a row under a lock; it
loads no model, writes no pointer and does not decide what is released (`releases.release` does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, insert, select

from restar_lib.artifacts import sealed_folder
from restar_lib.domain import ReleaseKind
from restar_lib.errors import ReleaseConflict
from restar_lib.settings import Settings
from restar_lib.store.database import lock
from restar_lib.store.tables import ReleaseRow

LOCK: Final = "release"
DELETION_LOCK: Final = "delete versions and snapshots"
"""Who deletes the folder of a version or of a snapshot holds it; who needs all of them to stay shares it.

Where both are needed, it is taken before `LOCK`."""
ANY: Final = "any"
"""`expected_previous`: whatever serves may be replaced (a person said so)."""


@dataclass(frozen=True, kw_only=True)
class ChampionChange:
    """A change of the champion that is wanted."""

    model_version: str
    kind: ReleaseKind
    provisional: bool
    released_by: str
    reason: str
    released_at: datetime


@dataclass(frozen=True, kw_only=True)
class Release(ChampionChange):
    """A change of the champion that happened: one row of the log."""

    release_id: int
    previous_release_id: int | None


def current(engine: Engine) -> Release | None:
    """The champion; None before the first release."""
    with engine.connect() as connection:
        return newest(connection)


def history(engine: Engine) -> tuple[Release, ...]:
    """The whole log, oldest first."""
    with engine.connect() as connection:
        return _all_rows(connection)


def champion_folder(engine: Engine, settings: Settings) -> Path | None:
    """The sealed folder of what serves; None before the first release. Raises `ArtifactError` where it is gone."""
    champion = current(engine)
    return None if champion is None else sealed_folder.locate(settings.models_dir, champion.model_version)


def line_of_succession(log_rows: Sequence[Release]) -> tuple[Release, ...]:
    """What a roll back can go back through: the champion last, before it what it replaced, and so on.

    A release is appended to the line; a roll back or a return first removes its own version and all after it. So
    rolling back twice goes back two versions, and never to one that was rolled back from or refused.
    """
    return tuple(_walk(log_rows)[0])


def withdrawals(log_rows: Sequence[Release]) -> dict[str, Release]:
    """By version that was rolled back from, or that serving refused, the row of the log that took it out of service.

    A version that somebody has released again since is not among them.
    """
    line, taken_out = _walk(log_rows)
    in_line = {row.model_version for row in line}
    return {version: row for version, row in taken_out.items() if version not in in_line}


def _walk(log_rows: Sequence[Release]) -> tuple[list[Release], dict[str, Release]]:
    """The line of succession, and by version the last row that took it out of the line."""
    line: list[Release] = []
    taken_out: dict[str, Release] = {}
    for row in log_rows:
        versions = [earlier.model_version for earlier in line]
        if row.kind is not ReleaseKind.RELEASE and row.model_version in versions:
            begin = len(versions) - 1 - versions[::-1].index(row.model_version)
            taken_out |= dict.fromkeys(versions[begin:], row)
            del line[begin:]
        line.append(row)
    return line, taken_out


def predecessor(log_rows: Sequence[Release]) -> Release | None:
    """What the champion replaced, where that was another version."""
    line = line_of_succession(log_rows)
    return next((row for row in reversed(line) if row.model_version != line[-1].model_version), None)


def previous(engine: Engine) -> Release | None:
    """The release that a roll back would go back to; None where there is none."""
    return predecessor(history(engine))


def in_use(engine: Engine) -> frozenset[str]:
    """The versions that must stay on disk: the champion and the one that a roll back goes to."""
    rows = history(engine)
    return frozenset(row.model_version for row in (*rows[-1:], predecessor(rows)) if row is not None)


def withdrawn(engine: Engine) -> frozenset[str]:
    """The versions that were rolled back from, or that serving refused, and that nobody has released again since."""
    return frozenset(withdrawals(history(engine)))


def append(
    engine: Engine, change: ChampionChange, *, expected_previous: str | None, by_policy: bool = False
) -> Release:
    """Commit `change` as the newest row; where its version is the champion already, return that row unchanged.

    Raises `ReleaseConflict` where the champion is not `expected_previous` (None: no champion, `ANY`: whatever it is),
    and where a withdrawn version would be released `by_policy`: only a person may take back what a person decided.
    """
    with engine.begin() as connection:
        lock(connection, LOCK)
        before = newest(connection)
        if before is not None and before.model_version == change.model_version:
            return before
        _refuse_unexpected(before, expected_previous, change.model_version)
        if by_policy:
            _refuse_withdrawn(connection, change.model_version)
        values = {name: getattr(change, name) for name in ChampionChange.__dataclass_fields__}
        values["previous_release_id"] = None if before is None else before.release_id
        return _release(connection.execute(insert(ReleaseRow).values(values).returning(*_COLUMNS)).one())


def newest(connection: Connection) -> Release | None:
    """The end of the chain; release ids grow along it, because appending is serialised."""
    row = connection.execute(select(*_COLUMNS).order_by(ReleaseRow.release_id.desc()).limit(1)).one_or_none()
    return None if row is None else _release(row)


_COLUMNS = tuple(ReleaseRow.__table__.columns[name] for name in Release.__dataclass_fields__)


def _release(row: Row[Any]) -> Release:
    return Release(**row._asdict())


def _all_rows(connection: Connection) -> tuple[Release, ...]:
    return tuple(_release(row) for row in connection.execute(select(*_COLUMNS).order_by(ReleaseRow.release_id)))


def _refuse_withdrawn(connection: Connection, version: str) -> None:
    taken_out = withdrawals(_all_rows(connection)).get(version)
    if taken_out is not None:
        raise ReleaseConflict(
            f"{version} is not released by policy: {withdrawal_in_words(version, taken_out)}. A person may release it "
            "again: DAG `release`, or `restar release`"
        )


def withdrawal_in_words(version: str, taken_out: Release) -> str:
    """When, by whom and why a version was taken out of service."""
    when = f"{taken_out.released_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if taken_out.kind is ReleaseKind.ROLL_BACK:
        return f"{taken_out.released_by} rolled back from {version} on {when}: {taken_out.reason}"
    return f"{version} was taken out of service on {when}: {taken_out.reason}"


def _refuse_unexpected(before: Release | None, expected: str | None, version: str) -> None:
    serving = None if before is None else before.model_version
    if expected not in {ANY, serving}:
        raise ReleaseConflict(
            f"{version} was to replace {expected or 'nothing'}, but {serving or 'nothing'} serves now; "
            "look at the release log and ask again"
        )
