"""When the first training set was frozen: what was read before is history, what is read later is new to scoring.

One statement on table `snapshot` that rooms below `dataset` need too; all others are in `dataset.snapshot`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from restar_lib.store.tables import SnapshotRow


def first_frozen_at(connection: Connection) -> datetime | None:
    """When the first training set of all was frozen; None where there is none yet."""
    return connection.execute(select(func.min(SnapshotRow.created_at))).scalar_one()
