"""What people decided about a challenger, and up to which label a training set was frozen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MERGED = sa.text("status = 'merged'")


def upgrade() -> None:
    """Every older snapshot is taken to have looked at all labels that were merged before it was made."""
    op.add_column("verdict", sa.Column("rejected_by", sa.Text(), nullable=True))
    op.add_column("verdict", sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("snapshot", sa.Column("labels_until", sa.DateTime(timezone=True), nullable=True))
    op.execute(sa.text("update snapshot set labels_until = created_at"))
    op.create_index("ix_label_task_merged_at", "label_task", ["merged_at"], postgresql_where=MERGED)


def downgrade() -> None:
    """Rejections are forgotten."""
    op.drop_index("ix_label_task_merged_at", table_name="label_task")
    op.drop_column("snapshot", "labels_until")
    op.drop_column("verdict", "rejected_at")
    op.drop_column("verdict", "rejected_by")
