"""Asks people about reviews whose stars are doubted: tasks with reason `disagreement`.

Training rows alone: were test rows corrected only where one kind of model doubts them, every model of that kind would
look better than it is. A review that scoring has yet to read keeps its random audit draw. Called by
`restar audit-stars --enqueue`; running it again asks nobody twice.
"""

from __future__ import annotations

from sqlalchemy import Engine

from restar_lib.domain import Side
from restar_lib.ingest.reviews import reviews_by_id
from restar_lib.labeling.queue import enqueue
from restar_lib.scoring.unread import unread_of
from restar_lib.selection import select_doubted
from restar_lib.settings import Selection
from restar_lib.stars.audit import Audit


def ask_people(engine: Engine, found: Audit, config: Selection) -> int:
    """Open a task for each listed training review that has none and is in our tables; how many are new."""
    wanted = {one.review_id: one for one in found.listed if one.side is Side.TRAIN and one.people is None}
    with engine.begin() as connection:
        doubt = {review_id: wanted[review_id].doubt for review_id in reviews_by_id(connection, wanted)}
        selected = select_doubted(doubt, unread=unread_of(connection, doubt), config=config)
        return enqueue(connection, selected, model_version=None)
