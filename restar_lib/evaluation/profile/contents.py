"""What `restar explore` finds in a snapshot, as data: the JSON, from which the page is drawn. No text of a review."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from restar_lib.evaluation.intervals import Measure
from restar_lib.evaluation.report_contents import ReportPart

FORMAT: Final = 1


class ClassShare(ReportPart):
    """One class on one side."""

    sentiment: str
    rows: int
    share: Measure
    natural: float | None
    """With the weights, which undo the enriching of rare classes, of the rows whose truth is stars alone; people's were
    selected and outweigh them. None where there is no such row."""


class SideFigures(ReportPart):
    """One side of the split."""

    side: str
    rows: int
    people: int
    """Rows whose truth comes from people."""
    classes: tuple[ClassShare, ...]
    first: datetime
    last: datetime


class Lengths(ReportPart):
    """Words of the texts of one class, all sides."""

    sentiment: str
    quantiles: tuple[int, int, int, int, int]
    """At 5, 25, 50, 75 and 95 %."""
    shares: tuple[float, ...]
    """In the buckets of `buckets`."""


class Word(ReportPart):
    """A word that one class uses more than the others."""

    word: str
    reviews: int
    """Of this class, with the word."""
    share: float
    """Of those reviews of all classes that have the word, how many are of this class."""
    z: float
    """Log-odds in standard errors (Monroe et al. 2008)."""


class ClassWords(ReportPart):
    """The most telling words of one class."""

    sentiment: str
    words: tuple[Word, ...]


class ProfileLeak(ReportPart):
    """One thing that could tell a model the answer, or the test to the training."""

    name: str
    found: int
    of: int
    bad: bool
    detail: str


class StarsLength(ReportPart):
    """Reviews of one number of stars."""

    stars: int
    rows: int
    mean_words: Measure
    median_words: float


class Period(ReportPart):
    """A stretch of time."""

    name: str
    rows: int
    shares: tuple[float, float, float]
    """Of negative, neutral and positive."""
    mean_stars: float | None


class SnapshotProfile(ReportPart):
    """Everything about one snapshot."""

    format: int = FORMAT
    snapshot_hash: str
    frozen_at: str
    explored_at: datetime
    rows: int
    looked_at: int
    """Rows that words and near copies were sought in."""
    sides: tuple[SideFigures, ...]
    buckets: tuple[str, ...]
    lengths: tuple[Lengths, ...]
    words: tuple[ClassWords, ...]
    leaks: tuple[ProfileLeak, ...]
    stars_length: tuple[StarsLength, ...]
    stars_length_correlation: Measure | None
    """Spearman's rho of stars and words."""
    disagreement: Measure | None
    """Of the rows with both, the share where people contradict the stars; on the training side these were chosen."""
    periods: tuple[Period, ...]
    notes: tuple[str, ...]
    seconds: float
