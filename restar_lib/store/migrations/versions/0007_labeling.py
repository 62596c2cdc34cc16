"""Labeling: late answers count, and no call of the desk counts the whole queue.

Who held a lease that ended by itself stays in the row of the open task. Triggers keep totals of `label_task`
(`labeling.queue` says how they are read), in the transaction of whatever changes it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CHECK = "ck_label_task_claimed_has_a_lease"
LEASE = (
    "(lease_expires_at is not null) = (status = 'claimed') and (claimed_by is null) = (claimed_at is null) "
    "and (status = 'open' or (claimed_by is not null) = (status = 'claimed'))"
)
LEASE_BEFORE = "num_nonnulls(claimed_by, claimed_at, lease_expires_at) = case status when 'claimed' then 3 else 0 end"


# Of an update only a merge matters: the condition is looked at without calling the function, so answers cost nothing.
KEEP_TOTALS = """
create function keep_label_task_totals() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into label_task_total (tasks, merged)
        select count(*), count(*) filter (where status = 'merged') from changed having count(*) > 0;
    elsif tg_op = 'DELETE' then
        insert into label_task_total (tasks, merged)
        select -count(*), -count(*) filter (where status = 'merged') from changed having count(*) > 0;
    elsif tg_op = 'UPDATE' then
        insert into label_task_total (tasks, merged)
        values (0, (new.status = 'merged')::integer - (old.status = 'merged')::integer);
    else
        delete from label_task_total;
    end if;
    return null;
end
$$
"""
TRIGGERS = (
    "create trigger label_task_total_insert after insert on label_task referencing new table as changed "
    "for each statement execute function keep_label_task_totals()",
    "create trigger label_task_total_delete after delete on label_task referencing old table as changed "
    "for each statement execute function keep_label_task_totals()",
    "create trigger label_task_total_update after update of status on label_task "
    "for each row when ((old.status = 'merged') <> (new.status = 'merged')) execute function keep_label_task_totals()",
    "create trigger label_task_total_truncate after truncate on label_task "
    "for each statement execute function keep_label_task_totals()",
)


def upgrade() -> None:
    """Every row that the old rule allows is allowed by the new one; the tasks that are there are counted once."""
    op.drop_constraint(op.f(CHECK), "label_task", type_="check")
    op.create_check_constraint(op.f(CHECK), "label_task", LEASE)
    op.create_table(
        "label_task_total",
        sa.Column("total_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tasks", sa.BigInteger(), nullable=False),
        sa.Column("merged", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("total_id", name=op.f("pk_label_task_total")),
    )
    op.execute(KEEP_TOTALS)
    for trigger in TRIGGERS:  # which also keep other sessions from changing tasks until this has ended
        op.execute(trigger)
    op.execute(
        "insert into label_task_total (tasks, merged) "
        "select count(*), count(*) filter (where status = 'merged') from label_task"
    )
    op.create_index(
        "ix_label_task_open_since", "label_task", ["created_at"], postgresql_where=sa.text("status = 'open'")
    )
    op.create_index("ix_label_skip_labeler_skipped_at", "label_skip", ["labeler", "skipped_at"])


def downgrade() -> None:
    """Late answers to tasks that were reopened are refused again; nothing else is lost but the speed."""
    op.drop_index("ix_label_skip_labeler_skipped_at", table_name="label_skip")
    op.drop_index("ix_label_task_open_since", table_name="label_task")
    for event in ("insert", "delete", "update", "truncate"):
        op.execute(f"drop trigger label_task_total_{event} on label_task")
    op.execute("drop function keep_label_task_totals()")
    op.drop_table("label_task_total")
    op.drop_constraint(op.f(CHECK), "label_task", type_="check")
    op.execute(
        "update label_task set claimed_by = null, claimed_at = null where status = 'open' and claimed_by is not null"
    )
    op.create_check_constraint(op.f(CHECK), "label_task", LEASE_BEFORE)
