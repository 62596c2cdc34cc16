"""Reviews by source and id, edits, and how far a source is read: a row for each file, and the end of its windows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COUNTS = "rows_read = new + edited + already_known + duplicate_text + quarantined"
COUNTS_BEFORE = "rows_read = new + already_known + duplicate_text + quarantined"
NAMED = sa.text("id_in_source is not null")
REPLACED = sa.text("replaced_by is not null")


def upgrade() -> None:
    """Stored reviews keep their ids, and every file of a cursor gets its own row. No review is rewritten."""
    op.add_column("review", sa.Column("id_in_source", sa.Text(), nullable=True))
    op.add_column("review", sa.Column("replaced_by", sa.Text(), nullable=True))
    op.create_foreign_key(
        op.f("fk_review_replaced_by"), "review", "review", ["replaced_by"], ["review_id"], ondelete="SET NULL"
    )
    op.create_index(
        "uq_review_id_in_source",
        "review",
        ["source", "id_in_source", "text_hash"],
        unique=True,
        postgresql_where=NAMED,
    )
    op.create_index("ix_review_replaced_by", "review", ["replaced_by"], postgresql_where=REPLACED)
    op.add_column("ingest_run", sa.Column("edited", sa.BigInteger(), server_default="0", nullable=False))
    op.drop_constraint(op.f("ck_ingest_run_counts_add_up"), "ingest_run")
    op.create_check_constraint(op.f("ck_ingest_run_counts_add_up"), "ingest_run", COUNTS)
    op.create_table(
        "source_file",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("source", "name", name=op.f("pk_source_file")),
    )
    op.alter_column("source_cursor", "cursor", nullable=True)
    op.add_column("source_cursor", sa.Column("version", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("source_cursor", sa.Column("windows_until", sa.DateTime(timezone=True), nullable=True))
    _files_to_rows()
    _remember_windows()


def _files_to_rows() -> None:
    """The state of the file that was read last stood beside those of all others."""
    op.execute(
        sa.text(
            "insert into source_file (source, name, state)"
            " select source, file.key, file.value from source_cursor,"
            " jsonb_each(cursor -> 'files' || jsonb_build_object(cursor ->> 'file', cursor -> 'state')) as file"
            " where cursor ? 'files'"
        )
    )
    op.execute(
        sa.text(
            "update source_cursor set cursor = jsonb_build_object('kind', cursor -> 'kind') where cursor ? 'files'"
        )
    )


def _remember_windows() -> None:
    """Windows that scheduled runs finished: the next one begins where the last ended."""
    op.execute(
        sa.text(
            "insert into source_cursor (source, windows_until)"
            " select source, max(window_end) from ingest_run"
            " where run_key like 'scheduled%' and finished_at is not null and window_end is not null"
            " group by source"
            " on conflict (source) do update set windows_until = excluded.windows_until"
        )
    )


def downgrade() -> None:
    """The states of files stand together again; which review was edited, and the end of windows, is forgotten."""
    op.execute(sa.text("delete from source_cursor where cursor is null"))
    op.execute(
        sa.text(
            "update source_cursor set cursor = cursor || file.together from ("
            " select source, jsonb_build_object('files', jsonb_object_agg(name, state), 'file', max(name),"
            " 'state', (array_agg(state order by name desc))[1]) as together from source_file group by source"
            ") as file where file.source = source_cursor.source"
        )
    )
    op.drop_column("source_cursor", "windows_until")
    op.drop_column("source_cursor", "version")
    op.alter_column("source_cursor", "cursor", nullable=False)
    op.drop_table("source_file")
    op.drop_constraint(op.f("ck_ingest_run_counts_add_up"), "ingest_run")
    op.execute(sa.text("update ingest_run set new = new + edited"))
    op.drop_column("ingest_run", "edited")
    op.create_check_constraint(op.f("ck_ingest_run_counts_add_up"), "ingest_run", COUNTS_BEFORE)
    op.drop_index("ix_review_replaced_by", table_name="review")
    op.drop_index("uq_review_id_in_source", table_name="review")
    op.drop_constraint(op.f("fk_review_replaced_by"), "review")
    op.drop_column("review", "replaced_by")
    op.drop_column("review", "id_in_source")
