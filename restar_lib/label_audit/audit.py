"""The audit of stars: which reviews carry stars that their text contradicts, and how far that can be believed.

Every review of a snapshot is read by a model that has not learned from it (`label_quality.confident_learning`), and
that has learned from people's answers where there are some. The audit lists the most doubted stars, counts the doubted
ones by stars and by category, and says how often people agreed where they had answered. It changes no label and no
weight, and reads no database: `label_audit.read_features` brings the features, `label_audit.audit_store` writes the
files. Called by `restar audit-stars`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
from restar_lib.label_quality.confident_learning import FOLDS, judge, out_of_sample

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
class _Judged:
    """A rated review and what is to be said of its stars."""

    example: Example
    side: Side
    expresses: Sentiment
    sure: float
    stars_probability: float
    quality: float
    doubted: bool

    @property
    def stars(self) -> int:
        return self.example.rating or 0

    @property
    def people(self) -> Sentiment | None:
        return self.example.truth if self.example.truth_source is TruthSource.PEOPLE else None

    @property
    def contradicted(self) -> bool:
        """People have answered, and not what the stars suggest."""
        return self.people not in {None, weak_label(self.stars)}


def audit(
    read: EncodedSnapshot, *, top: int, stars: Collection[int] = (), simulated: bool, seed: int, now: datetime
) -> Audit:
    """Audit the stars of a snapshot and list the `top` that are doubted most, where `stars` are named of those alone.

    Raises `NothingToDo` where no review has stars, and where a class has too few reviews to judge any.
    """
    judged = _judge(read, seed=seed)
    doubted = sorted((one for one in judged if one.doubted), key=lambda one: (one.quality, one.example.review_id))
    return Audit(
        snapshot_hash=read.snapshot.snapshot_hash,
        simulated=simulated,
        audited_at=now,
        encoder=read.encoder,
        rows=len(judged),
        doubted=len(doubted),
        by_stars=tuple(
            _group(str(stars), [one for one in judged if one.stars == stars])
            for stars in sorted({one.stars for one in judged})
        ),
        by_category=_by_category(judged),
        agreement=_agreement(judged),
        listed=tuple(_listed(one) for one in [one for one in doubted if not stars or one.stars in stars][:top]),
    )


def _judge(read: EncodedSnapshot, *, seed: int) -> list[_Judged]:
    if all(one.rating is None for one in read.examples):
        raise NothingToDo("no review of this snapshot has stars: there is nothing to audit")
    truth = truth_of(read.examples)
    weights = np.array([one.weight for one in read.examples])
    counts = np.bincount(truth, minlength=len(SENTIMENTS))
    if counts.min() < FOLDS:
        rarest = SENTIMENTS[int(counts.argmin())]
        raise NothingToDo(f"{counts.min()} reviews are {rarest}: too few to say what stars should be; ingest more")
    probabilities = out_of_sample(read.features, truth, weights, folds=FOLDS, seed=seed)
    rated = np.array([row for row, one in enumerate(read.examples) if one.rating is not None], dtype=np.int64)
    given = np.array([weak_label(read.examples[row].rating or 0).position for row in rated], dtype=np.int64)
    found = judge(given, probabilities[rated])
    return [
        _Judged(
            example=read.examples[row],
            side=read.sides[row],
            expresses=SENTIMENTS[int(probabilities[row].argmax())],
            sure=float(probabilities[row].max()),
            stars_probability=float(probabilities[row, given[at]]),
            quality=float(found.quality[at]),
            doubted=bool(found.doubted[at]),
        )
        for at, row in enumerate(rated)
    ]


def _group(name: str, judged: Sequence[_Judged]) -> DoubtedShare:
    doubted = [one for one in judged if one.doubted]
    negative, neutral, positive = (sum(one.expresses is sentiment for one in doubted) for sentiment in SENTIMENTS)
    return DoubtedShare(name=name, rows=len(judged), doubted=len(doubted), expresses=(negative, neutral, positive))


def _by_category(judged: Sequence[_Judged]) -> tuple[DoubtedShare, ...]:
    names = {one.example.product_category or NO_CATEGORY for one in judged}
    groups = [
        _group(name, [one for one in judged if (one.example.product_category or NO_CATEGORY) == name]) for name in names
    ]
    large = [group for group in groups if group.rows >= MIN_CATEGORY_ROWS]
    return tuple(sorted(large, key=lambda group: (-group.share, group.name)))


def _agreement(judged: Sequence[_Judged]) -> Agreement | None:
    answered = [one for one in judged if one.people is not None]
    doubted, believed = ([one for one in answered if one.doubted is said] for said in (True, False))
    if not answered:
        return None
    return Agreement(
        doubted=len(doubted),
        doubted_contradicted=sum(one.contradicted for one in doubted),
        believed=len(believed),
        believed_contradicted=sum(one.contradicted for one in believed),
    )


def _listed(one: _Judged) -> DoubtedReview:
    return DoubtedReview(
        review_id=one.example.review_id,
        side=one.side,
        stars=one.stars,
        expresses=one.expresses,
        sure=round(one.sure, 4),
        stars_probability=round(one.stars_probability, 4),
        doubt=round(1 - one.quality, 4),
        people=one.people,
        product_category=one.example.product_category,
        reviewed_at=one.example.reviewed_at,
        text=one.example.text,
    )
