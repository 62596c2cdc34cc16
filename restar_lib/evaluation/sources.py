"""From which source each test row came: a snapshot does not hold it, the database does, where there is one."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine

from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import Side
from restar_lib.ingest.reviews import reviews_by_id
from restar_lib.settings import Settings


def sources_of(settings: Settings, snapshot: Snapshot, *, engine: Engine | None = None) -> Mapping[str, str] | None:
    """The source of each test row by its review id; None where no database is configured."""
    if engine is None and settings.database.url is None:
        return None
    from restar_lib.store.engine import engine as configured

    with (engine or configured()).connect() as connection:
        found = reviews_by_id(connection, [row.review_id for row in snapshot.examples(Side.TEST)])
    return {review_id: review.source for review_id, review in found.items()}
