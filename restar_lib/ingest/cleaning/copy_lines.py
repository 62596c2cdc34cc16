"""A chunk of raw rows, cleaned and written as lines for Postgres' COPY: all work of ingest that needs no database.

Pure. The results are small and quick to send, because other processes do this work (`ingest.cleaning_pool`). Which
reviews are known, or copies of others, only the tables tell: `ingest.load` completes the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from restar_lib.domain import Review
from restar_lib.ingest.cleaning.clean import FieldsOrProblem, Rejection, clean_row, identifier
from restar_lib.ingest.identity import BroughtId
from restar_lib.settings import DatasetSettings, IngestSettings
from restar_lib.splits import side_of

COLUMNS: Final = (*(name for name in Review.__dataclass_fields__ if name != "review_id"), "side")
"""Of table `review`, in the order of a line; which `review_id` it gets is decided later."""
NULL: Final = r"\N"


@dataclass(frozen=True, kw_only=True)
class CleaningOptions:
    """The settings that rows are cleaned by, and the source that they come from."""

    source: str
    ingest: IngestSettings
    dataset: DatasetSettings


class CopyLine(NamedTuple):
    """A review as a line for COPY, and the keys that decide whether and how it is stored. A tuple: fast to send."""

    id_in_source: str
    is_derived: bool
    text_hash: str
    reviewed_at: datetime
    """These four say which review it is, as in `ingest.identity.BroughtId`."""
    user_id: str | None
    line: bytes
    """In COPY's text format, `COLUMNS` alone: columns that are decided later are appended."""


CleanedRow = CopyLine | Rejection


def clean_rows(rows: Sequence[FieldsOrProblem], options: CleaningOptions) -> list[CleanedRow]:
    """Each row as a line to store, or why it is not taken; in order."""
    return [_cleaned(row, options) for row in rows]


def copy_value(value: object) -> str:
    """A value in COPY's text format: what would end a column or a row is escaped."""
    if value is None:
        return NULL
    text = str(value)
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    return text if text.isprintable() else text.replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def brought_id(review: Review, fields: Mapping[str, Any]) -> BroughtId:
    """The id that a cleaned row brings, or that was made for it, and what else decides which review it is."""
    return BroughtId(
        id_in_source=review.review_id,
        is_derived=identifier(fields.get("review_id")) is None,
        text_hash=review.text_hash,
        reviewed_at=review.reviewed_at,
    )


def _cleaned(row: FieldsOrProblem, options: CleaningOptions) -> CleanedRow:
    review = clean_row(row, options.ingest, source=options.source)
    if isinstance(review, Rejection):
        return review
    values = vars(review) | {"side": side_of(review.text_hash, options.dataset).value}
    return CopyLine(
        *brought_id(review, {} if isinstance(row, str) else row),
        user_id=review.user_id,
        line="\t".join([copy_value(values[column]) for column in COLUMNS]).encode(),
    )
