"""The audit of stars: which reviews carry stars that their text contradicts, and how far that can be believed.

Every review of a snapshot is read by a model that has not learned from it (`label_quality.confident_learning`), and
that has learned from people's answers where there are some. The audit lists the most doubted stars, counts the doubted
ones by stars and by category, and says how often people agreed where they had answered. It changes no label and no
weight, and reads no database: `label_audit.read_features` brings the features, `label_audit.audit_store` writes the
files. Called by `restar audit-stars`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import SENTIMENTS, Example, Sentiment, Side, TruthSource, weak_label
from restar_lib.errors import NothingToDo
from restar_lib.feature_scaling import Features
from restar_lib.label_quality.confident_learning import (
    FOLDS,
    Flags,
    Integers,
    LabelDoubt,
    judge,
    out_of_sample,
    rarest_class,
)

FORMAT: Final = 1
MIN_CATEGORY_ROWS: Final = 20
"""The share of a smaller category says nothing."""
NO_CATEGORY: Final = "none"


class AuditPart(BaseModel):
    """A frozen piece of the audit."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DoubtedReview(AuditPart):
    """One review whose stars most likely lie."""

    review_id: str
    side: Side
    stars: int
    expresses: Sentiment
    sure: float
    """Probability of that sentiment, by a model that has not learned from this review."""
    stars_probability: float
    """Probability of the sentiment that the stars suggest."""
    doubt: float
    """In [0, 1]; 1 where the text contradicts the stars most surely."""
    people: Sentiment | None
    """What people said, where they have answered."""
    product_category: str | None
    reviewed_at: datetime
    text: str


class DoubtedShare(AuditPart):
    """The doubted share of one group of reviews."""

    name: str
    rows: int
    doubted: int
    expresses: tuple[int, int, int]
    """What the texts of the doubted ones express, in the order of `SENTIMENTS`."""

    @property
    def share(self) -> float:
        """How much of the group is doubted."""
        return self.doubted / self.rows if self.rows else 0.0


class Agreement(AuditPart):
    """What people said about the reviews that they answered: the audit's own test."""

    doubted: int
    """Answered reviews whose stars are doubted."""
    doubted_contradicted: int
    """Of those, how many people gave another sentiment than the stars."""
    believed: int
    """Answered reviews whose stars are not doubted."""
    believed_contradicted: int


class Audit(AuditPart):
    """The whole result: what the JSON holds and the page is drawn from."""

    format: int = FORMAT
    snapshot_hash: str
    simulated: bool
    audited_at: datetime
    encoder: str
    rows: int
    """Reviews with stars."""
    doubted: int
    """How many of those stars confident learning takes for wrong."""
    by_stars: tuple[DoubtedShare, ...]
    by_category: tuple[DoubtedShare, ...]
    """Categories with enough rows, the one with the largest doubted share first."""
    agreement: Agreement | None
    """None where people have answered none of these reviews."""
    listed: tuple[DoubtedReview, ...]
    """The most doubted first."""


@dataclass(frozen=True, kw_only=True)
class EncodedSnapshot:
    """A snapshot's reviews and their features [n, d], all three sides together."""

    snapshot: Snapshot
    examples: tuple[Example, ...]
    sides: tuple[Side, ...]
    features: Features
    encoder: str


@dataclass(frozen=True, kw_only=True)
class _JudgedStars:
    """The stars of all rated reviews of a snapshot, column by column [n]."""

    rows: Integers
    """Which examples of the snapshot these are."""
    stars: Integers
    suggested: Integers
    """The class that the stars suggest."""
    people: Integers
    """The class that people gave; -1 where nobody has answered."""
    doubt: LabelDoubt

    @property
    def expresses(self) -> Integers:
        """The likeliest class of each text."""
        return np.asarray(self.doubt.probabilities.argmax(axis=1))

    @property
    def answered(self) -> Flags:
        """Reviews that people have answered."""
        return self.people >= 0

    @property
    def contradicted(self) -> Flags:
        """People have answered, and not what the stars suggest."""
        return np.asarray(self.answered & (self.people != self.suggested))


def audit(
    read: EncodedSnapshot, *, top: int, stars: Collection[int] = (), simulated: bool, seed: int, now: datetime
) -> Audit:
    """Audit the stars of a snapshot and list the `top` that are doubted most, where `stars` are named of those alone.

    Raises `NothingToDo` where no review has stars, and where a class has too few reviews to judge any.
    """
    judged = _judge(read, seed=seed)
    listed = judged.doubt.doubted & (np.isin(judged.stars, list(stars)) if stars else True)
    return Audit(
        snapshot_hash=read.snapshot.snapshot_hash,
        simulated=simulated,
        audited_at=now,
        encoder=read.encoder,
        rows=len(judged.rows),
        doubted=int(judged.doubt.doubted.sum()),
        by_stars=tuple(_group(str(one), judged, judged.stars == one) for one in np.unique(judged.stars)),
        by_category=_by_category(read, judged),
        agreement=_agreement(judged),
        listed=tuple(_most_doubted(read, judged, listed))[:top],
    )


def _judge(read: EncodedSnapshot, *, seed: int) -> _JudgedStars:
    if all(one.rating is None for one in read.examples):
        raise NothingToDo("no review of this snapshot has stars: there is nothing to audit")
    truth = truth_of(read.examples)
    weights = np.array([one.weight for one in read.examples])
    rarest, fewest = rarest_class(truth)
    if fewest < FOLDS:
        raise NothingToDo(f"{fewest} reviews are {rarest}: too few to say what stars should be; ingest more")
    probabilities = out_of_sample(read.features, truth, weights, folds=FOLDS, seed=seed)
    rows = np.array([row for row, one in enumerate(read.examples) if one.rating is not None], dtype=np.int64)
    stars = np.array([read.examples[row].rating for row in rows], dtype=np.int64)
    suggested = np.array([weak_label(int(one)).position for one in stars], dtype=np.int64)
    answered = np.array([read.examples[row].truth_source is TruthSource.PEOPLE for row in rows])
    return _JudgedStars(
        rows=rows,
        stars=stars,
        suggested=suggested,
        people=np.where(answered, truth[rows], -1),
        doubt=judge(suggested, probabilities[rows]),
    )


def _group(name: str, judged: _JudgedStars, among: Flags) -> DoubtedShare:
    doubted = judged.doubt.doubted & among
    negative, neutral, positive = np.bincount(judged.expresses[doubted], minlength=len(SENTIMENTS)).tolist()
    expresses = (negative, neutral, positive)
    return DoubtedShare(name=name, rows=int(among.sum()), doubted=int(doubted.sum()), expresses=expresses)


def _by_category(read: EncodedSnapshot, judged: _JudgedStars) -> tuple[DoubtedShare, ...]:
    categories = np.array([read.examples[row].product_category or NO_CATEGORY for row in judged.rows])
    groups = [_group(str(name), judged, categories == name) for name in np.unique(categories)]
    large = [group for group in groups if group.rows >= MIN_CATEGORY_ROWS]
    return tuple(sorted(large, key=lambda group: (-group.share, group.name)))


def _agreement(judged: _JudgedStars) -> Agreement | None:
    if not judged.answered.any():
        return None
    doubted = judged.doubt.doubted
    return Agreement(
        doubted=int((judged.answered & doubted).sum()),
        doubted_contradicted=int((judged.contradicted & doubted).sum()),
        believed=int((judged.answered & ~doubted).sum()),
        believed_contradicted=int((judged.contradicted & ~doubted).sum()),
    )


def _most_doubted(read: EncodedSnapshot, judged: _JudgedStars, listed: Flags) -> Iterator[DoubtedReview]:
    """The reviews that `listed` marks, the most doubted first."""

    def order(at: int) -> tuple[float, str]:
        return float(judged.doubt.quality[at]), read.examples[judged.rows[at]].review_id

    for at in sorted(np.flatnonzero(listed).tolist(), key=order):
        row = judged.rows[at]
        example, probabilities = read.examples[row], judged.doubt.probabilities[at]
        yield DoubtedReview(
            review_id=example.review_id,
            side=read.sides[row],
            stars=int(judged.stars[at]),
            expresses=SENTIMENTS[int(judged.expresses[at])],
            sure=round(float(probabilities.max()), 4),
            stars_probability=round(float(probabilities[judged.suggested[at]]), 4),
            doubt=round(1 - float(judged.doubt.quality[at]), 4),
            people=example.truth if judged.answered[at] else None,
            product_category=example.product_category,
            reviewed_at=example.reviewed_at,
            text=example.text,
        )
