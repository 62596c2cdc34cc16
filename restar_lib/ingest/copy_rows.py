"""A chunk of raw rows, cleaned and written in the form in which COPY takes it: everything that needs no database.

Pure, and what comes out is small and quick to send, because other processes do this work (`ingest.cleaning_pool`). Which
reviews are known, or copies of others, is decided where the tables are: `ingest.load` completes the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from restar_lib.domain import QuarantineReason
from restar_lib.ingest.cleaning import Rejection, clean
from restar_lib.settings import DatasetSettings, IngestSettings
from restar_lib.splits import side_of

COLUMNS: Final = (
    "review_id",
    "source",
    "text",
    "title",
    "rating",
    "asin",
    "parent_asin",
    "product_category",
    "user_id",
    "reviewed_at",
    "text_hash",
    "words",
    "side",
)
"""Of table `review`, in the order of a prepared line."""
NULL: Final = r"\N"

Readable = Mapping[str, Any] | str
"""The fields of a row by our names, or what is wrong with a malformed one."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What a row is prepared by."""

    source: str
    ingest: IngestSettings
    dataset: DatasetSettings


class ReadyReview(NamedTuple):
    """A review that is ready to be stored, and what decides whether and how it is. A tuple: fast to send."""

    review_id: str
    user_id: str | None
    reviewed_at: datetime
    text_hash: str
    line: bytes
    """In COPY's text form, `COLUMNS` alone: what is decided later comes behind them."""


Result = ReadyReview | Rejection


def prepare(rows: Sequence[Readable], recipe: Preparation) -> list[Result]:
    """What becomes of each row."""
    return [_prepared(row, recipe) for row in rows]


def copy_value(value: object) -> str:
    """A value in COPY's text form: what would end a column or a row is escaped."""
    if value is None:
        return NULL
    text = str(value)
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    return text if text.isprintable() else text.replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _prepared(row: Readable, recipe: Preparation) -> Result:
    if isinstance(row, str):
        return Rejection(reason=QuarantineReason.MALFORMED, detail=row)
    review = clean(row, recipe.ingest, source=recipe.source)
    if isinstance(review, Rejection):
        return review
    values = vars(review) | {"side": side_of(review.text_hash, recipe.dataset).value}
    return ReadyReview(
        review_id=review.review_id,
        user_id=review.user_id,
        reviewed_at=review.reviewed_at,
        text_hash=review.text_hash,
        line="\t".join([copy_value(values[column]) for column in COLUMNS]).encode(),
    )
