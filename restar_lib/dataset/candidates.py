"""The reviews that may be in a training set: the statements that `snapshot` reads them by, over originals alone.

Copies of a text are never candidates. Every choice is by time or by the hash of the text, so the same tables give the
same rows. No statement reads the whole table: counting reads a small index, sampling a stretch of one as long as the
sample. It decides no truth and no weight: `snapshot` does, its only caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Select, Text, all_, case, func, literal, select

from restar_lib.domain import SENTIMENTS, Review, Sentiment, Side, weak_label
from restar_lib.ingest.stored_reviews import REVIEW_COLUMNS, read_reviews
from restar_lib.store.conditions import one_of
from restar_lib.store.tables import SENTIMENT, ReviewRow


def newest(connection: Connection, side: Side, *, limit: int) -> list[Review]:
    """The newest rated reviews of a side: the natural mix. Feedback comes selected and without stars: left out."""
    chosen = (
        _originals(side)
        .where(ReviewRow.rating.is_not(None))
        .order_by(ReviewRow.reviewed_at.desc(), ReviewRow.review_id)
        .limit(limit)
    )
    return read_reviews(connection, chosen)


def with_ids(connection: Connection, side: Side, review_ids: Collection[str]) -> list[Review]:
    """The reviews of a side among `review_ids`."""
    return read_reviews(connection, _originals(side).where(one_of(ReviewRow.review_id, review_ids)))


def weak_counts(connection: Connection, *, without: Collection[str]) -> dict[Sentiment, int]:
    """How many training reviews the stars call negative, neutral and positive, except the reviews `without`."""
    sentiment = _weak_sentiment().label("sentiment")
    rated = (ReviewRow.side == Side.TRAIN, ReviewRow.duplicate_of.is_(None), ReviewRow.rating.is_not(None))
    counted = select(sentiment, func.count()).where(*rated).group_by(sentiment)
    everything, excepted = (
        {row[0]: row[1] for row in connection.execute(statement)}
        # Subtracted, not filtered out: the small index that counts knows no ids.
        for statement in (counted, counted.where(one_of(ReviewRow.review_id, without)))
    )
    return {sentiment: everything.get(sentiment, 0) - excepted.get(sentiment, 0) for sentiment in SENTIMENTS}


def weak_sample(
    connection: Connection, *, key: str, limits: Mapping[Sentiment, int], without: Collection[str]
) -> list[Review]:
    """At most `limits` training reviews of each class: those whose text hashes follow a point that `key` gives.

    Hashes are spread evenly and know nothing of the stars, so a stretch of them is a random sample, and another key
    begins somewhere else. A new review takes part where its hash falls into the stretch, and moves nothing else.
    """
    start = hashlib.sha256(key.encode()).hexdigest()
    found: list[Review] = []
    for sentiment, limit in limits.items():
        of_class = _originals(Side.TRAIN).where(
            ReviewRow.rating.in_([rating for rating in range(1, 6) if weak_label(rating) == sentiment]),
            ReviewRow.review_id != all_(_array(without)),
        )
        in_order = of_class.order_by(ReviewRow.text_hash)
        sample = read_reviews(connection, in_order.where(ReviewRow.text_hash >= start).limit(limit))
        # The hashes are a circle: behind the last one comes the first.
        rest = in_order.where(ReviewRow.text_hash < start).limit(limit - len(sample))
        found += sample + read_reviews(connection, rest)
    return found


def _originals(side: Side) -> Select[*tuple[Any, ...]]:
    return select(*REVIEW_COLUMNS).where(ReviewRow.side == side, ReviewRow.duplicate_of.is_(None))


def _weak_sentiment() -> ColumnElement[Sentiment]:
    # The same rule as `domain.weak_label`, built from it.
    return case({rating: literal(weak_label(rating), SENTIMENT) for rating in range(1, 6)}, value=ReviewRow.rating)


def _array(values: Collection[str]) -> ColumnElement[Sequence[str]]:
    return literal(sorted(values), ARRAY(Text))
