"""Real reviews for measuring: the files of a folder as one pool, and the two ways to split it by time.

Text only (titles leak the stars), cleaned as ingest cleans, of repeated texts the first copy, 10 to 512 words. Both
splits keep the newest tenth for testing: `within_sources` that of each file, so that the mix of sources is the same on
both sides, `by_time` that of the pool, which is mostly another source than the rest: a shift. Of the older rows a share
chosen by the hash of their text validates (early stopping, temperature), whatever the split.

The folder is named by --reviews or RESTAR_REAL_REVIEWS; nothing of it is copied into the project or into a result.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import Example, Side, TruthSource, weak_label
from restar_lib.ingest.cleaning.clean import Rejection, clean
from restar_lib.settings import IngestSettings

VARIABLE = "RESTAR_REAL_REVIEWS"
PATTERNS = ("amazon_*.jsonl.gz", "datafiniti_*.jsonl.gz")
TEST_SHARE = 0.1
VALIDATION_PERCENT = 6
FROZEN_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""Dates every snapshot made here, so that the same rows give the same model."""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """One review of the pool: the row of a snapshot, and the file it came from."""

    source: str
    text_hash: str
    example: Example


@dataclass(frozen=True, kw_only=True)
class Split:
    """Train, validation and test, each oldest first."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]

    @property
    def older(self) -> tuple[Example, ...]:
        """Everything that is not for testing: what a system without a validation set learns from."""
        return tuple(sorted((*self.train, *self.validation), key=_moment))

    def snapshot(self, parent: Path) -> Snapshot:
        """The split as a training set on disk, below `parent`."""
        sides = {Side.TRAIN: self.train, Side.VALIDATION: self.validation, Side.TEST: self.test}
        return load(write_folder(parent, sides, now=FROZEN_AT))


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Let the command line name the folder."""
    parser.add_argument("--reviews", type=Path, default=os.environ.get(VARIABLE), help=f"folder; else {VARIABLE}")


def folder_of(arguments: argparse.Namespace, *needed: str) -> Path:
    """The folder of real reviews. Ends the benchmark with a reason where it, or a file that is needed, is missing."""
    if arguments.reviews is None:
        raise SystemExit(f"skipped: no folder of real reviews; name one by --reviews or {VARIABLE}")
    folder = Path(arguments.reviews)
    missing = [pattern for pattern in needed or PATTERNS[:1] if not any(folder.glob(pattern))]
    if missing:
        raise SystemExit(f"skipped: {folder} holds no {' and no '.join(missing)}")
    return folder


def pool(folder: Path) -> tuple[Pooled, ...]:
    """Every review of the folder that ingest would take, copies of a text left out; by file, oldest first."""
    texts: set[str] = set()
    rows: list[Pooled] = []
    for file in sorted(file for pattern in PATTERNS for file in folder.glob(pattern)):
        for row in sorted(_reviews(file), key=lambda row: row.example.reviewed_at):
            if row.text_hash not in texts:
                texts.add(row.text_hash)
                rows.append(row)
    return tuple(rows)


def within_sources(rows: Sequence[Pooled]) -> Split:
    """The newest tenth of each file tests."""
    test = set[str]()
    for source in dict.fromkeys(row.source for row in rows):
        test |= _newest([row for row in rows if row.source == source])
    return _split(rows, test)


def by_time(rows: Sequence[Pooled]) -> Split:
    """The newest tenth of all reviews tests, whatever file they are from."""
    return _split(rows, _newest(sorted(rows, key=lambda row: row.example.reviewed_at)))


SPLITS: dict[str, Callable[[Sequence[Pooled]], Split]] = {"within_sources": within_sources, "by_time": by_time}


def lines_of(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON Lines, gzipped."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _reviews(file: Path) -> Iterator[Pooled]:
    source = file.name.removesuffix(".jsonl.gz")
    for fields in lines_of(file):
        review = clean(fields | {"reviewed_at": fields["timestamp"]}, IngestSettings(), source=source)
        if isinstance(review, Rejection) or review.rating is None:
            continue
        example = Example(
            review_id=f"{source}/{review.review_id}",
            text=review.text,
            truth=weak_label(review.rating),
            truth_source=TruthSource.STARS,
            weight=1.0,
            rating=review.rating,
            product_category=review.product_category,
            reviewed_at=review.reviewed_at.astimezone(UTC),
        )
        yield Pooled(source=source, text_hash=review.text_hash, example=example)


def _newest(rows: Sequence[Pooled]) -> set[str]:
    """Text hashes of the last tenth of rows that are sorted by time."""
    return {row.text_hash for row in rows[int(len(rows) * (1 - TEST_SHARE)) :]}


def _split(rows: Sequence[Pooled], test: set[str]) -> Split:
    older = [row for row in rows if row.text_hash not in test]
    return Split(
        train=_sorted(row for row in older if not _validates(row)),
        validation=_sorted(row for row in older if _validates(row)),
        test=_sorted(row for row in rows if row.text_hash in test),
    )


def _validates(row: Pooled) -> bool:
    return int(row.text_hash[:8], 16) % 100 < VALIDATION_PERCENT


def _sorted(rows: Iterator[Pooled]) -> tuple[Example, ...]:
    return tuple(sorted((row.example for row in rows), key=_moment))


def _moment(example: Example) -> tuple[datetime, str]:
    return example.reviewed_at, example.review_id
