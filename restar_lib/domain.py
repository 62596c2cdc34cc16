"""The words of Re*Star as types: what crosses from one module to another.

Pure data and the few rules that belong to it; no I/O, no clock, no configuration. The string values are the ones in
SQL, YAML, HTTP and logs; a test compares them with Postgres' own enums.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Sentiment(StrEnum):
    """What a review expresses. The order is the order of a model's three outputs."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"

    @property
    def position(self) -> int:
        """Position of this class in every probability array: 0 negative, 1 neutral, 2 positive."""
        return SENTIMENTS.index(self)


SENTIMENTS: tuple[Sentiment, ...] = tuple(Sentiment)


def weak_label(rating: int) -> Sentiment:
    """The sentiment that the stars suggest: 1-2 negative, 3 neutral, 4-5 positive."""
    if rating <= 2:
        return Sentiment.NEGATIVE
    return Sentiment.NEUTRAL if rating == 3 else Sentiment.POSITIVE


class Side(StrEnum):
    """The side of the split that a text is on, decided for good by a keyed hash of its normalised text."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Outcome(StrEnum):
    """How reading one row ended; every row read ends in exactly one."""

    NEW = "new"
    EDITED = "edited"
    """Another text of a known review: the newer one counts, the older one stays with its predictions and labels."""
    ALREADY_KNOWN = "already_known"
    DUPLICATE_TEXT = "duplicate_text"
    QUARANTINED = "quarantined"


class QuarantineReason(StrEnum):
    """Why a row was not taken."""

    MALFORMED = "malformed"
    MISSING_TEXT = "missing_text"
    BAD_RATING = "bad_rating"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    BLOCKLISTED = "blocklisted"
    FORGOTTEN = "forgotten"
    """Its author asked to be erased: the row is counted, and nothing of it is stored."""


class ForgottenKind(StrEnum):
    """What a tombstone refuses: all reviews of a person, one review, or one row that was never taken."""

    USER = "user"
    REVIEW = "review"
    ROW = "row"


class Reason(StrEnum):
    """Why a review is in the labeling queue."""

    UNCERTAIN = "uncertain"
    AUDIT = "audit"
    DISAGREEMENT = "disagreement"
    GOLD = "gold"
    FEEDBACK = "feedback"


class TaskStatus(StrEnum):
    """The state of a task.

    open -> claimed (a lease with a fencing token) -> done (enough labels) -> merged (its consensus is in a snapshot).
    A skip, a release or an expired lease leads from claimed back to open; undo leads from done back to claimed.
    """

    OPEN = "open"
    CLAIMED = "claimed"
    DONE = "done"
    MERGED = "merged"


class SetAside(StrEnum):
    """What an open task waits for that everybody who labels has answered or skipped."""

    SKIPPED = "skipped"
    """Everybody skipped it: it waits for somebody new, or until it is brought back."""
    TOO_FEW = "too_few"
    """Some answered, the others skipped it: it waits for one more person (`labeling.labels_per_task`)."""
    DISAGREE = "disagree"
    """Enough answered and none of the answers leads: it waits for a second look of each, or for somebody new."""


class LabelSource(StrEnum):
    """Who gave a label: it stays with the label for ever."""

    PERSON = "person"
    DEMO = "demo"


class AbstainReason(StrEnum):
    """Why a model does not answer: each is about one text and one model."""

    LOW_CONFIDENCE = "low_confidence"
    LANGUAGE = "language"
    """The text is in a language that the model does not read."""
    UNREADABLE = "unreadable"
    """There is no word in it, or none that the model's vocabulary knows."""


class TruthSource(StrEnum):
    """Where the truth of a review comes from: the consensus of people, else its stars."""

    PEOPLE = "people"
    STARS = "stars"


class ReleaseKind(StrEnum):
    """Why the champion changed: a person or the gate released, somebody rolled back, a failed probe returned."""

    RELEASE = "release"
    ROLL_BACK = "roll_back"
    RETURN = "return"


@dataclass(frozen=True, kw_only=True)
class Review:
    """One cleaned customer text: as cleaning makes it, and as it is read back from table `review`."""

    review_id: str
    source: str
    text: str
    title: str | None
    """None where there was none, or where it leaked the stars ("Five Stars")."""
    rating: int | None
    """1 to 5; None only for reviews that came as feedback."""
    asin: str | None
    parent_asin: str | None
    product_category: str | None
    user_id: str | None
    reviewed_at: datetime
    text_hash: str
    """SHA-256 (hex) of the normalised text: copies of one text share it."""
    words: int
    """By blanks, and by segments in scripts without them (`languages.words`)."""
    language: str | None = None
    """ISO 639-1 code; None where the text does not tell it, and for reviews from before it was looked for."""

    @property
    def stars(self) -> int:
        """The rating, for callers that read rated reviews alone. Raises `ValueError` where there is none."""
        if self.rating is None:
            raise ValueError(f"review {self.review_id} has no stars")
        return self.rating

    def model_text(self, *, titles: bool) -> str:
        """The text as a model reads it, its title in front where `titles`."""
        return with_title(self.text, self.title) if titles else self.text


def with_title(text: str, title: str | None) -> str:
    """What a model that reads titles is given; ingest has dropped titles that name the stars."""
    return f"{title}. {text}" if title else text


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row of a snapshot: a text and what it truly expresses."""

    review_id: str
    text: str
    truth: Sentiment
    truth_source: TruthSource
    weight: float
    """Instance weight in training: people outweigh stars."""
    rating: int | None
    product_category: str | None
    reviewed_at: datetime
