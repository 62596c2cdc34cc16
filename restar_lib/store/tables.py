"""All tables of Re*Star's database, typed.

Declares columns, keys, checks and indexes; holds no statement (those stand in the module that owns the table) and no
engine. A test holds the migrations against this file and the enums here against Postgres' own.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from restar_lib.domain import (
    ForgottenKind,
    LabelSource,
    QuarantineReason,
    Reason,
    ReleaseKind,
    Sentiment,
    Side,
    TaskStatus,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def pg_enum(kind: type[StrEnum], name: str) -> Enum:
    """A Postgres enum type whose labels are the values of `kind`."""
    return Enum(kind, name=name, values_callable=lambda members: [member.value for member in members])


SENTIMENT = pg_enum(Sentiment, "sentiment")
SIDE = pg_enum(Side, "side")
REASON = pg_enum(Reason, "reason")
TASK_STATUS = pg_enum(TaskStatus, "task_status")
LABEL_SOURCE = pg_enum(LabelSource, "label_source")
QUARANTINE_REASON = pg_enum(QuarantineReason, "quarantine_reason")
RELEASE_KIND = pg_enum(ReleaseKind, "release_kind")
FORGOTTEN_KIND = pg_enum(ForgottenKind, "forgotten_kind")

Moment = DateTime(timezone=True)


class Base(DeclarativeBase):
    """Root of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime: Moment, str: Text, dict[str, Any]: JSONB, list[Any]: JSONB}


class IngestRun(Base):
    """One run of ingest: how every row that it read ended. Owned by `ingest.load`."""

    __tablename__ = "ingest_run"
    __table_args__ = (
        CheckConstraint("rows_read = new + already_known + duplicate_text + quarantined", name="counts_add_up"),
    )

    ingest_run_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str]
    run_key: Mapped[str]
    """Who asked: an Airflow run id, or `cli`."""
    window_start: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    rows_read: Mapped[int] = mapped_column(BigInteger, server_default="0")
    new: Mapped[int] = mapped_column(BigInteger, server_default="0")
    already_known: Mapped[int] = mapped_column(BigInteger, server_default="0")
    duplicate_text: Mapped[int] = mapped_column(BigInteger, server_default="0")
    quarantined: Mapped[int] = mapped_column(BigInteger, server_default="0")
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    scored_at: Mapped[datetime | None]
    """When every original that it stored had been read by a model: scoring looks at no such run again."""


class SourceCursor(Base):
    """How far a source is read; committed with the rows. Owned by `ingest.load`."""

    __tablename__ = "source_cursor"

    source: Mapped[str] = mapped_column(primary_key=True)
    cursor: Mapped[dict[str, Any]]
    rows_read: Mapped[int] = mapped_column(BigInteger, server_default="0")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ReviewRow(Base):
    """One review. Owned by `ingest.load`."""

    __tablename__ = "review"
    __table_args__ = (
        CheckConstraint("rating between 1 and 5", name="rating_range"),
        # One original per text; its copies point at it.
        Index("uq_review_text_hash_original", "text_hash", unique=True, postgresql_where=text("duplicate_of is null")),
        Index("ix_review_side_reviewed_at", "side", "reviewed_at", postgresql_where=text("duplicate_of is null")),
        # The nightly turn must not grow with the table. Scoring walks the new runs, in the order of ids ...
        Index("ix_review_ingest_run_id", "ingest_run_id", "review_id", postgresql_where=text("duplicate_of is null")),
        # ... the watch walks back from the newest review, and a training set counts its classes.
        Index("ix_review_newest", text("reviewed_at desc"), "review_id", postgresql_where=text("duplicate_of is null")),
        Index("ix_review_duplicate_of", "duplicate_of", postgresql_where=text("duplicate_of is not null")),
        Index("ix_review_side_rating", "side", "rating", postgresql_where=text("duplicate_of is null")),
    )

    review_id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    text: Mapped[str]
    title: Mapped[str | None]
    rating: Mapped[int | None] = mapped_column(SmallInteger)
    asin: Mapped[str | None]
    parent_asin: Mapped[str | None]
    product_category: Mapped[str | None]
    user_id: Mapped[str | None]
    reviewed_at: Mapped[datetime]
    words: Mapped[int]
    text_hash: Mapped[str]
    side: Mapped[Side] = mapped_column(SIDE)
    """Decided at ingest, for good, by a keyed hash of the normalised text."""
    duplicate_of: Mapped[str | None] = mapped_column(ForeignKey("review.review_id"))
    """The review that had this text first; copies are kept, but never scored, asked about or trained on."""
    ingest_run_id: Mapped[int] = mapped_column(ForeignKey("ingest_run.ingest_run_id"))
    ingested_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Quarantine(Base):
    """A row that was not taken, with the reason. Owned by `ingest.load`."""

    __tablename__ = "quarantine"

    row_hash: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 (hex) of source name and raw row."""
    source: Mapped[str]
    reason: Mapped[QuarantineReason] = mapped_column(QUARANTINE_REASON)
    detail: Mapped[str]
    raw: Mapped[str]
    ingest_run_id: Mapped[int] = mapped_column(ForeignKey("ingest_run.ingest_run_id"))
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PredictionRow(Base):
    """One model version's calibrated probabilities for one review. Owned by `scoring.batch`."""

    __tablename__ = "prediction"
    __table_args__ = (Index("ix_prediction_model_version_scored_at", "model_version", "scored_at"),)

    review_id: Mapped[str] = mapped_column(ForeignKey("review.review_id"), primary_key=True)
    model_version: Mapped[str] = mapped_column(primary_key=True)
    p_negative: Mapped[float]
    p_neutral: Mapped[float]
    p_positive: Mapped[float]
    sentiment: Mapped[Sentiment] = mapped_column(SENTIMENT)
    confidence: Mapped[float]
    abstained: Mapped[bool]
    scored_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LabelTask(Base):
    """One review in the labeling queue. Owned by `labeling.queue`.

    open: nobody has it. claimed: `claimed_by` holds a lease until `lease_expires_at` under `claim_token`.
    done: enough labels, `consensus` is set. merged: that consensus is in a snapshot, no undo any more.
    """

    __tablename__ = "label_task"
    __table_args__ = (
        CheckConstraint("inclusion_probability > 0 and inclusion_probability <= 1", name="inclusion_probability_range"),
        CheckConstraint("cardinality(reasons) > 0", name="has_a_reason"),
        CheckConstraint(
            "num_nonnulls(claimed_by, claimed_at, lease_expires_at) = case status when 'claimed' then 3 else 0 end",
            name="claimed_has_a_lease",
        ),
        CheckConstraint("(status in ('done', 'merged')) = (consensus is not null)", name="done_has_a_consensus"),
        CheckConstraint("(status = 'merged') = (merged_at is not null)", name="merged_has_a_time"),
        Index("ix_label_task_open", text("priority desc"), "task_id", postgresql_where=text("status = 'open'")),
        Index("ix_label_task_claimed", "lease_expires_at", postgresql_where=text("status = 'claimed'")),
        Index("ix_label_task_done", "task_id", postgresql_where=text("status = 'done'")),
    )

    task_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    review_id: Mapped[str] = mapped_column(ForeignKey("review.review_id"), unique=True)
    status: Mapped[TaskStatus] = mapped_column(TASK_STATUS, server_default="open")
    reasons: Mapped[list[Reason]] = mapped_column(ARRAY(REASON))
    priority: Mapped[float]
    """Higher is asked first: the model's uncertainty in [0, 1], audits and feedback above it."""
    inclusion_probability: Mapped[float]
    """Probability with which this review came into the queue: 1 where its uncertainty decided, else the audit rate."""
    audit_rate: Mapped[float | None]
    """The audit rate in force when it was drawn; null where it was not drawn as an audit."""
    model_version: Mapped[str | None]
    """Whose prediction put it here, or whose training where stars are doubted."""
    claimed_by: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    claim_token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Fencing token: grows with every claim; a submit under an older one is refused."""
    lease_expires_at: Mapped[datetime | None]
    consensus: Mapped[Sentiment | None] = mapped_column(SENTIMENT)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]
    merged_at: Mapped[datetime | None]


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
    labeled_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LabelSkip(Base):
    """A labeler passed on a task and is not asked again. Owned by `labeling.queue`."""

    __tablename__ = "label_skip"

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
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    rewritten_as: Mapped[str | None] = mapped_column(ForeignKey("snapshot.snapshot_hash"))
    """The snapshot that holds the rows that are left, where people in this one were forgotten: its files are gone."""


class SnapshotLabel(Base):
    """Which finished tasks are in a snapshot. Owned by `dataset.snapshot`."""

    __tablename__ = "snapshot_label"

    snapshot_hash: Mapped[str] = mapped_column(ForeignKey("snapshot.snapshot_hash"), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("label_task.task_id"), primary_key=True)


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
    """Who asked last: an Airflow run id; null where a person asked by hand."""
    rules_hash: Mapped[str]
    """Of the gate's configuration: with other floors the same question is asked anew."""
    passed: Mapped[bool]
    provisional: Mapped[bool]
    """Under the floors, better than the majority class, and the configuration lets such a first model serve."""
    lines: Mapped[list[Any]]
    """Every check with its numbers."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class VerdictReview(Base):
    """The gate rows of a verdict: how often a row has judged before is counted here. Owned by `gate.verdict_log`."""

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


class DriftReportRow(Base):
    """One look at the newest window. Owned by `monitoring.watch`."""

    __tablename__ = "drift_report"

    drift_report_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_key: Mapped[str] = mapped_column(unique=True)
    """Who asked (an Airflow run id): asking again for the same run finds the same report."""
    model_version: Mapped[str]
    window_rows: Mapped[int]
    window_start: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    enough_rows: Mapped[bool]
    findings: Mapped[dict[str, Any]]
    report_file: Mapped[str | None]
    """Path below the reports folder."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class IncidentRow(Base):
    """An uninterrupted series of looks that found the same kind of trouble. Owned by `monitoring.alerts.incidents`.

    open: `closed_at` is null, at most one of a kind. closed: a look that could judge found nothing any more, or the
    model that it was about does not serve any more.
    """

    __tablename__ = "incident"
    __table_args__ = (Index("uq_incident_open_kind", "kind", unique=True, postgresql_where=text("closed_at is null")),)

    incident_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    model_version: Mapped[str | None]
    """The champion that it is about; null where it is about no model."""
    opened_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    times_seen: Mapped[int] = mapped_column(server_default="1")
    """Looks that found it."""
    told_at: Mapped[datetime]
    """When people were last told: at the opening, then by reminders."""
    closed_at: Mapped[datetime | None]
    retrain_asked_at: Mapped[datetime | None]
    retrain_asked_by: Mapped[str | None]
    """The run that asked last, so that the same run may ask again after it was killed."""


class AlertRow(Base):
    """Something that people are told: an incident opened, goes on, or ended. Owned by `monitoring.alerts.alert_log`."""

    __tablename__ = "alert"

    alert_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    alert_key: Mapped[str] = mapped_column(unique=True)
    """What makes raising it twice harmless, for example `drift:12:opened`."""
    kind: Mapped[str]
    stage: Mapped[str] = mapped_column(server_default="opened")
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incident.incident_id"))
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]
    report_file: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AlertDelivery(Base):
    """One alert's way over one channel, which it goes once. Owned by `monitoring.alerts.deliveries`."""

    __tablename__ = "alert_delivery"
    __table_args__ = (Index("ix_alert_delivery_waiting", "alert_id", postgresql_where=text("delivered_at is null")),)

    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.alert_id", ondelete="CASCADE"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    delivered_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    last_problem: Mapped[str | None]
    """Why the newest attempt failed."""


class Forgotten(Base):
    """A tombstone: what may not come back. Owned by `ingest.tombstones`."""

    __tablename__ = "forgotten"

    kind: Mapped[ForgottenKind] = mapped_column(FORGOTTEN_KIND, primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    """Keyed hash of a user id, a review id or a row: who was forgotten is not written anywhere."""
    key_check: Mapped[str]
    """Tells whether the key at hand is the one that this was made with."""
    forgotten_at: Mapped[datetime]


class ForgottenPerson(Base):
    """Somebody who was forgotten, by keyed hash, and what had seen their reviews. Owned by `privacy.forget`."""

    __tablename__ = "forgotten_person"

    user_key: Mapped[str] = mapped_column(primary_key=True)
    first_asked_at: Mapped[datetime]
    last_asked_at: Mapped[datetime]
    snapshots: Mapped[list[Any]]
    """Hashes of the training sets that held a review of theirs: models that name one of them have seen it."""
