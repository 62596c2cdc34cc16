"""The six columns that drift is measured on, and the reference columns that each model carries.

The same functions compute the reference (in training, over rows that the model was not trained on) and the newest
window (in `monitoring.watch`), so both sides of a comparison mean the same. `reference.json` in a model folder is
`Reference.to_json()`: columns of equal length and the words of the training split. Only the standard library, because
training, drift and tests import it; it draws no sample, reads no database and judges nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from restar_lib.domain import SENTIMENTS, Sentiment
from restar_lib.errors import ArtifactError

REFERENCE_FILE = "reference.json"
FORMAT = 1
MAX_VOCABULARY = 20_000
UNKNOWN_CATEGORY = "(none)"
"""The category of a review without one, so that drift of missing categories is measured too."""

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def words_of(text: str) -> list[str]:
    """The words of `text`, casefolded: letters with inner apostrophes; numbers and punctuation are no words."""
    return _WORD.findall(text.casefold())


def text_length(text: str) -> int:
    """Length in words, separated by white space."""
    return len(text.split())


def vocabulary_of(texts: Iterable[str], *, limit: int = MAX_VOCABULARY) -> tuple[str, ...]:
    """The `limit` commonest words of the training split, sorted; ties go to the alphabet, so it is reproducible."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(words_of(text))
    commonest = sorted(counts, key=lambda word: (-counts[word], word))[:limit]
    return tuple(sorted(commonest))


def oov_share(text: str, vocabulary: AbstractSet[str]) -> float:
    """Share in [0, 1] of the words of `text` that the training split did not have; 0 for a text without words."""
    words = words_of(text)
    return sum(word not in vocabulary for word in words) / len(words) if words else 0.0


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Some reviews with their predictions, column by column; all columns are equally long."""

    text_length: tuple[int, ...]
    oov_share: tuple[float, ...]
    product_category: tuple[str, ...]
    """`UNKNOWN_CATEGORY` where a review has none."""
    rating: tuple[int | None, ...]
    predicted: tuple[Sentiment, ...]
    confidence: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"drift columns differ in length: {lengths}")

    @property
    def rows(self) -> int:
        """Number of reviews."""
        return len(self.confidence)

    @property
    def class_shares(self) -> dict[Sentiment, float]:
        """Share of each predicted class; all zero without rows."""
        counts = Counter(self.predicted)
        return {sentiment: counts[sentiment] / max(self.rows, 1) for sentiment in SENTIMENTS}

    @property
    def mean_confidence(self) -> float:
        """Mean confidence; 0 without rows."""
        return sum(self.confidence) / max(self.rows, 1)


COLUMN_NAMES: tuple[str, ...] = tuple(field.name for field in fields(Columns))


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One review and one model's prediction for it."""

    text: str
    product_category: str | None
    rating: int | None
    predicted: Sentiment
    confidence: float


def columns_of(observations: Iterable[Observation], vocabulary: AbstractSet[str]) -> Columns:
    """The drift columns of `observations`, in their order."""
    rows = list(observations)
    return Columns(
        text_length=tuple(text_length(row.text) for row in rows),
        oov_share=tuple(round(oov_share(row.text, vocabulary), 6) for row in rows),
        product_category=tuple(row.product_category or UNKNOWN_CATEGORY for row in rows),
        rating=tuple(row.rating for row in rows),
        predicted=tuple(row.predicted for row in rows),
        confidence=tuple(round(row.confidence, 6) for row in rows),
    )


@dataclass(frozen=True)
class Reference:
    """What reviews and predictions looked like when a model was trained."""

    columns: Columns
    vocabulary: tuple[str, ...]

    @cached_property
    def vocabulary_set(self) -> frozenset[str]:
        """The vocabulary for `oov_share`."""
        return frozenset(self.vocabulary)

    def to_json(self) -> dict[str, Any]:
        """The content of `reference.json`."""
        return {
            "format": FORMAT,
            "rows": self.columns.rows,
            "class_shares": {str(name): round(share, 6) for name, share in self.columns.class_shares.items()},
            "mean_confidence": round(self.columns.mean_confidence, 6),
            "columns": asdict(self.columns),
            "vocabulary": self.vocabulary,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError where it is something else."""
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
        columns = {name: tuple(content["columns"][name]) for name in COLUMN_NAMES}
        columns["predicted"] = tuple(Sentiment(value) for value in columns["predicted"])
        return cls(columns=Columns(**columns), vocabulary=tuple(content["vocabulary"]))


def write_reference(folder: Path, reference: Reference) -> None:
    """Write `reference.json` into a model's work folder (before it is sealed)."""
    content = json.dumps(reference.to_json(), ensure_ascii=False, separators=(",", ":"))
    (folder / REFERENCE_FILE).write_text(content, encoding="utf-8")


def read_reference(folder: Path) -> Reference:
    """The reference of the model in `folder`. Raises `ArtifactError` where it is missing or not one of ours."""
    path = folder / REFERENCE_FILE
    try:
        return Reference.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: no usable drift reference ({type(error).__name__}: {error}); "
            "train and release a new model, the reference is written with it"
        ) from error
