"""The story that the trials interrupt: a first model serves, new reviews come in, people answer, a challenger follows.

Told once without any disturbance. Before each stage the world is put aside, so that a trial can begin there; after it
the picture is taken that every trial must end with.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from restar_lib.domain import LabelSource, weak_label
from restar_lib.ingest.stored_reviews import reviews_by_id
from restar_lib.labeling import leases
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from tests.faults import stages, trials, world
from tests.faults.picture import Picture, picture
from tests.faults.stages import HISTORY_AT, NIGHT, STAGES
from tests.faults.world import World
from tests.tiny_encoder import make_tiny_encoder

TONES = {
    1: ("broken", "awful", "useless", "refund", "leaking", "terrible"),
    3: ("okay", "average", "decent", "ordinary", "fine", "acceptable"),
    5: ("great", "lovely", "perfect", "sturdy", "excellent", "wonderful"),
}
THINGS = ("lamp", "chair", "kettle", "rope", "drill", "towel", "radio", "shovel")
FILLERS = ("the", "is", "and", "it", "was", "very", "thing", "but", "with", "for")
RULES = {
    "RESTAR_INGEST__CHUNK_ROWS": "20",
    "RESTAR_SCORING__CHUNK_ROWS": "20",
    "RESTAR_SCORING__THREADS": "1",
    "RESTAR_SCORING__ABSTAIN_BELOW": "0.95",
    "RESTAR_TRAINING__MAX_TOKENS": "32",
    "RESTAR_TRAINING__COOLDOWN_MINUTES": "0",
    "RESTAR_GATE__MIN_ACCURACY": "0.0",
    "RESTAR_GATE__MIN_MACRO_F1": "0.0",
    "RESTAR_GATE__MAX_CALIBRATION_ERROR": "1.0",
    "RESTAR_GATE__MAX_LATENCY_MS": "10000",
    "RESTAR_GATE__MARGIN": "1.0",
    "RESTAR_GATE__SLICE_TOLERANCE": "1.0",
    "RESTAR_GATE__RESAMPLES": "2000",
}


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """One stage of the story, undisturbed."""

    stage: str
    before: World
    seconds: float
    after: Picture


@dataclass
class Story:
    """All chapters that were told so far."""

    server: EmbeddedPostgres
    folder: Path
    chapters: dict[str, Chapter] = field(default_factory=dict)
    _tellers: Iterator[Chapter] | None = None

    def chapter(self, stage: str) -> Chapter:
        """The chapter of a stage; the story is told up to there."""
        self._tellers = self._tellers or self._tell()
        while stage not in self.chapters:
            told = next(self._tellers)
            self.chapters[told.stage] = told
        return self.chapters[stage]

    def another(self, stage: str, name: str, **overrides: str) -> World:
        """A world of one's own in which a stage is about to begin."""
        return world.copy(self.server, self.chapter(stage).before, self.folder / name, name=name, **overrides)

    def _tell(self) -> Iterator[Chapter]:
        now = self._beginning()
        for stage in STAGES:
            after, chapter = self._told(stage, now)
            yield chapter
            if stage == "score":
                continue  # the same reviews are scored once more, with a task for each
            if stage == "enqueue":
                answer_all(after)
            now = after

    def _told(self, stage: str, before: World) -> tuple[World, Chapter]:
        kept = world.copy(
            self.server, before, self.folder / f"before-{stage}", name=f"before_{stage}", **STAGES[stage].overrides
        )
        after = world.copy(self.server, kept, self.folder / f"after-{stage}", name=f"after_{stage}")
        seconds = trials.undisturbed(after, stage)
        return after, Chapter(stage=stage, before=kept, seconds=seconds, after=picture(after))

    def _beginning(self) -> World:
        """A first model serves what it learned from history; a second file of reviews has just arrived."""
        inbox, encoder = self.folder / "inbox", self.folder / "encoder"
        words = [*FILLERS, *THINGS, *(word for tone in TONES.values() for word in tone)]
        make_tiny_encoder(encoder, words)
        inbox.mkdir()
        write_reviews(inbox / "1-history.jsonl", 700, seed=1)
        rules = {
            **RULES,
            "RESTAR_TRAINING__ENCODER": str(encoder),
            "RESTAR_SOURCE__KIND": "files",
            "RESTAR_SOURCE__NAME": "shop",
            "RESTAR_SOURCE__PATH": str(inbox),
        }
        empty = World(name="restar_template", folder=self.folder / "empty", database_url="", overrides=rules)
        empty.home.mkdir(parents=True)
        first = world.copy(self.server, empty, self.folder / "first", name="first")
        with first.engine() as engine:
            for step in (stages.read_reviews, stages.freeze_snapshot):
                call = stages.Call(engine=engine, settings=first.settings, handed={}, again=False, now=HISTORY_AT)
                first.hand(step.__name__, stages.returned(step(call)))
        for stage in ("train", "evaluate", "release"):
            trials.undisturbed(first, stage)
        first.forget()
        write_reviews(inbox / "2-new.jsonl", 500, seed=2)
        return first


def write_reviews(path: Path, count: int, *, seed: int) -> None:
    """Reviews whose words say what the stars say; some repeat a text, some cannot be read, some come twice."""
    rng = random.Random(seed)
    lines: list[bytes] = []
    review: dict[str, object] = {}
    for number in range(count):
        if number % 41 == 40:
            lines.append(b"{oops %d of %d" % (number, seed))
        elif number % 29 == 28:
            lines.append(lines[-3])
        elif number % 31 == 30:
            lines.append(json.dumps({**review, "review_id": f"R{seed}-{number}"}).encode())
        else:
            review = _review(rng, f"{seed}-{number}", number)
            lines.append(json.dumps(review).encode())
    path.write_bytes(b"\n".join(lines) + b"\n")


def _review(rng: random.Random, name: str, number: int) -> dict[str, object]:
    rating = rng.choice((1, 3, 5, 5, 5))
    tone = rng.choices(TONES[rating], k=3) + rng.choices(TONES[rng.choice((1, 3, 5))], k=1)
    words = [*rng.choices(FILLERS, k=8), rng.choice(THINGS), *tone]
    rng.shuffle(words)
    return {
        "review_id": f"R{name}",
        "text": " ".join(words),
        "rating": rating,
        "product_category": ("Kitchen", "Garden")[number % 2],
        "timestamp": 1700000000 + 600 * number,
    }


def answer_all(after: World) -> None:
    """One person answers everything in the queue, as the stars say."""
    settings = after.settings
    with after.engine() as engine:
        while claim := leases.claim(engine, labeler="ann", now=NIGHT, lease_seconds=60):
            with engine.connect() as connection:
                rating = reviews_by_id(connection, [claim.review_id])[claim.review_id].rating
            leases.submit(
                engine,
                task_id=claim.task_id,
                token=claim.token,
                labeler="ann",
                sentiment=weak_label(rating or 3),
                source=LabelSource.PERSON,
                now=NIGHT,
                settings=settings,
            )
