"""Tables of ingest (its runs, the cursors of sources, reviews, quarantined rows) and of the predictions for reviews."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from restar_lib.domain import AbstainReason, QuarantineReason, Sentiment, Side
from restar_lib.store.tables.column_types import ABSTAIN_REASON, QUARANTINE_REASON, SENTIMENT, SIDE, Base


class IngestRun(Base):
    """One run of ingest: how every row that it read ended. Owned by `ingest.load`."""

    __tablename__ = "ingest_run"
    __table_args__ = (
        CheckConstraint(
            "rows_read = new + edited + already_known + duplicate_text + quarantined", name="counts_add_up"
        ),
    )

    ingest_run_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str]
    run_key: Mapped[str]
    """Who asked: an Airflow run id, or `cli`."""
    window_start: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    rows_read: Mapped[int] = mapped_column(BigInteger, server_default="0")
    new: Mapped[int] = mapped_column(BigInteger, server_default="0")
    edited: Mapped[int] = mapped_column(BigInteger, server_default="0")
    already_known: Mapped[int] = mapped_column(BigInteger, server_default="0")
    duplicate_text: Mapped[int] = mapped_column(BigInteger, server_default="0")
    quarantined: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reasons: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Quarantined rows by reason; empty for runs of earlier versions."""
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    scored_at: Mapped[datetime | None]
    """When a model had scored every original that it stored: scoring reads no such run again."""


class SourceCursor(Base):
    """How far a source is read; committed with the rows. Owned by `ingest.source_progress`."""

    __tablename__ = "source_cursor"

    source: Mapped[str] = mapped_column(primary_key=True)
    cursor: Mapped[dict[str, Any] | None]
    """What the source itself says, without its files; null where it was read by windows alone."""
    version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Grows with every chunk: a run that read ahead sees whether another one has stored meanwhile."""
    rows_read: Mapped[int] = mapped_column(BigInteger, server_default="0")
    windows_until: Mapped[datetime | None]
    """Up to when the windows of scheduled runs are read (`source.by: window`): there the next one begins."""
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SourceFile(Base):
    """How far one file of a source is read; committed with the rows. Owned by `ingest.source_progress`."""

    __tablename__ = "source_file"

    source: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    """Below the folder or glob of the source."""
    state: Mapped[dict[str, Any]]


class ReviewRow(Base):
    """One review. Owned by `ingest.load`.

    A source names a review by its own id. Where that id is free here it is the `review_id` as well; else another source
    has it, or it stands before another text, and the id in the source is in `id_in_source`.
    """

    __tablename__ = "review"
    __table_args__ = (
        CheckConstraint("rating between 1 and 5", name="rating_range"),
        # One original per text; its copies point at it.
        Index("uq_review_text_hash_original", "text_hash", unique=True, postgresql_where=text("duplicate_of is null")),
        Index("ix_review_side_reviewed_at", "side", "reviewed_at", postgresql_where=text("duplicate_of is null")),
        # The nightly cycle must not slow down with the table. Scoring reads the new runs, in the order of ids ...
        Index("ix_review_ingest_run_id", "ingest_run_id", "review_id", postgresql_where=text("duplicate_of is null")),
        # ... monitoring reads back from the newest review, and a training set counts its classes.
        Index("ix_review_newest", text("reviewed_at desc"), "review_id", postgresql_where=text("duplicate_of is null")),
        Index("ix_review_duplicate_of", "duplicate_of", postgresql_where=text("duplicate_of is not null")),
        Index("ix_review_side_rating", "side", "rating", postgresql_where=text("duplicate_of is null")),
        Index(
            "uq_review_id_in_source",
            *("source", "id_in_source", "text_hash"),
            unique=True,
            postgresql_where=text("id_in_source is not null"),
        ),
        Index("ix_review_replaced_by", "replaced_by", postgresql_where=text("replaced_by is not null")),
    )

    review_id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    id_in_source: Mapped[str | None]
    """Null where it is the `review_id`."""
    text: Mapped[str]
    title: Mapped[str | None]
    rating: Mapped[int | None] = mapped_column(SmallInteger)
    asin: Mapped[str | None]
    parent_asin: Mapped[str | None]
    product_category: Mapped[str | None]
    user_id: Mapped[str | None]
    reviewed_at: Mapped[datetime]
    words: Mapped[int]
    language: Mapped[str | None]
    """ISO 639-1 code; null where the text does not tell it, and in rows from before it was stored."""
    text_hash: Mapped[str]
    side: Mapped[Side] = mapped_column(SIDE)
    """Decided at ingest, for good, by a keyed hash of the normalised text."""
    duplicate_of: Mapped[str | None] = mapped_column(ForeignKey("review.review_id"))
    """The review that had this text first; copies stay here, but are never scored, labeled or trained on."""
    replaced_by: Mapped[str | None] = mapped_column(ForeignKey("review.review_id", ondelete="SET NULL"))
    """The newer text under the same id of a source whose ids are stable: this one was edited, and stays as it was."""
    ingest_run_id: Mapped[int] = mapped_column(ForeignKey("ingest_run.ingest_run_id"))
    ingested_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Quarantine(Base):
    """A row that was not stored as a review, with the reason. Owned by `ingest.quarantine`."""

    __tablename__ = "quarantine"

    row_hash: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 (hex) of source name and raw row."""
    source: Mapped[str]
    reason: Mapped[QuarantineReason] = mapped_column(QUARANTINE_REASON)
    detail: Mapped[str]
    raw: Mapped[str]
    fields: Mapped[str | None]
    """The fields by our names, as a JSON text (jsonb takes neither NUL nor NaN): a line of a CSV file says nothing
    without its header. Null where the row could not be divided into fields, and for rows of earlier versions."""
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
    abstain_reason: Mapped[AbstainReason | None] = mapped_column(ABSTAIN_REASON)
    """Null where the model answers, and in rows from before reasons were stored (there it was the confidence)."""
    scored_at: Mapped[datetime] = mapped_column(server_default=func.now())
