"""Fields of reviews that a snapshot does not hold (source, title, user), read from the database where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import Review, Side
from restar_lib.ingest.stored_reviews import reviews_by_id
from restar_lib.settings import Settings


def sources_of(settings: Settings, snapshot: Snapshot, *, engine: Engine | None = None) -> Mapping[str, str] | None:
    """The source of each test row by its review id; None where no database is configured."""
    found = stored_of(settings, snapshot, sides=(Side.TEST,), engine=engine)
    return None if found is None else {review_id: review.source for review_id, review in found.items()}


def stored_of(
    settings: Settings, snapshot: Snapshot, *, sides: Sequence[Side] = tuple(Side), engine: Engine | None = None
) -> Mapping[str, Review] | None:
    """The stored reviews of these sides by their ids; None where no database is configured."""
    if engine is None and settings.database.url is None:
        return None
    from restar_lib.store.database import engine as configured

    wanted = [row.review_id for side in sides for row in snapshot.examples(side)]
    with (engine or configured()).connect() as connection:
        return reviews_by_id(connection, wanted)
