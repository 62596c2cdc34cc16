"""Demo labelers: programs that answer the queue as people would, so that the loop runs without people.

They use `labeling.leases` alone, as the desk does. They answer what the review truly expresses (the simulator knows;
on real reviews the stars are taken for it) and err at `labeling.demo_error_rate`, on the same reviews every time. Where
no stars are neutral they do not err towards it: a source of two classes would get a third one by made-up mistakes.
Their labels stay marked `source = demo`. Started as a program of its own: `restar label-demo`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from sqlalchemy import Engine

from restar_lib.domain import SENTIMENTS, LabelSource, Review, Sentiment, weak_label
from restar_lib.errors import LeaseLost
from restar_lib.ingest.stored_reviews import has_stars, reviews_by_id
from restar_lib.labeling import leases
from restar_lib.labeling.leases import Claim
from restar_lib.settings import Settings
from restar_lib.simulator.reviews import true_sentiment

logger = logging.getLogger(__name__)

HASH_RANGE = 2**64


def answer_all(
    engine: Engine,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    limit: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Let all demo labelers work at once until the queue holds nothing for them, or until `limit` labels are given.

    Returns how many labels they gave; `progress` is called with the count after each.
    """
    began = now()
    budget = LabelBudget(limit=limit, progress=progress)
    sayable = _sayable(engine, settings)
    names = [f"demo-{number}" for number in range(1, settings.labeling.demo_labelers + 1)]
    with ThreadPoolExecutor(len(names)) as pool:
        workers = [
            pool.submit(_work, engine, settings, labeler=name, now=now, budget=budget, sayable=sayable)
            for name in names
        ]
    for worker in workers:
        worker.result()
    seconds = (now() - began).total_seconds()
    logger.info("%d demo labelers gave %d labels in %.0f s", len(names), budget.given, seconds)
    return budget.given


def demo_answer(review: Review, settings: Settings, *, sayable: Sequence[Sentiment] = SENTIMENTS) -> Sentiment | None:
    """What a demo labeler says about this review, mistakes included; None where that is unknown (no stars).

    A mistake is one of the `sayable` sentiments, of which there are two at least.
    """
    truth = _truth(review, settings)
    if truth is None or _hash(review.review_id, "errs") >= settings.labeling.demo_error_rate * HASH_RANGE:
        return truth
    others = [sentiment for sentiment in sayable if sentiment is not truth]
    return others[_hash(review.review_id, "which") % len(others)]


@dataclass(kw_only=True)
class LabelBudget:
    """Counts the labels of all threads, and stops them at the limit."""

    limit: int | None
    progress: Callable[[int], None]
    given: int = 0
    _reserved: int = 0
    _lock: Lock = field(default_factory=Lock)

    def reserve(self) -> bool:
        """Reserve one more label; False where the limit is reached."""
        with self._lock:
            if self.limit is not None and self._reserved >= self.limit:
                return False
            self._reserved += 1
            return True

    def record(self, *, labeled: bool) -> None:
        """The reserved label was given, or was not."""
        with self._lock:
            self._reserved -= not labeled
            self.given += labeled
            if labeled:
                self.progress(self.given)


def _sayable(engine: Engine, settings: Settings) -> tuple[Sentiment, ...]:
    """What these reviews may express, as far as their stars say."""
    if settings.source.kind == "simulated" or has_stars(engine, 3):
        return SENTIMENTS
    return (Sentiment.NEGATIVE, Sentiment.POSITIVE)


def _work(
    engine: Engine,
    settings: Settings,
    *,
    labeler: str,
    now: Callable[[], datetime],
    budget: LabelBudget,
    sayable: Sequence[Sentiment],
) -> None:
    lease = settings.labeling.lease_seconds
    while budget.reserve():
        claim = leases.claim(engine, labeler=labeler, now=now(), lease_seconds=lease)
        if claim is None:
            budget.record(labeled=False)
            return
        with engine.connect() as connection:
            review = reviews_by_id(connection, [claim.review_id])[claim.review_id]
        said = demo_answer(review, settings, sayable=sayable)
        budget.record(labeled=_answer(engine, settings, said, claim=claim, labeler=labeler, now=now))


def _answer(
    engine: Engine,
    settings: Settings,
    sentiment: Sentiment | None,
    *,
    claim: Claim,
    labeler: str,
    now: Callable[[], datetime],
) -> bool:
    held = {"task_id": claim.task_id, "token": claim.token}
    try:
        if sentiment is None:
            leases.skip(engine, **held, labeler=labeler, now=now(), settings=settings)
            return False
        source = LabelSource.DEMO
        leases.submit(engine, **held, labeler=labeler, sentiment=sentiment, source=source, now=now(), settings=settings)
    except LeaseLost as lost:
        # Another process was faster, such as a second `restar label-demo` under the same names; its answer counts.
        logger.info("%s moves on: %s", labeler, lost)
        return False
    return True


def _truth(review: Review, settings: Settings) -> Sentiment | None:
    if settings.source.kind == "simulated" and review.source == settings.source.name:
        return true_sentiment(review.review_id, settings.simulated)
    return None if review.rating is None else weak_label(review.rating)


def _hash(review_id: str, purpose: str) -> int:
    digest = hashlib.blake2b(review_id.encode(), digest_size=8, person=f"demo {purpose}".encode()).digest()
    return int.from_bytes(digest)
