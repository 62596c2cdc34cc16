"""The language of a review, and why a model abstained on one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ABSTAIN_REASON = postgresql.ENUM("low_confidence", "language", "unreadable", name="abstain_reason")


def upgrade() -> None:
    """No row is rewritten: older reviews have no language, older predictions that abstained did for their confidence."""
    op.add_column("review", sa.Column("language", sa.Text(), nullable=True))
    ABSTAIN_REASON.create(op.get_bind())
    op.add_column("prediction", sa.Column("abstain_reason", ABSTAIN_REASON, nullable=True))


def downgrade() -> None:
    """Languages and reasons are forgotten; that a model abstained stays."""
    op.drop_column("prediction", "abstain_reason")
    ABSTAIN_REASON.drop(op.get_bind())
    op.drop_column("review", "language")
