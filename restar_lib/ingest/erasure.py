"""Deleting stored reviews of a person: the deleting half of table `review`.

A text that another person's review has too stays: the oldest copy that is left becomes the original. Predictions,
tasks and verdicts that point at a review are deleted before, by the modules that own them. Runs inside the caller's
transaction. Called by `privacy.forget`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    Text,
    case,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from restar_lib.store.conditions import one_of
from restar_lib.store.tables import Quarantine, ReviewRow


class WrittenReview(NamedTuple):
    """A stored review of a person."""

    review_id: str
    source: str
    id_in_source: str
    text_hash: str
    text: str


def reviews_of(connection: Connection, user_id: str) -> list[WrittenReview]:
    """A person's reviews."""
    own_id = func.coalesce(ReviewRow.id_in_source, ReviewRow.review_id)
    columns = (ReviewRow.review_id, ReviewRow.source, own_id, ReviewRow.text_hash, ReviewRow.text)
    wanted = select(*columns).where(ReviewRow.user_id == user_id)
    return [WrittenReview(*row) for row in connection.execute(wanted)]


def ids_of_others_too(connection: Connection, user_id: str, reviews: Collection[WrittenReview]) -> set[str]:
    """Those of their ids under which the same source has reviews of others as well: ids of products, say."""
    ids = {one.id_in_source for one in reviews}
    own_id = func.coalesce(ReviewRow.id_in_source, ReviewRow.review_id)
    named = or_(one_of(ReviewRow.review_id, ids), one_of(ReviewRow.id_in_source, ids))
    others = select(ReviewRow.source, own_id).where(named, ReviewRow.user_id.is_distinct_from(user_id))
    theirs = {(one.source, one.id_in_source) for one in reviews}
    return {name for source, name in connection.execute(others) if (source, name) in theirs}


def erase_reviews(connection: Connection, review_ids: Collection[str]) -> tuple[str, ...]:
    """Delete these reviews; returns the reviews of others in which their texts live on."""
    heirs = _heirs(connection, review_ids)
    if heirs:
        _hand_over(connection, heirs)
    connection.execute(delete(ReviewRow).where(one_of(ReviewRow.review_id, review_ids)))
    return tuple(heirs.values())


def tidy_statistics(engine: Engine) -> None:
    """Let Postgres reuse the room of deleted rows, and take their values out of its statistics of common ones."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for one in (ReviewRow, Quarantine):
            connection.execute(text(f"vacuum (analyze) {one.__tablename__}"))


def _heirs(connection: Connection, review_ids: Collection[str]) -> dict[str, str]:
    """By review that goes, the oldest copy of its text that stays."""
    oldest = (
        select(ReviewRow.duplicate_of, ReviewRow.review_id)
        .distinct(ReviewRow.duplicate_of)
        .where(one_of(ReviewRow.duplicate_of, review_ids), ~one_of(ReviewRow.review_id, review_ids))
        .order_by(ReviewRow.duplicate_of, ReviewRow.reviewed_at, ReviewRow.review_id)
    )
    return {original: heir for original, heir in connection.execute(oldest) if original is not None}


def _hand_over(connection: Connection, heirs: Mapping[str, str]) -> None:
    # One original per text, at every moment: the one that goes gives its text's hash up first.
    going = one_of(ReviewRow.review_id, heirs.keys())
    connection.execute(
        update(ReviewRow).where(going).values(text_hash=literal_column("'going:'") + ReviewRow.review_id)
    )
    # Two arrays, however many texts these are: Postgres takes at most 65,535 parameters.
    arrays = (literal(list(ids), ARRAY(Text)) for ids in (heirs.keys(), heirs.values()))
    pair = func.unnest(*arrays).table_valued("original", "heir").render_derived()
    own = case((ReviewRow.review_id == pair.c.heir, None), else_=pair.c.heir)
    connection.execute(update(ReviewRow).where(ReviewRow.duplicate_of == pair.c.original).values(duplicate_of=own))
