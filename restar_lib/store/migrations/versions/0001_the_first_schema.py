"""The first schema: every table of Re*Star."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("alert_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("alert_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("report_file", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alert")),
        sa.UniqueConstraint("alert_key", name=op.f("uq_alert_alert_key")),
    )
    op.create_table(
        "drift_report",
        sa.Column("drift_report_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("window_rows", sa.Integer(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enough_rows", sa.Boolean(), nullable=False),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("report_file", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("drift_report_id", name=op.f("pk_drift_report")),
        sa.UniqueConstraint("run_key", name=op.f("uq_drift_report_run_key")),
    )
    op.create_table(
        "ingest_run",
        sa.Column("ingest_run_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rows_read", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("new", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("already_known", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("duplicate_text", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("quarantined", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "rows_read = new + already_known + duplicate_text + quarantined", name=op.f("ck_ingest_run_counts_add_up")
        ),
        sa.PrimaryKeyConstraint("ingest_run_id", name=op.f("pk_ingest_run")),
    )
    op.create_table(
        "release",
        sa.Column("release_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("previous_release_id", sa.BigInteger(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Enum("release", "roll_back", "return", name="release_kind"), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["previous_release_id"], ["release.release_id"], name=op.f("fk_release_previous_release_id")
        ),
        sa.PrimaryKeyConstraint("release_id", name=op.f("pk_release")),
        sa.UniqueConstraint(
            "previous_release_id", name=op.f("uq_release_previous_release_id"), postgresql_nulls_not_distinct=True
        ),
    )
    op.create_table(
        "snapshot",
        sa.Column("snapshot_hash", sa.Text(), nullable=False),
        sa.Column("train_rows", sa.Integer(), nullable=False),
        sa.Column("validation_rows", sa.Integer(), nullable=False),
        sa.Column("test_rows", sa.Integer(), nullable=False),
        sa.Column("people_rows", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_hash", name=op.f("pk_snapshot")),
    )
    op.create_table(
        "source_cursor",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source_cursor")),
    )
    op.create_table(
        "quarantine",
        sa.Column("row_hash", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "reason",
            sa.Enum(
                "malformed",
                "missing_text",
                "bad_rating",
                "bad_timestamp",
                "too_short",
                "too_long",
                "blocklisted",
                name="quarantine_reason",
            ),
            nullable=False,
        ),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("ingest_run_id", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["ingest_run_id"], ["ingest_run.ingest_run_id"], name=op.f("fk_quarantine_ingest_run_id")
        ),
        sa.PrimaryKeyConstraint("row_hash", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "review",
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("rating", sa.SmallInteger(), nullable=True),
        sa.Column("asin", sa.Text(), nullable=True),
        sa.Column("parent_asin", sa.Text(), nullable=True),
        sa.Column("product_category", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("text_hash", sa.Text(), nullable=False),
        sa.Column("side", sa.Enum("train", "validation", "test", name="side"), nullable=False),
        sa.Column("duplicate_of", sa.Text(), nullable=True),
        sa.Column("ingest_run_id", sa.BigInteger(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("rating between 1 and 5", name=op.f("ck_review_rating_range")),
        sa.ForeignKeyConstraint(["duplicate_of"], ["review.review_id"], name=op.f("fk_review_duplicate_of")),
        sa.ForeignKeyConstraint(["ingest_run_id"], ["ingest_run.ingest_run_id"], name=op.f("fk_review_ingest_run_id")),
        sa.PrimaryKeyConstraint("review_id", name=op.f("pk_review")),
    )
    op.create_index("ix_review_ingest_run_id", "review", ["ingest_run_id"], unique=False)
    op.create_index(
        "ix_review_side_reviewed_at",
        "review",
        ["side", "reviewed_at"],
        unique=False,
        postgresql_where=sa.text("duplicate_of is null"),
    )
    op.create_index(
        "uq_review_text_hash_original",
        "review",
        ["text_hash"],
        unique=True,
        postgresql_where=sa.text("duplicate_of is null"),
    )
    op.create_table(
        "verdict",
        sa.Column("verdict_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("challenger", sa.Text(), nullable=False),
        sa.Column("champion", sa.Text(), nullable=True),
        sa.Column("snapshot_hash", sa.Text(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=True),
        sa.Column("rules_hash", sa.Text(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("not (passed and provisional)", name=op.f("ck_verdict_provisional_is_not_passed")),
        sa.ForeignKeyConstraint(["snapshot_hash"], ["snapshot.snapshot_hash"], name=op.f("fk_verdict_snapshot_hash")),
        sa.PrimaryKeyConstraint("verdict_id", name=op.f("pk_verdict")),
        sa.UniqueConstraint(
            "challenger",
            "champion",
            "snapshot_hash",
            "rules_hash",
            name=op.f("uq_verdict_challenger_champion_snapshot_hash_rules_hash"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "label_task",
        sa.Column("task_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("open", "claimed", "done", "merged", name="task_status"),
            server_default="open",
            nullable=False,
        ),
        sa.Column(
            "reasons",
            sa.ARRAY(sa.Enum("uncertain", "audit", "disagreement", "gold", "feedback", name="reason")),
            nullable=False,
        ),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("inclusion_probability", sa.Double(), nullable=False),
        sa.Column("audit_rate", sa.Double(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim_token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consensus", sa.Enum("negative", "neutral", "positive", name="sentiment"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(claimed_by, claimed_at, lease_expires_at) = case status when 'claimed' then 3 else 0 end",
            name=op.f("ck_label_task_claimed_has_a_lease"),
        ),
        sa.CheckConstraint(
            "(status = 'merged') = (merged_at is not null)", name=op.f("ck_label_task_merged_has_a_time")
        ),
        sa.CheckConstraint(
            "(status in ('done', 'merged')) = (consensus is not null)", name=op.f("ck_label_task_done_has_a_consensus")
        ),
        sa.CheckConstraint("cardinality(reasons) > 0", name=op.f("ck_label_task_has_a_reason")),
        sa.CheckConstraint(
            "inclusion_probability > 0 and inclusion_probability <= 1",
            name=op.f("ck_label_task_inclusion_probability_range"),
        ),
        sa.ForeignKeyConstraint(["review_id"], ["review.review_id"], name=op.f("fk_label_task_review_id")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_label_task")),
        sa.UniqueConstraint("review_id", name=op.f("uq_label_task_review_id")),
    )
    op.create_index(
        "ix_label_task_claimed",
        "label_task",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'claimed'"),
    )
    op.create_index(
        "ix_label_task_done", "label_task", ["task_id"], unique=False, postgresql_where=sa.text("status = 'done'")
    )
    op.create_index(
        "ix_label_task_open",
        "label_task",
        [sa.literal_column("priority desc"), "task_id"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_table(
        "prediction",
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("p_negative", sa.Double(), nullable=False),
        sa.Column("p_neutral", sa.Double(), nullable=False),
        sa.Column("p_positive", sa.Double(), nullable=False),
        sa.Column("sentiment", sa.Enum("negative", "neutral", "positive", name="sentiment"), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("abstained", sa.Boolean(), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["review_id"], ["review.review_id"], name=op.f("fk_prediction_review_id")),
        sa.PrimaryKeyConstraint("review_id", "model_version", name=op.f("pk_prediction")),
    )
    op.create_index("ix_prediction_model_version_scored_at", "prediction", ["model_version", "scored_at"], unique=False)
    op.create_table(
        "verdict_review",
        sa.Column("verdict_id", sa.BigInteger(), nullable=False),
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["review_id"], ["review.review_id"], name=op.f("fk_verdict_review_review_id")),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdict.verdict_id"], name=op.f("fk_verdict_review_verdict_id")),
        sa.PrimaryKeyConstraint("verdict_id", "review_id", name=op.f("pk_verdict_review")),
    )
    op.create_index("ix_verdict_review_review_id", "verdict_review", ["review_id"], unique=False)
    op.create_table(
        "label",
        sa.Column("label_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("labeler", sa.Text(), nullable=False),
        sa.Column("sentiment", sa.Enum("negative", "neutral", "positive", name="sentiment"), nullable=False),
        sa.Column("source", sa.Enum("person", "demo", name="label_source"), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("labeled_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["label_task.task_id"], name=op.f("fk_label_task_id")),
        sa.PrimaryKeyConstraint("label_id", name=op.f("pk_label")),
        sa.UniqueConstraint("task_id", "labeler", name=op.f("uq_label_task_id_labeler")),
    )
    op.create_index("ix_label_labeler_labeled_at", "label", ["labeler", "labeled_at"], unique=False)
    op.create_table(
        "label_skip",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("labeler", sa.Text(), nullable=False),
        sa.Column("skipped_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["label_task.task_id"], name=op.f("fk_label_skip_task_id")),
        sa.PrimaryKeyConstraint("task_id", "labeler", name=op.f("pk_label_skip")),
    )
    op.create_table(
        "snapshot_label",
        sa.Column("snapshot_hash", sa.Text(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_hash"], ["snapshot.snapshot_hash"], name=op.f("fk_snapshot_label_snapshot_hash")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["label_task.task_id"], name=op.f("fk_snapshot_label_task_id")),
        sa.PrimaryKeyConstraint("snapshot_hash", "task_id", name=op.f("pk_snapshot_label")),
    )


def downgrade() -> None:
    op.drop_table("snapshot_label")
    op.drop_table("label_skip")
    op.drop_index("ix_label_labeler_labeled_at", table_name="label")
    op.drop_table("label")
    op.drop_index("ix_verdict_review_review_id", table_name="verdict_review")
    op.drop_table("verdict_review")
    op.drop_index("ix_prediction_model_version_scored_at", table_name="prediction")
    op.drop_table("prediction")
    op.drop_index("ix_label_task_open", table_name="label_task", postgresql_where=sa.text("status = 'open'"))
    op.drop_index("ix_label_task_done", table_name="label_task", postgresql_where=sa.text("status = 'done'"))
    op.drop_index("ix_label_task_claimed", table_name="label_task", postgresql_where=sa.text("status = 'claimed'"))
    op.drop_table("label_task")
    op.drop_table("verdict")
    op.drop_index("uq_review_text_hash_original", table_name="review", postgresql_where=sa.text("duplicate_of is null"))
    op.drop_index("ix_review_side_reviewed_at", table_name="review", postgresql_where=sa.text("duplicate_of is null"))
    op.drop_index("ix_review_ingest_run_id", table_name="review")
    op.drop_table("review")
    op.drop_table("quarantine")
    op.drop_table("source_cursor")
    op.drop_table("snapshot")
    op.drop_table("release")
    op.drop_table("ingest_run")
    op.drop_table("drift_report")
    op.drop_table("alert")
