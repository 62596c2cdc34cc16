"""Which reviews may stand in a training set: the reading half of `snapshot`, as statements over originals.

Copies of a text are never candidates. Every choice is by time or by a keyed hash of the review id, so the same tables
give the same rows. It decides no truth and no weight: `snapshot` does, its only caller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, ColumnElement, Connection, Select, Text, all_, any_, case, func, literal, select

from restar_lib.domain import SENTIMENTS, Sentiment, Side, weak_label
from restar_lib.store.tables import SENTIMENT, ReviewRow

Stratum = tuple[str | None, Sentiment]
"""A category and what the stars say."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One review as a training set needs it."""

    review_id: str
    text: str
    rating: int | None
    product_category: str | None
    reviewed_at: datetime

    @property
    def stars(self) -> int:
        """The rating, where only rated reviews were asked for. Raises `ValueError` where there is none."""
        if self.rating is None:
            raise ValueError(f"review {self.review_id} has no stars")
        return self.rating


def newest(connection: Connection, side: Side, *, limit: int) -> list[Candidate]:
    """The newest rated reviews of a side: the natural mix. Feedback comes selected and without stars: left out."""
    chosen = (
        _originals(side)
        .where(ReviewRow.rating.is_not(None))
        .order_by(ReviewRow.reviewed_at.desc(), ReviewRow.review_id)
        .limit(limit)
    )
    return _read(connection, chosen)


def stratified(connection: Connection, side: Side, *, limit: int, key: str) -> list[Candidate]:
    """Rated reviews of a side with the mix of categories and sentiments that all sides together have.

    Each stratum gets its share of `limit` (largest remainders), drawn by a keyed hash of the review id; one that the
    side cannot fill stays short.
    """
    stratum = (ReviewRow.product_category, _weak_sentiment().label("sentiment"))
    rated = (ReviewRow.duplicate_of.is_(None), ReviewRow.rating.is_not(None))
    counted = select(*stratum, func.count()).where(*rated).group_by(*stratum)
    quotas = shares({(row[0], row[1]): row[2] for row in connection.execute(counted)}, total=limit)
    found: list[Candidate] = []
    order = (func.md5(literal(key) + ReviewRow.review_id), ReviewRow.review_id)
    for (category, sentiment), quota in quotas.items():
        of_stratum = (ReviewRow.product_category.is_not_distinct_from(category), _weak_sentiment() == sentiment)
        chosen = _originals(side).where(*rated, *of_stratum).order_by(*order).limit(quota)
        found += _read(connection, chosen)
    return found


def shares(counts: Mapping[Stratum, int], *, total: int) -> dict[Stratum, int]:
    """`total` shared out in proportion to `counts`, in whole rows, by the method of largest remainders."""
    everything = max(sum(counts.values()), 1)
    exact = {stratum: count * min(total, everything) / everything for stratum, count in counts.items()}
    quotas = {stratum: int(value) for stratum, value in exact.items()}
    left = min(total, sum(counts.values())) - sum(quotas.values())
    by_remainder = sorted(exact, key=lambda stratum: (quotas[stratum] - exact[stratum], str(stratum)))
    return quotas | {stratum: quotas[stratum] + 1 for stratum in by_remainder[:left]}


def with_ids(connection: Connection, side: Side, review_ids: Collection[str]) -> list[Candidate]:
    """The reviews of a side among `review_ids`."""
    return _read(connection, _originals(side).where(ReviewRow.review_id == any_(_array(review_ids))))


def weak_counts(connection: Connection, *, without: Collection[str]) -> dict[Sentiment, int]:
    """How many training reviews the stars call negative, neutral and positive, except the reviews `without`."""
    sentiment = _weak_sentiment().label("sentiment")
    statement = select(sentiment, func.count()).where(*_weak_training(without)).group_by(sentiment)
    found = {row[0]: row[1] for row in connection.execute(statement)}
    return {sentiment: found.get(sentiment, 0) for sentiment in SENTIMENTS}


def weak_sample(
    connection: Connection, *, key: str, limits: Mapping[Sentiment, int], without: Collection[str]
) -> list[Candidate]:
    """At most `limits` training reviews of each class, drawn by a keyed hash of the review id."""
    order = (func.md5(literal(key) + ReviewRow.review_id), ReviewRow.review_id)
    found: list[Candidate] = []
    for sentiment, limit in limits.items():
        of_class = _originals(Side.TRAIN).where(*_weak_training(without), _weak_sentiment() == sentiment)
        found += _read(connection, of_class.order_by(*order).limit(limit))
    return found


def _originals(side: Side) -> Select[str, str, int | None, str | None, datetime]:
    return select(
        ReviewRow.review_id,
        ReviewRow.text,
        ReviewRow.rating,
        ReviewRow.product_category,
        ReviewRow.reviewed_at,
    ).where(ReviewRow.side == side, ReviewRow.duplicate_of.is_(None))


def _weak_training(without: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    return (
        ReviewRow.side == Side.TRAIN,
        ReviewRow.duplicate_of.is_(None),
        ReviewRow.rating.is_not(None),
        ReviewRow.review_id != all_(_array(without)),
    )


def _weak_sentiment() -> ColumnElement[Sentiment]:
    # The same rule as `domain.weak_label`, built from it.
    return case({rating: literal(weak_label(rating), SENTIMENT) for rating in range(1, 6)}, value=ReviewRow.rating)


def _array(values: Collection[str]) -> ColumnElement[Sequence[str]]:
    return literal(sorted(values), ARRAY(Text))


def _read(connection: Connection, statement: Select[str, str, int | None, str | None, datetime]) -> list[Candidate]:
    return [Candidate(**row._asdict()) for row in connection.execute(statement)]
