"""Verdicts in the database: one for each `VerdictKey`, and the test rows that each has used.

Owns tables `verdict` and `verdict_review`; judges nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from restar_lib.gate.verdict import Verdict, VerdictLine
from restar_lib.settings import GateSettings
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import ReviewRow, SnapshotRow, VerdictReview, VerdictRow


@dataclass(frozen=True, kw_only=True)
class VerdictKey:
    """What a verdict answers: a challenger against a champion, on certain rows, by certain rules."""

    challenger: str
    champion: str | None
    snapshot_hash: str
    rules_hash: str


RULES: Final = 3
"""Raise it when the same figures are judged differently, so that earlier verdicts are not reused."""


def rules_hash(rules: GateSettings, *, cases_hash: str) -> str:
    """The first 16 hex digits of the SHA-256 of what decides: configuration, behaviour cases, the gate's own rules."""
    content = f"{RULES} {cases_hash} {rules.model_dump_json()}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def find(engine: Engine, key: VerdictKey) -> Verdict | None:
    """The verdict with exactly this key; None where there is none yet."""
    statement = select(*_COLUMNS).where(
        VerdictRow.challenger == key.challenger,
        VerdictRow.champion.is_not_distinct_from(key.champion),
        VerdictRow.snapshot_hash == key.snapshot_hash,
        VerdictRow.rules_hash == key.rules_hash,
    )
    with engine.connect() as connection:
        return _verdict(connection.execute(statement).one_or_none())


def newest(engine: Engine, *, limit: int, challenger: str | None = None) -> tuple[Verdict, ...]:
    """The newest verdicts first, of all versions or of one."""
    statement = select(*_COLUMNS).order_by(VerdictRow.verdict_id.desc()).limit(limit)
    if challenger is not None:
        statement = statement.where(VerdictRow.challenger == challenger)
    with engine.connect() as connection:
        found = (_verdict(row) for row in connection.execute(statement))
        return tuple(verdict for verdict in found if verdict is not None)


def verdict_of(engine: Engine, *, run_key: str) -> Verdict | None:
    """The newest verdict that the run `run_key` asked for last; None where it asked for none."""
    statement = select(*_COLUMNS).where(VerdictRow.run_key == run_key).order_by(VerdictRow.verdict_id.desc()).limit(1)
    with engine.connect() as connection:
        return _verdict(connection.execute(statement).one_or_none())


def latest_verdict(engine: Engine, *, challenger: str) -> Verdict | None:
    """The newest verdict on a version; None where it was never judged."""
    statement = select(*_COLUMNS).where(VerdictRow.challenger == challenger)
    with engine.connect() as connection:
        return _verdict(connection.execute(statement.order_by(VerdictRow.verdict_id.desc()).limit(1)).one_or_none())


@dataclass(frozen=True, kw_only=True)
class RejectedRelease:
    """A person was asked whether a challenger may serve, and said no."""

    challenger: str
    verdict_id: int
    rejected_by: str
    rejected_at: datetime


def reject(engine: Engine, *, verdict_id: int, by: str, now: datetime) -> None:
    """Keep it that a person rejected the challenger of this verdict."""
    statement = update(VerdictRow).where(VerdictRow.verdict_id == verdict_id).values(rejected_by=by, rejected_at=now)
    with engine.begin() as connection:
        connection.execute(statement)


def last_rejection(engine: Engine, *, challenger: str) -> RejectedRelease | None:
    """The newest rejection of a version by a person; None where there is none."""
    statement = (
        select(*(getattr(VerdictRow, name) for name in RejectedRelease.__dataclass_fields__))
        .where(VerdictRow.challenger == challenger, VerdictRow.rejected_at.is_not(None))
        .order_by(VerdictRow.rejected_at.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else RejectedRelease(**row._asdict())


def newest_on(engine: Engine, snapshot_hash: str, *, rules_hash: str) -> Verdict | None:
    """The newest verdict by these rules on a snapshot, whatever the challenger; None where there is none."""
    statement = select(*_COLUMNS).where(VerdictRow.snapshot_hash == snapshot_hash, VerdictRow.rules_hash == rules_hash)
    with engine.connect() as connection:
        return _verdict(connection.execute(statement.order_by(VerdictRow.verdict_id.desc()).limit(1)).one_or_none())


def last_challenger_on(engine: Engine, snapshot_hash: str) -> str | None:
    """The version that was judged last on this snapshot; None where none was."""
    statement = select(VerdictRow.challenger).where(VerdictRow.snapshot_hash == snapshot_hash)
    with engine.connect() as connection:
        return connection.scalar(statement.order_by(VerdictRow.verdict_id.desc()).limit(1))


def is_provisional(engine: Engine, *, version: str) -> bool:
    """Whether a version that is released now must be marked: unless its newest verdict passed it, it must."""
    verdict = latest_verdict(engine, challenger=version)
    return verdict is None or not verdict.passed


def last_judged_at(connection: Connection) -> datetime | None:
    """When the newest challenger was judged; None where none was."""
    return connection.execute(select(func.max(VerdictRow.created_at))).scalar_one()


def labels_judged_until(connection: Connection) -> datetime | None:
    """Labels merged up to this moment were looked at for a snapshot that was judged; None where there is none."""
    judged = exists().where(VerdictRow.snapshot_hash == SnapshotRow.snapshot_hash)
    return connection.execute(select(func.max(SnapshotRow.labels_until)).where(judged)).scalar_one()


def times_used(engine: Engine, review_ids: Sequence[str], *, but: Verdict | None = None) -> int:
    """How many verdicts rest on at least half of these rows; `but` is one that is about to be replaced."""
    used = (
        select(VerdictReview.verdict_id)
        .where(one_of(VerdictReview.review_id, review_ids), VerdictReview.verdict_id != (but.verdict_id if but else 0))
        .group_by(VerdictReview.verdict_id)
        .having(func.count() * 2 >= len(review_ids))
    )
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(used.subquery())).scalar_one()


def assign_to_run(engine: Engine, verdict: Verdict, *, run_key: str | None) -> Verdict:
    """The stored verdict, now with `run_key` as the run that asked for it last."""
    if run_key is None or run_key == verdict.run_key:
        return verdict
    with engine.begin() as connection:
        statement = update(VerdictRow).where(VerdictRow.verdict_id == verdict.verdict_id).values(run_key=run_key)
        connection.execute(statement)
    return replace(verdict, run_key=run_key)


def record(
    engine: Engine,
    key: VerdictKey,
    *,
    run_key: str | None,
    lines: Sequence[VerdictLine],
    provisional: bool,
    review_ids: Sequence[str],
    instead_of: Verdict | None = None,
) -> Verdict:
    """Store a verdict with its rows, in one commit; if another process was first with the same key, its verdict stays.

    `instead_of` is the momentary refusal whose row it replaces.
    """
    answer = {
        "run_key": run_key,
        "passed": all(line.passed for line in lines),
        "provisional": provisional,
        "lines": [line.to_dict() for line in lines],
    }
    with engine.begin() as connection:
        statement = (
            insert(VerdictRow).values({**asdict(key), **answer}).on_conflict_do_nothing()
            if instead_of is None
            else update(VerdictRow)
            .values({**answer, "created_at": func.now()})
            .where(VerdictRow.verdict_id == instead_of.verdict_id, VerdictRow.created_at == instead_of.created_at)
        )
        made = connection.execute(statement.returning(VerdictRow.verdict_id)).scalar_one_or_none()
        if made is not None:
            # From the reviews that are there: one may have been erased since its snapshot was frozen.
            used = select(literal(made), ReviewRow.review_id).where(one_of(ReviewRow.review_id, review_ids))
            added = insert(VerdictReview).from_select(["verdict_id", "review_id"], used)
            connection.execute(added.on_conflict_do_nothing())
    found = find(engine, key)
    if found is None:
        raise LookupError(f"the verdict on {key.challenger} was stored and is gone")
    return found


_COLUMNS = tuple(VerdictRow.__table__.columns[name] for name in Verdict.__dataclass_fields__)


def forget_reviews(connection: Connection, review_ids: Sequence[str]) -> None:
    """Take these reviews from the rows that verdicts were given on; the verdicts and their numbers stay."""
    gone = one_of(VerdictReview.review_id, review_ids)
    connection.execute(delete(VerdictReview).where(gone))


def challengers_on(connection: Connection, snapshot_hashes: Sequence[str]) -> set[str]:
    """The versions that were judged on these snapshots, those included that are long deleted."""
    judged_on = one_of(VerdictRow.snapshot_hash, snapshot_hashes)
    return set(connection.scalars(select(VerdictRow.challenger).where(judged_on)))


def _verdict(row: Row[Any] | None) -> Verdict | None:
    if row is None:
        return None
    lines = tuple(VerdictLine.from_dict(line) for line in row.lines)
    return Verdict(**{**row._asdict(), "lines": lines})
