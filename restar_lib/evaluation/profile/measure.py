"""The profile of a snapshot: classes, lengths, words, near copies, leaks, and class shares over time.

Reads the snapshot, and where there is a database the titles and users of its reviews, which a snapshot does not hold.
What costs more than a pass over the rows (words, near copies) looks at an even spread of at most
`evaluation.max_explored_rows` and says so. The profile holds no text of a review, and no word that fewer than five
reviews use. It judges nothing. Called by `restar explore`; `profile.page` writes it down.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from math import log as ln
from math import sqrt
from typing import Final

import numpy as np

from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import SENTIMENTS, Example, Review, Sentiment, Side, TruthSource, weak_label
from restar_lib.evaluation.intervals import Measure, over_rows, wilson
from restar_lib.evaluation.metrics import Floats
from restar_lib.evaluation.near_duplicates import COMMON, near_copies
from restar_lib.evaluation.ordinal import rank_correlation
from restar_lib.evaluation.profile.contents import (
    ClassShare,
    ClassWords,
    Lengths,
    Period,
    ProfileLeak,
    SideFigures,
    SnapshotProfile,
    StarsLength,
    Word,
)
from restar_lib.settings import Settings
from restar_lib.text import leaks_stars

SEED: Final = 29
EDGES: Final = (10, 15, 20, 30, 40, 60, 80, 120, 200, 300)
FEWEST_REVIEWS: Final = 5
WORDS_SHOWN: Final = 20
SURE_Z: Final = 2.0
PRIOR: Final = 500.0
"""Pseudo-counts of the common mix that each class begins with, so that rare words do not come first."""
MOST_PERIODS: Final = 40
WORD: Final = re.compile(r"[a-z][a-z']+")

Rows = Mapping[Side, Sequence[Example]]


def explore(
    settings: Settings, snapshot: Snapshot, *, now: datetime, stored: Mapping[str, Review] | None = None
) -> SnapshotProfile:
    """Everything about a snapshot; `stored` gives the reviews of the database by their ids."""
    started = time.monotonic()
    sides = {side: snapshot.examples(side) for side in Side}
    rows = [row for side in Side for row in sides[side]]
    some = _spread(rows, settings.evaluation.max_explored_rows)
    correlation = _stars_and_length(rows)
    return SnapshotProfile(
        snapshot_hash=snapshot.snapshot_hash,
        frozen_at=snapshot.frozen_at,
        explored_at=now,
        rows=len(rows),
        looked_at=len(some),
        sides=tuple(_side(side, sides[side]) for side in Side),
        buckets=tuple(_bucket_names()),
        lengths=tuple(_lengths(sentiment, rows) for sentiment in SENTIMENTS if _of(rows, sentiment)),
        words=_words(some),
        leaks=tuple(_leaks(sides, some, stored)),
        stars_length=tuple(_stars_length(rows)),
        stars_length_correlation=correlation,
        disagreement=_disagreement(rows),
        periods=tuple(_periods(rows)),
        notes=tuple(_notes(rows, some, stored)),
        seconds=round(time.monotonic() - started, 1),
    )


def _spread(rows: Sequence[Example], limit: int) -> list[Example]:
    keep = np.linspace(0, len(rows) - 1, num=min(limit, len(rows))).round().astype(int)
    return [rows[place] for place in keep]


def _of(rows: Sequence[Example], sentiment: Sentiment) -> list[Example]:
    return [row for row in rows if row.truth == sentiment]


def _side(side: Side, rows: Sequence[Example]) -> SideFigures:
    weight = sum(map(_natural_weight, rows))
    return SideFigures(
        side=side.value,
        rows=len(rows),
        people=sum(row.truth_source is TruthSource.PEOPLE for row in rows),
        classes=tuple(
            ClassShare(
                sentiment=sentiment.value,
                rows=len(of_class),
                share=wilson(len(of_class), len(rows)),
                natural=sum(map(_natural_weight, of_class)) / weight if weight else None,
            )
            for sentiment, of_class in ((one, _of(rows, one)) for one in SENTIMENTS)
        ),
        first=min(row.reviewed_at for row in rows),
        last=max(row.reviewed_at for row in rows),
    )


def _natural_weight(row: Example) -> float:
    """The weight in the natural mix: 0 for people's rows, which were selected and weigh what training makes of them."""
    return row.weight if row.truth_source is TruthSource.STARS else 0.0


def _words_in(row: Example) -> int:
    return len(row.text.split())


def _bucket_names() -> Iterator[str]:
    yield f"under {EDGES[0]}"
    yield from (f"{low}-{high - 1}" for low, high in pairwise(EDGES))
    yield f"{EDGES[-1]} or more"


def _lengths(sentiment: Sentiment, rows: Sequence[Example]) -> Lengths:
    words = np.array([_words_in(row) for row in _of(rows, sentiment)])
    quantiles = np.quantile(words, (0.05, 0.25, 0.5, 0.75, 0.95)).round().astype(int).tolist()
    counts = np.bincount(np.searchsorted(EDGES, words, side="right"), minlength=len(EDGES) + 1)
    shares = (counts / len(words)).tolist()
    return Lengths(sentiment=sentiment.value, quantiles=tuple(quantiles), shares=tuple(shares))


def _words(rows: Sequence[Example]) -> tuple[ClassWords, ...]:
    """Counts reviews that have a word, not how often they repeat it."""
    found = {
        sentiment: Counter(word for row in _of(rows, sentiment) for word in set(WORD.findall(row.text.lower())))
        for sentiment in SENTIMENTS
    }
    everywhere = sum(found.values(), Counter[str]())
    return tuple(
        ClassWords(sentiment=sentiment.value, words=tuple(_telling(found[sentiment], everywhere)))
        for sentiment in SENTIMENTS
    )


def _telling(here: Counter[str], everywhere: Counter[str]) -> list[Word]:
    ours, total = sum(here.values()), sum(everywhere.values())
    words = [
        Word(
            word=word,
            reviews=count,
            share=count / everywhere[word],
            z=round(
                _z(count, everywhere[word] - count, ours=ours, theirs=total - ours, prior=everywhere[word] / total), 2
            ),
        )
        for word, count in here.items()
        if count >= FEWEST_REVIEWS
    ]
    return sorted((one for one in words if one.z >= SURE_Z), key=lambda one: (-one.z, one.word))[:WORDS_SHOWN]


def _z(here: int, there: int, *, ours: int, theirs: int, prior: float) -> float:
    """Log-odds ratio with an informative Dirichlet prior, in standard errors (Monroe et al. 2008, equation 22)."""
    imagined = prior * PRIOR
    a, b = here + imagined, there + imagined
    odds = ln(a / (ours + PRIOR - a)) - ln(b / (theirs + PRIOR - b))
    return odds / sqrt(1 / a + 1 / b)


def _leaks(sides: Rows, some: Sequence[Example], stored: Mapping[str, Review] | None) -> Iterator[ProfileLeak]:
    side_of = {row.review_id: side for side in Side for row in sides[side]}
    rows = sum(map(len, sides.values()))
    yield ProfileLeak(
        name="the same text twice",
        found=0,
        of=rows,
        bad=False,
        detail="a snapshot in which a review or a normalised text stands twice is refused when it is read",
    )
    pairs = near_copies([row.text for row in some])
    copies = {place for pair in pairs for place in pair}
    across = {place for pair in pairs for place in pair if len({side_of[some[one].review_id] for one in pair}) > 1}
    yield ProfileLeak(
        name="near copies",
        found=len(copies),
        of=len(some),
        bad=False,
        detail="texts that share most of their runs of five words with another one",
    )
    yield ProfileLeak(
        name="near copies on two sides",
        found=len(across),
        of=len(some),
        bad=len(across) > 0.01 * len(some),
        detail="those with a near copy on another side: what a test row's near copy taught, it cannot test; of a text "
        f"copied more than {COMMON} times not every pair was looked at",
    )
    named = sum(leaks_stars(row.text) for row in some)
    yield ProfileLeak(
        name="texts that name stars",
        found=named,
        of=len(some),
        bad=named > 0.05 * len(some),
        detail="\u201cfive stars\u201d in the text itself; part of the text, so the model may read it",
    )
    if stored is not None:
        yield from _stored_leaks(side_of, stored)


def _stored_leaks(side_of: Mapping[str, Side], stored: Mapping[str, Review]) -> Iterator[ProfileLeak]:
    titles = [one.title for one in stored.values() if one.title is not None]
    naming = sum(leaks_stars(title) for title in titles)
    yield ProfileLeak(
        name="titles that name stars",
        found=naming,
        of=len(titles),
        bad=naming > 0,
        detail="among the stored titles; ingest drops such ones, and a model reads no title unless it is told to",
    )
    seen: dict[str, set[Side]] = {}
    for one in stored.values():
        if one.user_id is not None and one.review_id in side_of:
            seen.setdefault(one.user_id, set()).add(side_of[one.review_id])
    yield ProfileLeak(
        name="people on two sides",
        found=sum(len(on) > 1 for on in seen.values()),
        of=len(seen),
        bad=False,
        detail="who wrote reviews on several sides: sides are split by text, not by writer",
    )


def _stars_length(rows: Sequence[Example]) -> Iterator[StarsLength]:
    for stars in range(1, 6):
        words = np.array([_words_in(row) for row in rows if row.rating == stars], dtype=np.float64)
        if len(words):
            yield StarsLength(
                stars=stars, rows=len(words), mean_words=_mean(words), median_words=float(np.median(words))
            )


def _mean(values: Floats) -> Measure:
    half = 1.96 * float(values.std()) / sqrt(len(values))
    return Measure(value=float(values.mean()), low=float(values.mean()) - half, high=float(values.mean()) + half)


def _stars_and_length(rows: Sequence[Example]) -> Measure | None:
    rated = [row for row in rows if row.rating is not None]
    stars = np.array([row.rating for row in rated], dtype=np.float64)
    words = np.array([_words_in(row) for row in rated], dtype=np.float64)
    if len(rated) == 0:
        return None
    rng = np.random.default_rng(SEED)
    return over_rows(lambda at: rank_correlation(stars[at], words[at]), len(rated), resamples=100, rng=rng)


def _disagreement(rows: Sequence[Example]) -> Measure | None:
    both = [row for row in rows if row.truth_source is TruthSource.PEOPLE and row.rating is not None]
    if not both:
        return None
    return wilson(sum(row.rating is not None and weak_label(row.rating) != row.truth for row in both), len(both))


def _periods(rows: Sequence[Example]) -> Iterator[Period]:
    """By month where that is not too many, else by year."""
    months = {row.reviewed_at.strftime("%Y-%m") for row in rows}
    pattern = "%Y-%m" if len(months) <= MOST_PERIODS else "%Y"
    found: dict[str, list[Example]] = {}
    for row in rows:
        found.setdefault(row.reviewed_at.strftime(pattern), []).append(row)
    for name, of_period in sorted(found.items()):
        negative, neutral, positive = (len(_of(of_period, one)) / len(of_period) for one in SENTIMENTS)
        stars = [row.rating for row in of_period if row.rating is not None]
        yield Period(
            name=name,
            rows=len(of_period),
            shares=(negative, neutral, positive),
            mean_stars=sum(stars) / len(stars) if stars else None,
        )


def _notes(rows: Sequence[Example], some: Sequence[Example], stored: Mapping[str, Review] | None) -> Iterator[str]:
    if len(some) < len(rows):
        yield (
            f"words and near copies were sought in {len(some):,} of {len(rows):,} rows, evenly spread "
            "(evaluation.max_explored_rows): there are more near copies than were found"
        )
    if stored is None:
        yield "titles and users were not looked at: a snapshot does not hold them, and no database was asked"
