"""What a person asked to be forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KINDS = postgresql.ENUM("user", "review", "row", name="forgotten_kind", create_type=False)
REASONS_BEFORE = (
    "malformed", "missing_text", "bad_rating", "bad_timestamp", "too_short", "too_long", "blocklisted",
)


def upgrade() -> None:
    """Tombstones, a reason of their own for rows that may not come back, and what a snapshot was rewritten as."""
    op.execute("alter type quarantine_reason add value 'forgotten'")
    KINDS.create(op.get_bind())
    op.create_table(
        "forgotten",
        sa.Column("kind", KINDS, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("key_check", sa.Text(), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_forgotten")),
    )
    op.create_table(
        "forgotten_person",
        sa.Column("user_key", sa.Text(), nullable=False),
        sa.Column("first_asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("snapshots", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("user_key", name=op.f("pk_forgotten_person")),
    )
    op.add_column("snapshot", sa.Column("rewritten_as", sa.Text(), nullable=True))
    op.create_foreign_key(
        op.f("fk_snapshot_rewritten_as"), "snapshot", "snapshot", ["rewritten_as"], ["snapshot_hash"]
    )


def downgrade() -> None:
    """The older schema cannot say what was forgotten: the tombstones are lost, so those reviews may come back."""
    op.drop_constraint(op.f("fk_snapshot_rewritten_as"), "snapshot", type_="foreignkey")
    op.drop_column("snapshot", "rewritten_as")
    op.drop_table("forgotten_person")
    op.drop_table("forgotten")
    KINDS.drop(op.get_bind())
    # Postgres cannot take a value out of an enum type: a new type takes the place of the old one.
    op.execute("delete from quarantine where reason = 'forgotten'")
    op.execute("alter type quarantine_reason rename to quarantine_reason_newer")
    postgresql.ENUM(*REASONS_BEFORE, name="quarantine_reason").create(op.get_bind())
    op.execute(
        "alter table quarantine alter column reason type quarantine_reason using reason::text::quarantine_reason"
    )
    op.execute("drop type quarantine_reason_newer")
