"""What keeps a turn as fast on a large table: runs that are scored, and indexes for scoring, watch and snapshot."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ORIGINALS = sa.text("duplicate_of is null")


def upgrade() -> None:
    """Existing runs are looked at once more: the first scoring finds out which of them are done."""
    op.add_column("ingest_run", sa.Column("scored_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("ix_review_ingest_run_id", table_name="review")
    op.create_index("ix_review_ingest_run_id", "review", ["ingest_run_id", "review_id"], postgresql_where=ORIGINALS)
    op.create_index(
        "ix_review_newest", "review", [sa.text("reviewed_at desc"), "review_id"], postgresql_where=ORIGINALS
    )
    # Of copies: without it, deleting a review looks through the whole table for reviews that point at it.
    op.create_index("ix_review_duplicate_of", "review", ["duplicate_of"], postgresql_where=sa.text("duplicate_of is not null"))
    op.create_index("ix_review_side_rating", "review", ["side", "rating"], postgresql_where=ORIGINALS)


def downgrade() -> None:
    """Nothing is lost but the speed."""
    op.drop_index("ix_review_side_rating", table_name="review")
    op.drop_index("ix_review_duplicate_of", table_name="review")
    op.drop_index("ix_review_newest", table_name="review")
    op.drop_index("ix_review_ingest_run_id", table_name="review")
    op.create_index("ix_review_ingest_run_id", "review", ["ingest_run_id"])
    op.drop_column("ingest_run", "scored_at")
