"""What an ingest would do: reads and cleans rows as `ingest.load` does, and counts how they would end.

Writes nothing, holds no lock and moves no cursor; with a database it looks up, read-only, how far the source is read
and what is known already. Remembers the ids and text hashes of the rows that it read, so its memory grows with them: it
stops at `ingest.max_rows`. A source that cannot be read on is part of the result, not an error here. Called by
`restar ingest --dry-run`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Connection, Engine

from restar_lib.domain import Outcome, QuarantineReason, Review
from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning.clean import Rejection, clean_row
from restar_lib.ingest.cleaning.copy_lines import brought_id
from restar_lib.ingest.identity import BroughtId, SourceIds, outcome_of, repeated_in_words
from restar_lib.ingest.quarantine import readable_text
from restar_lib.ingest.raw_rows import RawRow, no_file_is_read
from restar_lib.ingest.source_progress import file_states, read_progress
from restar_lib.ingest.sources.base import Source
from restar_lib.ingest.stored_reviews import originals_of, stored_ids
from restar_lib.settings import IngestSettings, Settings

EXAMPLES = 3
"""Shown of each reason, and of the reviews that would be taken."""
SHOWN_CHARS = 100


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """How the rows would end. Reviews of erased people are counted like others."""

    source: str
    from_cursor: bool
    """Whether the source was read before, so that these are the rows behind the cursor."""
    is_whole: bool
    """False where it stopped at the limit: there is more."""
    outcomes: Mapping[Outcome, int]
    reasons: Mapping[QuarantineReason, int]
    taken: Sequence[str]
    """The first reviews that would be new."""
    refused: Mapping[QuarantineReason, Sequence[str]]
    """The first rows of each reason, with what is wrong."""
    repeated: str
    """What to know of ids that stand before several texts; empty where none does."""
    failure: SourceError | None
    """Why the source cannot be read on, or which of its files cannot be read."""

    @property
    def rows_read(self) -> int:
        """All rows."""
        return sum(self.outcomes.values())

    def lines(self) -> Iterator[str]:
        """The result as lines of text."""
        behind = " behind the cursor" if self.from_cursor else ""
        more = "" if self.is_whole else "; there may be more: --max-rows reads further"
        yield f"dry run of {self.source}: {self.rows_read:,} rows{behind} read, nothing written{more}"
        yield from (f"{outcome}: {self.outcomes.get(outcome, 0):,}" for outcome in Outcome)
        if self.repeated:
            yield f"  {self.repeated}"
        yield from (f"  would be taken: {example}" for example in self.taken)
        for reason, number in sorted(self.reasons.items(), key=lambda item: -item[1]):
            yield f"  quarantined as {reason}: {number:,}"
            yield from (f"    {example}" for example in self.refused[reason])


def dry_run(source: Source, settings: Settings, *, engine: Engine | None, max_rows: int | None = None) -> DryRun:
    """Read at most `max_rows` rows (default `ingest.max_rows`) and say what would become of them.

    Without an `engine` the source is read from its beginning, as if nothing were known.
    """
    left = settings.ingest.max_rows if max_rows is None else max_rows
    seen = _Seen(source=source.name, ids=SourceIds(source.name, stable=settings.source.stable_ids))
    failure, moves_cursor = None, True
    with _read_only(engine) as connection:
        cursor = read_progress(connection, source.name).cursor if connection else None
        rows = source.rows(cursor, file_states(engine, source.name) if engine else no_file_is_read)
        while wanted := min(settings.ingest.chunk_rows, left):
            chunk, failure = _take(rows, wanted)
            seen.take(chunk, settings.ingest, connection=connection)
            moves_cursor = all(row.cursor_after is not None for row in chunk[:1])
            left -= len(chunk)
            if len(chunk) < wanted:
                break
    return DryRun(
        source=source.name,
        from_cursor=cursor is not None and moves_cursor,
        is_whole=left > 0,
        outcomes=seen.outcomes,
        reasons=seen.reasons,
        taken=seen.taken,
        refused=seen.refused,
        repeated=repeated_in_words(seen.repeated, seen.outcomes.total(), stable=settings.source.stable_ids)
        if seen.repeated
        else "",
        failure=failure,
    )


def _take(source_rows: Iterator[RawRow], wanted: int) -> tuple[list[RawRow], SourceError | None]:
    """Up to `wanted` rows, fewer where there are no more, and why, where something is wrong."""
    rows: list[RawRow] = []
    try:
        rows.extend(islice(source_rows, wanted))
    except SourceError as error:
        return rows, error
    return rows, None


@contextmanager
def _read_only(engine: Engine | None) -> Iterator[Connection | None]:
    if engine is None:
        yield None
        return
    with engine.connect().execution_options(postgresql_readonly=True) as connection:
        yield connection


@dataclass(kw_only=True)
class _Seen:
    """The rows so far."""

    source: str
    ids: SourceIds
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    reasons: Counter[QuarantineReason] = field(default_factory=Counter)
    taken: list[str] = field(default_factory=list)
    refused: dict[QuarantineReason, list[str]] = field(default_factory=dict)
    repeated: int = 0
    texts: set[str] = field(default_factory=set)

    def take(self, rows: Sequence[RawRow], config: IngestSettings, *, connection: Connection | None) -> None:
        """Clean and count these rows."""
        results = [_cleaned(row, config, source=self.source) for row in rows]
        brought = [result[1] for result in results if not isinstance(result, Rejection)]
        if connection is not None:
            self.ids.extend(stored_ids(connection, self.source, [one.id_in_source for one in brought]))
            self.texts |= set(originals_of(connection, [one.text_hash for one in brought]))
        self.ids.begin(brought)
        for row, result in zip(rows, results, strict=True):
            outcome = self._refuse(row, result) if isinstance(result, Rejection) else self._accept(*result)
            self.outcomes[outcome] += 1

    def _accept(self, review: Review, brought: BroughtId) -> Outcome:
        identity = self.ids.add(brought)
        if identity is None:
            return Outcome.ALREADY_KNOWN
        self.repeated += identity.is_repeated
        is_copy = review.text_hash in self.texts
        self.texts.add(review.text_hash)
        if not is_copy and len(self.taken) < EXAMPLES:
            stars = f"{review.rating} stars, {review.reviewed_at:%Y-%m-%d}"
            self.taken.append(f"{identity.review_id} ({stars}): {review.text[:SHOWN_CHARS]}")
        return outcome_of(identity, is_copy=is_copy)

    def _refuse(self, row: RawRow, rejection: Rejection) -> Outcome:
        self.reasons[rejection.reason] += 1
        examples = self.refused.setdefault(rejection.reason, [])
        if len(examples) < EXAMPLES:
            examples.append(f"{rejection.detail}: {readable_text(row.raw)[:SHOWN_CHARS]}")
        return Outcome.QUARANTINED


def _cleaned(row: RawRow, config: IngestSettings, *, source: str) -> tuple[Review, BroughtId] | Rejection:
    review = clean_row(row.for_cleaning, config, source=source)
    return review if isinstance(review, Rejection) else (review, brought_id(review, row.fields or {}))
