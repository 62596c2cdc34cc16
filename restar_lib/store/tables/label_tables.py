"""Tables of the labeling queue and of the training sets that are made from it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from restar_lib.domain import LabelSource, Reason, Sentiment, SetAside, TaskStatus
from restar_lib.store.tables.column_types import (
    LABEL_SOURCE,
    REASON,
    SENTIMENT,
    SET_ASIDE,
    TASK_STATUS,
    Base,
)


class LabelTask(Base):
    """One review in the labeling queue. Owned by `labeling.queue`.

    open: nobody holds it; `claimed_by` is who let the lease end, if anybody, whose late answer counts until the next
    claim. claimed: `claimed_by` holds a lease until `lease_expires_at` under `claim_token`.
    done: enough labels, `consensus` is set. merged: that consensus is in a snapshot, no undo any more.
    """

    __tablename__ = "label_task"
    __table_args__ = (
        CheckConstraint("inclusion_probability > 0 and inclusion_probability <= 1", name="inclusion_probability_range"),
        CheckConstraint("cardinality(reasons) > 0", name="has_a_reason"),
        CheckConstraint(
            "(lease_expires_at is not null) = (status = 'claimed') and (claimed_by is null) = (claimed_at is null) "
            "and (status = 'open' or (claimed_by is not null) = (status = 'claimed'))",
            name="claimed_has_a_lease",
        ),
        CheckConstraint("(status in ('done', 'merged')) = (consensus is not null)", name="done_has_a_consensus"),
        CheckConstraint("(status = 'merged') = (merged_at is not null)", name="merged_has_a_time"),
        CheckConstraint("set_aside is null or status in ('open', 'claimed')", name="set_aside_is_not_done"),
        Index("ix_label_task_open", text("priority desc"), "task_id", postgresql_where=text("status = 'open'")),
        Index("ix_label_task_open_since", "created_at", postgresql_where=text("status = 'open' and set_aside is null")),
        Index(
            "ix_label_task_set_aside",
            *("set_aside", "task_id"),
            postgresql_where=text("status = 'open' and set_aside is not null"),
        ),
        Index("ix_label_task_claimed", "lease_expires_at", postgresql_where=text("status = 'claimed'")),
        Index("ix_label_task_done", "task_id", postgresql_where=text("status = 'done'")),
        Index("ix_label_task_merged_at", "merged_at", postgresql_where=text("status = 'merged'")),
    )

    task_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    review_id: Mapped[str] = mapped_column(ForeignKey("review.review_id"), unique=True)
    status: Mapped[TaskStatus] = mapped_column(TASK_STATUS, server_default="open")
    reasons: Mapped[list[Reason]] = mapped_column(ARRAY(REASON))
    priority: Mapped[float]
    """Higher is labeled first: the model's uncertainty in [0, 1], audits and feedback above it, then skipped audits."""
    inclusion_probability: Mapped[float]
    """Probability with which this review came into the queue: 1 where its uncertainty decided, else the audit rate."""
    audit_rate: Mapped[float | None]
    """The audit rate in force when it was drawn; null where it was not drawn as an audit."""
    model_version: Mapped[str | None]
    """The version whose prediction queued it, or whose training where stars are doubted."""
    claimed_by: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    claim_token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Fencing token: grows with every claim; a submit under an older one is refused."""
    lease_expires_at: Mapped[datetime | None]
    set_aside: Mapped[SetAside | None] = mapped_column(SET_ASIDE)
    """What it waits for where nobody new can be asked; kept by `labeling.set_aside`, and while somebody reads it."""
    consensus: Mapped[Sentiment | None] = mapped_column(SENTIMENT)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]
    merged_at: Mapped[datetime | None]


class LabelTaskTotal(Base):
    """How many tasks there are, and how many of them are merged: the sum of all rows. Read by `labeling.queue`.

    Triggers on `label_task` append a row wherever a statement adds, deletes or merges tasks.
    """

    __tablename__ = "label_task_total"

    total_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tasks: Mapped[int] = mapped_column(BigInteger)
    merged: Mapped[int] = mapped_column(BigInteger)


class Label(Base):
    """One person's answer to one task. Owned by `labeling.queue`."""

    __tablename__ = "label"
    __table_args__ = (
        UniqueConstraint("task_id", "labeler"),
        Index("ix_label_labeler_labeled_at", "labeler", "labeled_at"),
    )

    label_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("label_task.task_id"))
    labeler: Mapped[str]
    sentiment: Mapped[Sentiment] = mapped_column(SENTIMENT)
    source: Mapped[LabelSource] = mapped_column(LABEL_SOURCE)
    seconds: Mapped[float | None]
    """From claim to submit."""
    looks: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    """How often this person has answered it: 2 after a second look, which replaces the first answer."""
    labeled_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LabelSkip(Base):
    """A labeler skipped a task and does not get it again. Owned by `labeling.queue`."""

    __tablename__ = "label_skip"
    __table_args__ = (Index("ix_label_skip_labeler_skipped_at", "labeler", "skipped_at"),)

    task_id: Mapped[int] = mapped_column(ForeignKey("label_task.task_id"), primary_key=True)
    labeler: Mapped[str] = mapped_column(primary_key=True)
    skipped_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SnapshotRow(Base):
    """An immutable training set; its rows are in the folder `snapshots/<hash>`. Owned by `dataset.snapshot`."""

    __tablename__ = "snapshot"

    snapshot_hash: Mapped[str] = mapped_column(primary_key=True)
    train_rows: Mapped[int]
    validation_rows: Mapped[int]
    test_rows: Mapped[int]
    people_rows: Mapped[int]
    labels_until: Mapped[datetime | None]
    """Labels that were merged up to this moment were looked at when it was frozen last; null where there were none."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    rewritten_as: Mapped[str | None] = mapped_column(ForeignKey("snapshot.snapshot_hash"))
    """The snapshot with the remaining rows, where people in this one were erased: its own files are deleted."""


class SnapshotLabel(Base):
    """Which finished tasks are in a snapshot. Owned by `dataset.snapshot`."""

    __tablename__ = "snapshot_label"

    snapshot_hash: Mapped[str] = mapped_column(ForeignKey("snapshot.snapshot_hash"), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("label_task.task_id"), primary_key=True)
