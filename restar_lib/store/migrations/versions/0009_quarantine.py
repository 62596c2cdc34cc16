"""Quarantine: what is needed to read a row again, and how many rows each run refused for which reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns that are empty for what is stored already; no row is rewritten."""
    op.add_column("quarantine", sa.Column("fields", sa.Text(), nullable=True))
    op.add_column("ingest_run", sa.Column("reasons", JSONB(), server_default="{}", nullable=False))


def downgrade() -> None:
    """Refused rows of CSV files cannot be read again any more."""
    op.drop_column("ingest_run", "reasons")
    op.drop_column("quarantine", "fields")
