"""Tables of the gate's verdicts and of the release log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from restar_lib.domain import ReleaseKind
from restar_lib.store.tables.column_types import RELEASE_KIND, Base


class VerdictRow(Base):
    """The gate's answer about one challenger. Owned by `gate.verdict_log`."""

    __tablename__ = "verdict"
    __table_args__ = (
        CheckConstraint("not (passed and provisional)", name="provisional_is_not_passed"),
        UniqueConstraint("challenger", "champion", "snapshot_hash", "rules_hash", postgresql_nulls_not_distinct=True),
    )

    verdict_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    challenger: Mapped[str]
    champion: Mapped[str | None]
    snapshot_hash: Mapped[str] = mapped_column(ForeignKey("snapshot.snapshot_hash"))
    run_key: Mapped[str | None]
    """The Airflow run that judged last; null where a person ran the command."""
    rules_hash: Mapped[str]
    """Of the gate's configuration: with other floors the same challenger is judged again."""
    passed: Mapped[bool]
    provisional: Mapped[bool]
    """Under the floors, better than the majority class, and the configuration lets such a first model serve."""
    lines: Mapped[list[Any]]
    """Every check with its numbers."""
    rejected_by: Mapped[str | None]
    """The person who was asked last whether this challenger may serve, and said no."""
    rejected_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class VerdictReview(Base):
    """The test rows of a verdict: the gate counts how often a row was used before. Owned by `gate.verdict_log`."""

    __tablename__ = "verdict_review"
    __table_args__ = (Index("ix_verdict_review_review_id", "review_id"),)

    verdict_id: Mapped[int] = mapped_column(ForeignKey("verdict.verdict_id"), primary_key=True)
    review_id: Mapped[str] = mapped_column(ForeignKey("review.review_id"), primary_key=True)


class ReleaseRow(Base):
    """One change of the champion, append-only; the newest row is what serves. Owned by `artifacts.release_log`."""

    __tablename__ = "release"
    __table_args__ = (
        # The log is a chain: each row names the one before it, so two releases at once cannot both be appended.
        UniqueConstraint("previous_release_id", postgresql_nulls_not_distinct=True),
    )

    release_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    previous_release_id: Mapped[int | None] = mapped_column(ForeignKey("release.release_id"))
    model_version: Mapped[str]
    kind: Mapped[ReleaseKind] = mapped_column(RELEASE_KIND)
    provisional: Mapped[bool]
    released_by: Mapped[str]
    reason: Mapped[str]
    released_at: Mapped[datetime] = mapped_column(server_default=func.now())
