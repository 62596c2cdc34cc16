"""Which review a row is: by the id that its source gives it, and by its text where that id says too little.

A review is known where the same source has brought the same id with the same text. The same id before another text is
an edit where the source says that its ids are stable (`source.stable_ids`), else a review of its own. An id that stands
before three or more texts at once names a product or an author, not a review: its rows are reviews of their own in any
case, and that is said. Pure: what is stored already is handed in. Called by `ingest.load` and `ingest.dry_run`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from restar_lib.domain import Outcome

TEXTS_OF_NO_ID: Final = 3
"""An id before so many texts in one chunk is the id of something else. A review is seldom edited twice in a moment."""
DIGEST_CHARS: Final = 32
"""Of the SHA-256 that tells apart two reviews with one id: 128 bits, so that nobody can write two that collide."""


class Brought(Protocol):
    """The id that a row brings, and what else decides which review it is."""

    @property
    def id_in_source(self) -> str:
        """The row's own id, or one of ours."""

    @property
    def is_derived(self) -> bool:
        """Whether it is of ours, made from author, product, time and text, because the row brings none."""

    @property
    def text_hash(self) -> str:
        """Of the normalised text."""

    @property
    def reviewed_at(self) -> datetime:
        """When the text was written."""


class BroughtId(NamedTuple):
    """`Brought` as values."""

    id_in_source: str
    is_derived: bool
    text_hash: str
    reviewed_at: datetime


class StoredId(NamedTuple):
    """A stored review that has one of the ids that a chunk brings."""

    review_id: str
    source: str
    id_in_source: str
    text_hash: str
    reviewed_at: datetime
    is_current: bool
    """Whether no newer text has replaced it."""


class ReviewIdentity(NamedTuple):
    """The review that a row becomes. A tuple, like the others here: one is made for every row."""

    review_id: str
    id_in_source: str | None = None
    """Where it is not the `review_id`."""
    replaces: str | None = None
    """The review that this one is the newer text of."""
    replaced_by: str | None = None
    """The newer text, where this row is the older one."""
    is_repeated: bool = False
    """Whether its id stood before another text already, and this is no edit."""

    @property
    def is_edit(self) -> bool:
        """Whether it is another text of a review."""
        return self.replaces is not None or self.replaced_by is not None


class SourceIds:
    """The ids of one source and the reviews that have them: the stored ones, and those that are added one by one."""

    def __init__(self, source: str, stored: Iterable[StoredId] = (), *, stable: bool) -> None:
        self._source, self._stable = source, stable
        self._taken: set[str] = set()
        self._texts: dict[str, dict[str, StoredId]] = {}
        self._first: dict[str, Brought] = {}
        """New reviews under their source's id, as long as that is brought no second time."""
        self._no_ids: frozenset[str] = frozenset()
        self.extend(stored)

    def extend(self, stored: Iterable[StoredId]) -> None:
        """Take in what is stored under the ids of the next chunk."""
        for one in stored:
            self._take(one)

    def _take(self, one: StoredId) -> None:
        self._taken.add(one.review_id)
        if one.source == self._source:
            self._texts.setdefault(one.id_in_source, {})[one.text_hash] = one

    def begin(self, brought: Iterable[Brought]) -> None:
        """Look at the ids of the next chunk together: some are no ids of reviews."""
        if not self._stable:  # then no row is an edit anyway
            return
        rows = list(brought)
        often = {name for name, times in Counter(one.id_in_source for one in rows).items() if times >= TEXTS_OF_NO_ID}
        texts: dict[str, set[str]] = {name: set() for name in often}
        for one in rows if often else ():
            if one.id_in_source in often:
                texts[one.id_in_source].add(one.text_hash)
        self._no_ids = frozenset(name for name, hashes in texts.items() if len(hashes) >= TEXTS_OF_NO_ID)

    def add(self, brought: Brought) -> ReviewIdentity | None:
        """The new review that a row is; None where it is known."""
        name = brought.id_in_source
        if name not in self._taken and name not in self._texts and not _looks_made(name):  # nearly every row
            self._taken.add(name)
            self._first[name] = brought
            return ReviewIdentity(name)
        if (first := self._first.pop(name, None)) is not None:
            self._take(self._as_stored(first, ReviewIdentity(name)))
        texts = self._texts.get(name, {})
        if brought.text_hash in texts or (brought.is_derived and texts):
            # A derived id is made from the text as it was read: another hash means that texts are cleaned better now.
            return None
        identity = self._other_text(texts, brought)
        self._take(self._as_stored(brought, identity))
        return identity

    def _other_text(self, texts: Mapping[str, StoredId], brought: Brought) -> ReviewIdentity:
        """The identity of a review whose id is in use already, by another source or before another text."""
        review_id = self._free_id(brought)
        identity = ReviewIdentity(review_id, None if review_id == brought.id_in_source else brought.id_in_source)
        current = next((one for one in texts.values() if one.is_current), None)
        return identity if current is None else self._beside(current, identity, brought)

    def _beside(self, current: StoredId, identity: ReviewIdentity, brought: Brought) -> ReviewIdentity:
        if not self._stable or brought.id_in_source in self._no_ids:
            return identity._replace(is_repeated=True)
        if brought.reviewed_at < current.reviewed_at:  # the older text comes later, as from files in another order
            return identity._replace(replaced_by=current.review_id)
        self._take(current._replace(is_current=False))
        return identity._replace(replaces=current.review_id)

    def _as_stored(self, brought: Brought, identity: ReviewIdentity) -> StoredId:
        return StoredId(
            identity.review_id,
            self._source,
            brought.id_in_source,
            brought.text_hash,
            brought.reviewed_at,
            identity.replaced_by is None,
        )

    def _free_id(self, brought: Brought) -> str:
        """The id itself where nobody has it, else with a hash of source, id and text: the same on every run."""
        if brought.id_in_source not in self._taken and not _looks_made(brought.id_in_source):
            return brought.id_in_source
        message = f"{self._source}\0{brought.id_in_source}\0{brought.text_hash}"
        return f"{brought.id_in_source}.{hashlib.sha256(message.encode()).hexdigest()[:DIGEST_CHARS]}"


def _looks_made(name: str) -> bool:
    """Whether a source's id has the form of those with a hash: it never takes the place of one, whoever wrote it."""
    return name[-DIGEST_CHARS - 1 : -DIGEST_CHARS] == "."


def outcome_of(identity: ReviewIdentity, *, is_copy: bool) -> Outcome:
    """How a row that became a review ends."""
    if identity.is_edit:
        return Outcome.EDITED
    return Outcome.DUPLICATE_TEXT if is_copy else Outcome.NEW


def repeated_in_words(repeated: int, rows: int, *, stable: bool) -> str:
    """What a person should know of ids that stand before several texts; all of those texts are taken."""
    found = f"{repeated:,} of {rows:,} rows bring an id that stands before another text already"
    if stable:
        return f"{found}, and some before {TEXTS_OF_NO_ID} or more: it is no id of a review. Map review_id elsewhere"
    return (
        f"{found}; each is a review of its own. If the id is that of a product or an author, leave it out:"
        " source.fields {review_id: []}; if they are edits, set source.stable_ids"
    )
