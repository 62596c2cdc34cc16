"""Held-out rows with the mix of categories and stars of all reviews, for published sets on which models are compared.

`dataset.candidates.newest` is the other way to choose them. It reads every rated original of a side, so it is for
publishing now and then, not for every training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, func, literal, select

from restar_lib.domain import Review, Sentiment, Side, weak_label
from restar_lib.ingest.stored_reviews import REVIEW_COLUMNS, as_review
from restar_lib.store.tables import ReviewRow

Stratum = tuple[str | None, Sentiment]
"""A category and what the stars say."""
SIZABLE = 5
"""A stratum that would get so many rows must be filled; below that, chance decides more than the mix."""
RATED = (ReviewRow.duplicate_of.is_(None), ReviewRow.rating.is_not(None))


def stratified(connection: Connection, side: Side, *, limit: int, key: str) -> list[Review]:
    """Rated reviews of `side`: each stratum's share of them is its share of all rated reviews, of every side.

    At most `limit`, and only so many as every stratum of some size can fill; a rare one that the side cannot fill stays
    short. Within a stratum a keyed hash of the review id draws.
    """
    counts, available = _counts(connection), _counts(connection, side)
    quotas = shares(counts, total=fillable(counts, available, limit=limit))
    drawn = _numbered(side, key=key).subquery()
    found: list[Review] = []
    enough = select(drawn).where(drawn.c.number <= max(quotas.values(), default=0))
    for row in connection.execute(enough.order_by(drawn.c.draw, drawn.c.review_id)):
        stratum = (row.product_category, weak_label(row.rating))
        if quotas.get(stratum, 0) > 0:
            quotas[stratum] -= 1
            found.append(as_review(row))
    return found


def fillable(counts: Mapping[Stratum, int], available: Mapping[Stratum, int], *, limit: int) -> int:
    """The most rows, up to `limit`, that can be shared out so that no stratum of some size lacks any."""
    everything = max(sum(counts.values()), 1)
    sizable = [stratum for stratum, count in counts.items() if count / everything * limit >= SIZABLE]
    return int(min([limit, *(available.get(stratum, 0) * everything / counts[stratum] for stratum in sizable)]))


def shares(counts: Mapping[Stratum, int], *, total: int) -> dict[Stratum, int]:
    """`total` shared out in proportion to `counts`, in whole rows, by the method of largest remainders."""
    everything = sum(counts.values())
    wanted = min(total, everything)
    exact = {stratum: count * wanted / max(everything, 1) for stratum, count in counts.items()}
    quotas = {stratum: int(value) for stratum, value in exact.items()}
    by_remainder = sorted(exact, key=lambda stratum: (quotas[stratum] - exact[stratum], str(stratum)))
    return quotas | {stratum: quotas[stratum] + 1 for stratum in by_remainder[: wanted - sum(quotas.values())]}


def _counts(connection: Connection, side: Side | None = None) -> dict[Stratum, int]:
    columns = (ReviewRow.product_category, ReviewRow.rating)
    counted = select(*columns, func.count().label("rows")).where(*RATED).group_by(*columns)
    counts: dict[Stratum, int] = {}
    for row in connection.execute(counted if side is None else counted.where(ReviewRow.side == side)):
        stratum = (row.product_category, weak_label(row.rating))
        counts[stratum] = counts.get(stratum, 0) + row.rows
    return counts


def _numbered(side: Side, *, key: str) -> Select[Any]:
    """The rated reviews of a side, numbered within category and rating in the order of the draw, which is theirs."""
    draw = func.md5(literal(key) + ReviewRow.review_id)
    number = func.row_number().over(
        partition_by=(ReviewRow.product_category, ReviewRow.rating), order_by=(draw, ReviewRow.review_id)
    )
    columns = (*REVIEW_COLUMNS, draw.label("draw"), number.label("number"))
    return select(*columns).where(ReviewRow.side == side, *RATED)
