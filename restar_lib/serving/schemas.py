"""The bodies of the HTTP API: requests and answers. The contract of DESIGN section 10.

Only shapes: limits that depend on the configuration (length, batch size) are checked in `api`, which has the settings.
Unknown fields are ignored, so that a client may send its whole review.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from restar_lib.domain import AbstainReason, Sentiment
from restar_lib.ingest.cleaning.clean import MAX_TITLE_CHARS


class Body(BaseModel):
    """A request or an answer. pydantic reserves names that begin with `model_`; ours is `model_version`."""

    model_config = ConfigDict(protected_namespaces=())


class ReviewIn(Body):
    """One review."""

    text: str = Field(min_length=1, pattern=r"\S", examples=["The lamp is bright and well made, I would buy it again."])
    title: str | None = Field(
        default=None,
        max_length=MAX_TITLE_CHARS,
        description="Read where `reads_titles` of `GET /model/info` says so, unless it names the stars.",
    )


def _as_review(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class BatchIn(Body):
    """Several reviews, each an object or just its text."""

    reviews: list[Annotated[ReviewIn, BeforeValidator(_as_review)]] = Field(min_length=1)


class Probabilities(Body):
    """Calibrated; they sum to 1."""

    negative: float
    neutral: float
    positive: float


class Prediction(Body):
    """What one review expresses."""

    sentiment: Sentiment
    confidence: float = Field(description="The largest probability.")
    probabilities: Probabilities
    abstained: bool = Field(description="This is no answer to rely on; a person should look.")
    abstain_reason: AbstainReason | None = Field(
        description="Why: `low_confidence`; `language`, the text is in none that the model reads (`languages` of "
        "`GET /model/info`); `unreadable`, there is no word in it that the model knows. null where it answers."
    )
    stars: float = Field(description="Expected stars, 1.0 to 5.0.")
    score: float = Field(description="The same in [0, 1]: (stars - 1) / 4.")
    model_version: str
    truncated: bool = Field(description="The text was longer than the model's window; not all of it was read.")


class BatchOut(Body):
    """Predictions in the order of the reviews, all by one model version."""

    predictions: list[Prediction]
    total_count: int
    processing_time_ms: float


class SentencePrediction(Prediction):
    """What one sentence expresses, read by itself; `text[start:end]` of the answer's `text`."""

    text: str
    start: int = Field(description="Where it begins in `text`, counted in characters (Unicode code points).")
    end: int = Field(description="Where it ends; the character there is no part of it.")


class SentencesOut(Body):
    """A text as it was read, what the whole of it expresses, and what each of its sentences does."""

    text: str = Field(description="The text without markup, on one line: places are counted in it.")
    prediction: Prediction
    sentences: list[SentencePrediction]
    total_count: int = Field(description="How many sentences there are.")
    processing_time_ms: float


class RefusedModel(Body):
    """A release that this process did not take; it stays with the model it has."""

    release_id: int
    model_version: str
    reason: str


class ModelInfoOut(Body):
    """What serves. All but `refused` and `notice` are null while there is no model."""

    model_version: str | None = None
    release_id: int | None = None
    provisional: bool | None = Field(default=None, description="Under the floors, better than the commonest class.")
    simulated: bool | None = Field(default=None, description="Trained on made-up reviews.")
    released_at: datetime | None = None
    loaded_at: datetime | None = None
    mode: str | None = None
    encoder: str | None = None
    snapshot_hash: str | None = None
    created_at: str | None = None
    max_tokens: int | None = None
    reads_titles: bool | None = None
    languages: tuple[str, ...] | None = Field(
        default=None, description="ISO 639-1 codes of what the model reads, `*` for all."
    )
    abstain_below: float | None = None
    notice: str | None = Field(default=None, description="What must be said beside every answer.")
    refused: RefusedModel | None = None


class HealthOut(Body):
    """The process is alive, or ready."""

    status: str
    model_version: str | None = None


class ErrorOut(Body):
    """Every error has this shape."""

    error: str
    detail: str
