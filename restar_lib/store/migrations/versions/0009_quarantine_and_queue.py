"""Quarantine: what is needed to read a row again, and how many rows each run refused for which reason.

Queue: tasks that nobody new can be asked about are marked, and who has answered one may look a second time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SET_ASIDE = postgresql.ENUM("skipped", "too_few", "disagree", name="set_aside", create_type=False)


def upgrade() -> None:
    """Columns that are empty, or the same, for what is stored already: no row is rewritten.

    The first watch marks the open tasks that everybody has answered or skipped.
    """
    op.add_column("quarantine", sa.Column("fields", sa.Text(), nullable=True))
    op.add_column("ingest_run", sa.Column("reasons", postgresql.JSONB(), server_default="{}", nullable=False))
    SET_ASIDE.create(op.get_bind())
    op.add_column("label_task", sa.Column("set_aside", SET_ASIDE, nullable=True))
    op.create_check_constraint(
        op.f("ck_label_task_set_aside_is_not_done"), "label_task", "set_aside is null or status in ('open', 'claimed')"
    )
    op.drop_index("ix_label_task_open_since", table_name="label_task")
    op.create_index(
        "ix_label_task_open_since",
        "label_task",
        ["created_at"],
        postgresql_where=sa.text("status = 'open' and set_aside is null"),
    )
    op.create_index(
        "ix_label_task_set_aside",
        "label_task",
        ["set_aside", "task_id"],
        postgresql_where=sa.text("status = 'open' and set_aside is not null"),
    )
    op.add_column("label", sa.Column("looks", sa.SmallInteger(), server_default="1", nullable=False))


def downgrade() -> None:
    """Refused rows of CSV files cannot be read again any more; which tasks nobody can be asked about is forgotten."""
    op.drop_column("label", "looks")
    op.drop_index("ix_label_task_set_aside", table_name="label_task")
    op.drop_index("ix_label_task_open_since", table_name="label_task")
    op.create_index(
        "ix_label_task_open_since", "label_task", ["created_at"], postgresql_where=sa.text("status = 'open'")
    )
    op.drop_constraint(op.f("ck_label_task_set_aside_is_not_done"), "label_task", type_="check")
    op.drop_column("label_task", "set_aside")
    SET_ASIDE.drop(op.get_bind())
    op.drop_column("ingest_run", "reasons")
    op.drop_column("quarantine", "fields")
