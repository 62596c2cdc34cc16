"""Who held a lease that ended by itself stays in the row of the open task, so that a late answer counts."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

CHECK = "ck_label_task_claimed_has_a_lease"
LEASE = (
    "(lease_expires_at is not null) = (status = 'claimed') and (claimed_by is null) = (claimed_at is null) "
    "and (status = 'open' or (claimed_by is not null) = (status = 'claimed'))"
)
LEASE_BEFORE = "num_nonnulls(claimed_by, claimed_at, lease_expires_at) = case status when 'claimed' then 3 else 0 end"


def upgrade() -> None:
    """Every row that the old rule allows is allowed by the new one."""
    op.drop_constraint(op.f(CHECK), "label_task", type_="check")
    op.create_check_constraint(op.f(CHECK), "label_task", LEASE)


def downgrade() -> None:
    """Late answers to tasks that were reopened are refused again."""
    op.drop_constraint(op.f(CHECK), "label_task", type_="check")
    op.execute("update label_task set claimed_by = null, claimed_at = null where status = 'open' and claimed_by is not null")
    op.create_check_constraint(op.f(CHECK), "label_task", LEASE_BEFORE)
