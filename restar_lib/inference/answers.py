"""One model's answers, as `POST /predict` and `restar predict` give them.

Turns the arrays of the engine into one `Answer` for each text, or for a text and each of its sentences. No HTTP, no
files, no cleaning: texts are read as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from restar_lib.domain import SENTIMENTS, AbstainReason, Sentiment
from restar_lib.inference.abstaining import abstain_reasons
from restar_lib.inference.engine import InferenceEngine, Predictions
from restar_lib.sentences import Sentence

LOWEST_STARS, HIGHEST_STARS = 1.0, 5.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one text expresses."""

    sentiment: Sentiment
    confidence: float
    """The largest probability."""
    probabilities: tuple[float, ...]
    """In the order of `SENTIMENTS`."""
    abstain_reason: AbstainReason | None
    """None where the model answers."""
    stars: float
    """Expected stars, 1.0 to 5.0."""
    truncated: bool
    """The text was longer than the model's window; not all of it was read."""

    @property
    def abstained(self) -> bool:
        """Whether the answer is none to rely on; a person should look."""
        return self.abstain_reason is not None

    @property
    def score(self) -> float:
        """The stars in [0, 1]."""
        return (self.stars - LOWEST_STARS) / (HIGHEST_STARS - LOWEST_STARS)


@dataclass(frozen=True, kw_only=True)
class SentenceAnswers:
    """A text, and each of its sentences, read by the same model."""

    whole: Answer
    sentences: tuple[tuple[Sentence, Answer], ...]


def answer_all(model: InferenceEngine, texts: Sequence[str], *, batch_size: int = 16) -> list[Answer]:
    """An answer for each text, in their order."""
    predictions = model.predict(texts, batch_size=batch_size)
    stars = model.expected_stars(predictions.probabilities)
    reasons = abstain_reasons(model, texts, predictions)
    return [_answer(predictions, row, stars=float(stars[row]), reason=reason) for row, reason in enumerate(reasons)]


def answer_sentences(
    model: InferenceEngine, review: str, sentences: Sequence[Sentence], *, batch_size: int = 16
) -> SentenceAnswers:
    """An answer for the review and for each sentence of its text; a review that is one sentence is read once.

    `review` is the whole text that the model reads, after its title where the model reads titles; no sentence has it.
    """
    if [one.text for one in sentences] == [review]:
        (whole,) = answer_all(model, [review])
        return SentenceAnswers(whole=whole, sentences=((sentences[0], whole),))
    whole, *parts = answer_all(model, [review, *(one.text for one in sentences)], batch_size=batch_size)
    return SentenceAnswers(whole=whole, sentences=tuple(zip(sentences, parts, strict=True)))


def _answer(predictions: Predictions, row: int, *, stars: float, reason: AbstainReason | None) -> Answer:
    return Answer(
        sentiment=SENTIMENTS[int(predictions.classes[row])],
        confidence=float(predictions.confidence[row]),
        probabilities=tuple(float(value) for value in predictions.probabilities[row]),
        abstain_reason=reason,
        stars=stars,
        truncated=bool(predictions.truncated[row]),
    )
