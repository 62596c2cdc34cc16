"""Which reviews deserve a person: pure functions on arrays.

Two ways lead into the labeling queue. `uncertain`: the model's calibrated confidence is below the threshold; the most
ambiguous come first and at most `max_tasks` of a run are taken. `audit`: a keyed hash of the review id draws a known
share of the stream, whatever the model says, the same reviews on every re-run; audits are never cut, and the rate is
stored with each, so that production accuracy can be estimated by inverse-probability weighting.

People are asked only about reviews in certain languages (`is_asked_in`): what is drawn is drawn among those, so figures
of audits are about them alone.

Reads no database, draws no random number, spreads nothing over clusters yet. Called by batch scoring; what it returns
goes to `labeling.queue.enqueue`. `label_audit.ask_people` queues reviews for another reason (`disagreement`, after a
training and by hand), whose audit draw must not be lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import Reason
from restar_lib.languages.identify import EVERY

HASH_RANGE = 2**64
SKIPPED_AUDIT = 2.0
"""Priority from which on skipped audits lie, above all others: `labeling.leases.skip` adds one to that of an audit."""


class SelectionRule(Protocol):
    """How many are asked about, and which share is drawn at random: section `selection` of the settings has these."""

    @property
    def max_tasks(self) -> int:
        """Uncertain reviews that one scoring run may queue."""

    @property
    def audit_rate(self) -> float:
        """Share of the stream that is drawn at random, in [0, 1]."""

    @property
    def audit_key(self) -> str:
        """Key of the hash that draws it."""


@dataclass(frozen=True, kw_only=True)
class Selected:
    """One review that a person should read, and how it was drawn."""

    review_id: str
    reasons: tuple[Reason, ...]
    priority: float
    """Higher is asked first: the ambiguity in [0, 1], audits in [1, 2), once somebody skipped them in [2, 3)."""
    inclusion_probability: float
    """Probability with which this review got here: 1 where uncertainty or doubt decided, else the audit rate."""
    audit_rate: float | None
    """The audit rate in force when it was drawn as an audit, else None."""


def select(
    review_ids: Sequence[str],
    confidence: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    *,
    config: SelectionRule,
    abstain_below: float,
) -> list[Selected]:
    """The reviews of one scoring run that people should answer, in the order of asking.

    `confidence` has shape [n], `probabilities` [n, 3]; both calibrated. Raises ValueError where the shapes disagree.
    """
    count = len(review_ids)
    if confidence.shape != (count,) or probabilities.shape != (count, 3):
        raise ValueError(
            f"{count} review ids, but confidence {confidence.shape} and probabilities {probabilities.shape}"
        )
    ambiguity = margin_ambiguity(probabilities)
    uncertain = most_ambiguous(ambiguity, among=confidence < abstain_below, limit=config.max_tasks)
    audit = audit_draw(review_ids, rate=config.audit_rate, key=config.audit_key)
    chosen = [
        _selected(
            review_id,
            ambiguity=float(doubt),
            because=Reason.UNCERTAIN if unsure else None,
            audit=bool(drawn),
            config=config,
        )
        for review_id, doubt, unsure, drawn in zip(review_ids, ambiguity, uncertain, audit, strict=True)
        if unsure or drawn
    ]
    return sorted(chosen, key=lambda one: (-one.priority, one.review_id))


def select_doubted(doubt: Mapping[str, float], *, unread: Collection[str], config: SelectionRule) -> list[Selected]:
    """Reviews whose stars are doubted, all of them, by review id with their doubt in [0, 1].

    A review has one task, so those that scoring has yet to read (`unread`) take their audit draw along: else every
    audit among them would be lost, and what is left would be too easy a sample of the stream. Those that were read have
    had their draw.
    """
    audit = audit_draw(list(doubt), rate=config.audit_rate, key=config.audit_key)
    return [
        _selected(
            review_id,
            ambiguity=one,
            because=Reason.DISAGREEMENT,
            audit=bool(drawn) and review_id in unread,
            config=config,
        )
        for (review_id, one), drawn in zip(doubt.items(), audit, strict=True)
    ]


def is_asked_in(language: str | None, languages: Collection[str]) -> bool:
    """Whether people are asked about a review in `language` (None: not known) where they are asked in `languages`."""
    return language is None or EVERY in languages or language in languages


def audit_draw(review_ids: Sequence[str], *, rate: float, key: str) -> NDArray[np.bool_]:
    """True for reviews whose keyed hash is below `rate`: a random draw that never changes its mind. Shape [n]."""
    threshold = round(rate * HASH_RANGE)
    return np.fromiter(
        (_hash(review_id, key) < threshold for review_id in review_ids), dtype=bool, count=len(review_ids)
    )


def margin_ambiguity(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where the two likeliest classes are level, 0 where one is certain. [n, 3] -> [n].

    Margin sampling (Scheffer, Decomain and Wrobel, 2001), turned so that larger means more doubtful.
    """
    ordered = np.sort(probabilities, axis=1)
    return np.asarray(1.0 - (ordered[:, -1] - ordered[:, -2]), dtype=np.float64)


def most_ambiguous(ambiguity: NDArray[np.float64], *, among: NDArray[np.bool_], limit: int) -> NDArray[np.bool_]:
    """True for at most `limit` rows of `among`, the most ambiguous ones; ties go to the earlier row. Shape [n]."""
    candidates = np.flatnonzero(among)
    order = np.argsort(-ambiguity[candidates], kind="stable")
    taken = np.zeros(len(ambiguity), dtype=bool)
    taken[candidates[order[:limit]]] = True
    return taken


def _selected(
    review_id: str, *, ambiguity: float, because: Reason | None, audit: bool, config: SelectionRule
) -> Selected:
    reasons = [*([because] if because else []), *([Reason.AUDIT] if audit else [])]
    return Selected(
        review_id=review_id,
        reasons=tuple(reasons),
        priority=_audit_priority(review_id, config.audit_key) if audit else ambiguity,
        inclusion_probability=1.0 if because else config.audit_rate,
        audit_rate=config.audit_rate if audit else None,
    )


def _audit_priority(review_id: str, key: str) -> float:
    # Not by ambiguity: where only some audits get answered, those must still be a random sample.
    return 1.0 + _hash(review_id, f"{key}:order") / HASH_RANGE


def _hash(review_id: str, key: str) -> int:
    secret = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(hashlib.blake2b(review_id.encode(), digest_size=8, key=secret).digest())
