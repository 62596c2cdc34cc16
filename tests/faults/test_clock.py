"""The clock is set back an hour: nobody loses a lease, nothing is read twice or never, the log keeps its order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, select

from restar_lib.artifacts.pointer import read_pointer
from restar_lib.dataset.snapshot import freeze
from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.labeling import leases, queue
from restar_lib.releases.release import history, previous, reconcile, release
from restar_lib.scoring.batch import score_new
from restar_lib.settings import Settings
from restar_lib.store.tables import Label, PredictionRow
from tests.reviews import add_reviews
from tests.tasks import add_tasks
from tests.tiny_model import sealed_tiny_model

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
BEFORE_NOON = NOON - timedelta(minutes=55)
"""Five minutes after noon, by a clock that was set back."""


def write(file: Path, *numbers: int) -> None:
    """Reviews with these numbers, added to the file."""
    rows = [
        {
            "review_id": f"R{number}",
            "text": f"Review {number} says that this thing is a good one and works every day.",
            "rating": 5,
            "timestamp": 1700000000 + number,
        }
        for number in numbers
    ]
    with file.open("a") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def reading(settings: Settings, file: Path) -> Settings:
    """The settings with this file as the source."""
    source = settings.source.model_copy(update={"kind": "files", "name": "shop", "path": str(file)})
    return settings.model_copy(update={"source": source})


def test_reviews_that_come_after_the_clock_was_set_back_are_scored(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """They are new, though by the clock they came before the first training set, which history ends with."""
    file = tmp_path / "reviews.jsonl"
    settings = reading(smoke, file)
    add_reviews(engine, settings, 200, ingested_at=NOON - timedelta(hours=2))
    freeze(engine, settings, now=NOON)
    write(file, 1, 2, 3)
    assert ingest(engine, open_source(settings), settings, run_key="a", now=BEFORE_NOON).new == 3
    model = sealed_tiny_model(settings.models_dir)
    assert score_new(engine, settings, model_folder=model, now=BEFORE_NOON).scored == 3


def test_a_source_is_read_on_whatever_the_clock_says(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The cursor is a place and not a time: nothing is read twice, nothing is left out."""
    file = tmp_path / "reviews.jsonl"
    settings = reading(smoke, file)
    write(file, 1, 2)
    ingest(engine, open_source(settings), settings, run_key="a", now=NOON)
    write(file, 3)
    counts = ingest(engine, open_source(settings), settings, run_key="b", now=BEFORE_NOON)
    assert (counts.rows_read, counts.new) == (1, 1)


def test_a_lease_is_nobody_elses_and_its_answer_counts(engine: Engine, smoke: Settings) -> None:
    """The review that Ann reads is not given to Ben, her answer is taken, and it took no negative time."""
    add_tasks(engine, 1)
    held = leases.claim(engine, labeler="ann", now=NOON, lease_seconds=300)
    assert held is not None
    assert leases.claim(engine, labeler="ben", now=BEFORE_NOON, lease_seconds=300) is None
    done = leases.submit(
        engine,
        task_id=held.task_id,
        token=held.token,
        labeler="ann",
        sentiment=Sentiment.NEGATIVE,
        source=LabelSource.PERSON,
        now=BEFORE_NOON,
        settings=smoke,
    )
    assert done is TaskStatus.DONE
    with engine.connect() as connection:
        assert connection.execute(select(Label.seconds)).scalar_one() == 0


def test_an_abandoned_lease_still_ends(engine: Engine) -> None:
    """Later than it should by what the clock lost, and then the review goes to somebody else."""
    add_tasks(engine, 1)
    leases.claim(engine, labeler="ann", now=NOON, lease_seconds=300)
    assert queue.expire(engine, now=BEFORE_NOON) == 0
    assert leases.claim(engine, labeler="ben", now=NOON + timedelta(seconds=301), lease_seconds=300) is not None


def test_the_newest_release_is_the_last_one_whatever_its_date(engine: Engine, smoke: Settings) -> None:
    """The log is a chain: what was released after the clock was set back serves, and a roll back goes to the other."""
    first, second = (sealed_tiny_model(smoke.models_dir, temperature=one).name for one in (1.0, 2.0))
    release(engine, smoke, version=first, by="anna", reason="a test", now=NOON)
    release(engine, smoke, version=second, by="anna", reason="a test", now=BEFORE_NOON)
    assert [row.model_version for row in history(engine)] == [first, second]
    assert previous(engine) == history(engine)[0]
    reconcile(engine, smoke)
    pointer = read_pointer(smoke.pointer_path)
    assert pointer is not None
    assert pointer.model_version == second


def test_a_review_that_was_scored_is_not_scored_again(engine: Engine, smoke: Settings) -> None:
    """What was read stands in a table; no time decides."""
    add_reviews(engine, smoke, 10, ingested_at=NOON - timedelta(hours=2))
    model = sealed_tiny_model(smoke.models_dir)
    assert score_new(engine, smoke, model_folder=model, now=NOON).scored == 10
    assert score_new(engine, smoke, model_folder=model, now=BEFORE_NOON).scored == 0
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(PredictionRow)).scalar_one() == 10
