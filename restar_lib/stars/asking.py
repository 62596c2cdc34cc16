"""Asks people about reviews whose stars are doubted: tasks with reason `disagreement`.

Training rows alone: were test rows corrected only where one kind of model doubts them, every model of that kind would
look better than it is. Called by `restar audit-stars --enqueue`; running it again asks nobody twice.
"""

from __future__ import annotations

from sqlalchemy import Engine

from restar_lib.domain import Reason, Side
from restar_lib.ingest.reviews import reviews_by_id
from restar_lib.labeling.queue import enqueue
from restar_lib.selection import Selected
from restar_lib.stars.audit import Audit


def ask_people(engine: Engine, found: Audit) -> int:
    """Open a task for each listed training review that has none and is in our tables; how many are new."""
    wanted = {one.review_id: one for one in found.listed if one.side is Side.TRAIN and one.people is None}
    with engine.begin() as connection:
        selected = [
            Selected(
                review_id=review_id,
                reasons=(Reason.DISAGREEMENT,),
                priority=wanted[review_id].doubt,
                # Its doubt decided, no draw: as with uncertain ones.
                inclusion_probability=1.0,
                audit_rate=None,
            )
            for review_id in reviews_by_id(connection, wanted)
        ]
        return enqueue(connection, selected, model_version=None)
