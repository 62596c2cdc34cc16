"""A night on a table that has grown: its statements find what is new and leave the rest alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from restar_lib.dataset.snapshot import freeze
from restar_lib.scoring.batch import score_new
from restar_lib.scoring.predictions import newest_window
from restar_lib.settings import Settings
from restar_lib.store.database import engine_for
from tests.reviews import NOON, add_reviews
from tests.tiny_model import sealed_tiny_model

OLD = 20_000
NEW = 60
MOST_READ = OLD // 4
"""Rows fetched in a night at most; whoever looks at every old review fetches four times as many."""

RUN = """
    insert into ingest_run (source, run_key, started_at, finished_at, scored_at)
    values ('old', 'old', :noon, :noon, :noon) returning ingest_run_id
"""
REVIEWS = """
    insert into review (review_id, source, text, rating, product_category, reviewed_at, words, text_hash, side,
                        ingest_run_id, ingested_at)
    select 'old' || n, 'old', 'Review number ' || n || repeat(' of a thing', 30), 1 + n % 5, 'Kitchen',
           :noon - n * interval '1 minute', 93, encode(sha256(n::text::bytea), 'hex'),
           (array['train', 'train', 'train', 'validation', 'test']::side[])[1 + n % 7 % 5], :run, :noon
    from generate_series(1, :old) n
"""
PREDICTIONS = """
    insert into prediction (review_id, model_version, p_negative, p_neutral, p_positive, sentiment, confidence,
                            abstained, scored_at)
    select review_id, :version, 0.05, 0.05, 0.9, 'positive', 0.9, false, :noon from review
"""


@pytest.fixture
def model(smoke: Settings) -> Path:
    """The champion, who has read everything so far."""
    return sealed_tiny_model(smoke.models_dir)


@pytest.fixture
def grown(engine: Engine, smoke: Settings, model: Path) -> None:
    """A table with twenty thousand scored reviews and a first training set."""
    with engine.begin() as connection:
        run = connection.execute(text(RUN), {"noon": NOON}).scalar_one()
        connection.execute(text(REVIEWS), {"noon": NOON, "old": OLD, "run": run})
        connection.execute(text(PREDICTIONS), {"noon": NOON, "version": model.name})
    freeze(engine, smoke, now=NOON - timedelta(days=1))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def rows_read(engine: Engine, url: str) -> dict[str, int]:
    """Rows of the two large tables that were fetched so far, by scanning the table or by index."""
    engine.dispose()  # a session counts when it ends
    query = "select relname, seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname in ('review', 'prediction')"
    looking = engine_for(url)
    with looking.connect() as connection:
        found: dict[str, int] = dict(connection.execute(text(query)).tuples().all())
    looking.dispose()
    return found


@pytest.mark.usefixtures("grown")
def test_a_night_does_not_read_the_old_reviews(engine: Engine, database_url: str, smoke: Settings, model: Path) -> None:
    """Scoring, the watch's window and the next training set together fetch a fraction of what is there."""
    add_reviews(engine, smoke, NEW, ingested_at=NOON + timedelta(hours=1))
    now = NOON + timedelta(days=1)
    before = rows_read(engine, database_url)
    assert score_new(engine, smoke, model_folder=model, now=now).scored == NEW
    with engine.connect() as connection:
        window = newest_window(connection, model_version=model.name, arrived_after=NOON - timedelta(days=1), rows=200)
    freeze(engine, smoke, now=now)
    after = rows_read(engine, database_url)
    assert window.rows == 200
    fetched = {table: after[table] - before[table] for table in after}
    assert all(0 < rows < MOST_READ for rows in fetched.values()), fetched
