"""Incidents; alerts that belong to one; one delivery for each channel."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was mailed stays mailed; earlier alerts belong to no incident."""
    op.create_table(
        "incident",
        sa.Column("incident_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times_seen", sa.Integer(), server_default="1", nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retrain_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retrain_asked_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_incident")),
    )
    op.create_index(
        "uq_incident_open_kind", "incident", ["kind"], unique=True, postgresql_where=sa.text("closed_at is null")
    )
    op.create_table(
        "alert_delivery",
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.alert_id"], name=op.f("fk_alert_delivery_alert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("alert_id", "channel", name=op.f("pk_alert_delivery")),
    )
    op.create_index(
        "ix_alert_delivery_waiting", "alert_delivery", ["alert_id"], postgresql_where=sa.text("delivered_at is null")
    )
    op.execute(
        "insert into alert_delivery (alert_id, channel, delivered_at, attempts) "
        "select alert_id, 'mail', mailed_at, case when mailed_at is null then 0 else 1 end from alert"
    )
    op.drop_column("alert", "mailed_at")
    op.add_column("alert", sa.Column("stage", sa.Text(), server_default="opened", nullable=False))
    op.add_column("alert", sa.Column("incident_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_alert_incident_id"), "alert", "incident", ["incident_id"], ["incident_id"]
    )


def downgrade() -> None:
    """Incidents are forgotten; alerts and when they were mailed stay."""
    op.add_column("alert", sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "update alert set mailed_at = delivered_at from alert_delivery "
        "where alert_delivery.alert_id = alert.alert_id and channel = 'mail'"
    )
    op.drop_constraint(op.f("fk_alert_incident_id"), "alert", type_="foreignkey")
    op.drop_column("alert", "incident_id")
    op.drop_column("alert", "stage")
    op.drop_table("alert_delivery")
    op.drop_table("incident")
