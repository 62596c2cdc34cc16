"""Refused rows are read again with today's settings: what is good now becomes a review, nothing is doubled or lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, update
from typer.testing import CliRunner

from restar_lib.cli import app
from restar_lib.domain import Outcome, QuarantineReason
from restar_lib.ingest.by_hand.quarantine_retry import RUN_KEY, RetryCounts, retry
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.configured import open_source
from restar_lib.privacy.forget import forget
from restar_lib.settings import Settings
from restar_lib.settings import settings as process_settings
from restar_lib.store.database import engine as process_engine
from restar_lib.store.database import engine_for
from restar_lib.store.tables import IngestRun, Quarantine, ReviewRow
from tests.review_files import FORMS, review, write_rows

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SHORT = "A good lamp, I would buy it"
FORK = multiprocessing.get_context("fork")


def reading(smoke: Settings, path: Path, *, min_words: int = 10, chunk_rows: int = 100, **fields: Any) -> Settings:
    """Settings that read this file, with these spellings added."""
    known = smoke.source.fields
    added = {name: (*spellings, *known[name]) for name, spellings in fields.items()}
    source = smoke.source.model_copy(
        update={"kind": "files", "name": "shop", "path": str(path), "fields": known | added, "max_refused": 1.0}
    )
    rules = smoke.ingest.model_copy(update={"min_words": min_words, "chunk_rows": chunk_rows})
    return smoke.model_copy(update={"source": source, "ingest": rules})


def read(engine: Engine, settings: Settings) -> IngestCounts:
    return ingest(engine, open_source(settings), settings, run_key="test", now=NOW)


def again(engine: Engine, settings: Settings, **changes: Any) -> RetryCounts:
    return retry(engine, settings, now=NOW, **changes)


def texts(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.scalars(select(ReviewRow.text)))


def refused(engine: Engine) -> Counter[str]:
    with engine.connect() as connection:
        return Counter(reason.value for reason in connection.scalars(select(Quarantine.reason)))


def short_rows(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Reviews of a handful of words, each its own."""
    return [review(number, text=f"{SHORT}, number {number}", **changes) for number in range(count)]


@pytest.mark.parametrize("name", FORMS)
def test_rows_of_every_form_are_taken_once_the_rule_allows_them(
    engine: Engine, smoke: Settings, tmp_path: Path, name: str
) -> None:
    """A CSV line says nothing without its header: its fields are stored with it."""
    file = write_rows(tmp_path / "in" / name, [*short_rows(3), review(9)])
    assert read(engine, reading(smoke, file)).reasons == {"too_short": 3}
    found = again(engine, reading(smoke, file, min_words=3))
    assert (found.outcomes, found.unreadable) == ({Outcome.NEW: 3}, 0)
    assert [text for text in texts(engine) if text.startswith(SHORT)] == [f"{SHORT}, number {at}" for at in range(3)]
    assert refused(engine) == {}
    assert again(engine, reading(smoke, file, min_words=3)).outcomes == {}, "a second time there is nothing left"


def test_todays_spellings_find_fields_that_had_no_name(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The keys of a whole file were unknown; after mending `source.fields` its cursor is behind it."""
    rows = [{"my_words": review(at)["text"], "my_points": 4, "date": "2026-02-01"} for at in range(4)]
    file = write_rows(tmp_path / "a.jsonl", rows)
    assert read(engine, reading(smoke, file)).quarantined == 4
    mended = reading(smoke, file, text=("my_words",), rating=("my_points",))
    assert again(engine, mended).outcomes == {Outcome.NEW: 4}
    assert refused(engine) == {}


def test_what_a_reader_made_of_a_rating_stays_unless_it_was_refused_for_it(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """The row says 8 of 10, its reader stored 4: that counts; a rating that was refused is looked up anew."""
    rows = [review(1, text=SHORT, rating=8), review(2, rating="none", stars=2)]
    settings = reading(smoke, write_rows(tmp_path / "a.jsonl", rows), min_words=9)
    of_ten = {"rating_scale": "1-10"}
    read(engine, settings.model_copy(update={"source": settings.source.model_copy(update=of_ten)}))
    assert refused(engine) == {"too_short": 1, "bad_rating": 1}
    again(engine, reading(smoke, tmp_path / "a.jsonl", min_words=3, rating=("stars",)))
    with engine.connect() as connection:
        found = connection.execute(select(ReviewRow.review_id, ReviewRow.rating)).tuples().all()
    assert dict(found) == {"R1": 4, "R2": 2}


def test_a_rating_that_was_not_on_its_files_scale_does_not_become_stars(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """A 2 beside thumbs up and down says nothing, and is not two stars the next time."""
    settings = reading(smoke, write_rows(tmp_path / "a.jsonl", [review(1, rating=2), review(2, rating=1)]))
    thumbs = settings.model_copy(update={"source": settings.source.model_copy(update={"rating_scale": "thumbs"})})
    assert read(engine, thumbs).reasons == {"bad_rating": 1}
    assert again(engine, settings).refused == {QuarantineReason.BAD_RATING: 1}


def test_the_scale_of_today_is_the_one_that_counts(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Set since the row was refused: a thumb up is five stars."""
    settings = reading(smoke, write_rows(tmp_path / "a.jsonl", [review(1, rating="up")]))
    as_stars, thumbs = (
        settings.model_copy(update={"source": settings.source.model_copy(update={"rating_scale": scale})})
        for scale in ("1-5", "thumbs")
    )
    assert read(engine, as_stars).reasons == {"bad_rating": 1}
    assert again(engine, thumbs).outcomes == {Outcome.NEW: 1}
    with engine.connect() as connection:
        assert connection.scalars(select(ReviewRow.rating)).all() == [5]


def test_a_time_that_stood_in_for_a_missing_one_gives_way_to_the_rows_own(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """Read without a time (`source.reviewed_at: reading`); today the key of its time is known."""
    row = {"review_id": "R1", "text": SHORT, "rating": 4, "day_of_purchase": "2024-05-01"}
    settings = reading(smoke, write_rows(tmp_path / "a.jsonl", [row]))
    undated = settings.source.model_copy(update={"reviewed_at": "reading"})
    assert read(engine, settings.model_copy(update={"source": undated})).reasons == {"too_short": 1}
    again(engine, reading(smoke, tmp_path / "a.jsonl", min_words=3, reviewed_at=("day_of_purchase",)))
    with engine.connect() as connection:
        assert connection.scalars(select(ReviewRow.reviewed_at)).one().date().isoformat() == "2024-05-01"


def test_rows_that_are_still_refused_stay_with_their_reason_of_today(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """The first reason is mended, the next one is met; no run counts the row a second time."""
    file = write_rows(tmp_path / "a.jsonl", [review(1, text="Too short", rating=None)])
    first = read(engine, reading(smoke, file))
    found = again(engine, reading(smoke, file, rating=("asin",)))
    assert (first.reasons, found.refused) == ({"bad_rating": 1}, {QuarantineReason.BAD_RATING: 1})
    with engine.connect() as connection:
        assert connection.scalar(select(Quarantine.detail)) == "rating is 'B000000001', 1 to 5 wanted"
        assert connection.scalar(select(func.sum(IngestRun.rows_read))) == 1


def test_what_cannot_be_read_again_is_left_and_counted(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """A malformed row, one of which only the beginning is kept, and a CSV row of an earlier version."""
    file = tmp_path / "a.csv"
    long = "word " * 300_000
    file.write_text(f'text,rating,date\n"{SHORT}",5,2026-02-01\none,two\n"{long}",5,2026-02-01\n')
    assert read(engine, reading(smoke, file)).reasons == {"too_short": 1, "malformed": 2}
    with engine.begin() as connection:
        connection.execute(update(Quarantine).values(fields=None))
    found = again(engine, reading(smoke, file, min_words=1))
    assert (found.outcomes, found.unreadable) == ({}, 3)
    assert refused(engine) == {"too_short": 1, "malformed": 2}
    assert "cannot be read again: 3" in "\n".join(found.lines())


def test_a_dry_run_counts_the_same_and_writes_nothing(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Not even the row of a run."""
    file = write_rows(tmp_path / "a.csv", [*short_rows(5), review(0, text=f"{SHORT}, number 0")])
    read(engine, reading(smoke, file))
    mended = reading(smoke, file, min_words=3, chunk_rows=100)
    planned = again(engine, mended, dry_run=True)
    assert (texts(engine), refused(engine)) == ([], {"too_short": 5})
    with engine.connect() as connection:
        assert connection.scalars(select(IngestRun.run_key)).all() == ["test"]
    assert again(engine, mended) == planned


def test_known_reviews_copies_and_other_sources_end_as_in_an_ingest(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """The run of the retry adds up, and only the configured source is read again."""
    first = write_rows(tmp_path / "a.jsonl", short_rows(2))
    read(engine, reading(smoke, first))
    copy = write_rows(
        tmp_path / "b.jsonl", [review(0, text=f"{SHORT}, number 0"), review(7, text=f"{SHORT}, number 0")]
    )
    read(engine, reading(smoke, copy, min_words=3).model_copy(update={"database": smoke.database}))
    other = reading(smoke, write_rows(tmp_path / "c.jsonl", short_rows(1)))
    read(engine, other.model_copy(update={"source": other.source.model_copy(update={"name": "other"})}))
    found = again(engine, reading(smoke, first, min_words=3))
    assert found.outcomes == {Outcome.NEW: 1, Outcome.ALREADY_KNOWN: 1}
    assert refused(engine) == {"too_short": 1}
    with engine.connect() as connection:
        run = connection.execute(select(IngestRun.__table__).where(IngestRun.run_key == RUN_KEY)).one()
        assert connection.scalars(select(Quarantine.source)).all() == ["other"]
    assert (run.source, run.rows_read, run.new, run.already_known) == ("shop", 2, 1, 1)
    assert run.finished_at is not None


def test_rows_of_a_forgotten_person_are_deleted_and_never_stored(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """An id that only the stored fields hold finds the row; one that was refused later is deleted by the retry."""
    rows = [review(1, text=SHORT, user_id="an\u00efs"), review(2, text=f"{SHORT} too", user_id="ben")]
    settings = reading(smoke, write_rows(tmp_path / "a.csv", rows))
    read(engine, settings)
    with engine.begin() as connection:  # as if the id stood in the row in a form that no search finds
        hers = Quarantine.raw.contains("an\u00efs")
        connection.execute(update(Quarantine).where(hers).values(raw=func.replace(Quarantine.raw, "an\u00efs", "x")))
    report = forget(engine, settings, user_id="an\u00efs", now=NOW, dry_run=False)
    assert report.quarantined == 1
    with engine.begin() as connection:
        renamed = func.replace(Quarantine.fields, '"ben"', '"an\\u00efs"')
        connection.execute(update(Quarantine).values(fields=renamed))
    found = again(engine, reading(smoke, tmp_path / "a.csv", min_words=3))
    assert (found.forgotten, found.outcomes, texts(engine), refused(engine)) == (1, {}, [], {})


def kill_at(url: str, settings: Settings, step: int) -> None:
    """Kill this process right before its `step`-th statement or commit."""
    engine = engine_for(url)
    steps = iter(range(1, step + 1))

    def count(*_: Any) -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", count)
    again(engine, settings)


def test_a_retry_killed_before_any_statement_loses_and_doubles_nothing(
    engine: Engine, database_url: str, smoke: Settings, tmp_path: Path
) -> None:
    """Retry after retry is killed one step later; then one comes through."""
    file = write_rows(tmp_path / "a.csv", [*short_rows(60), *(review(at, text="Never") for at in range(60, 70))])
    read(engine, reading(smoke, file))
    mended = reading(smoke, file, min_words=3, chunk_rows=10)
    for step in range(1, 15):
        process = FORK.Process(target=kill_at, args=(database_url, mended, step))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert 0 < len(texts(engine)) < 60
    again(engine, mended)
    assert texts(engine) == sorted(f"{SHORT}, number {at}" for at in range(60))
    assert refused(engine) == {"too_short": 10}
    with engine.connect() as connection:
        retried = IngestRun.run_key == RUN_KEY
        assert connection.scalar(select(func.sum(IngestRun.new)).where(retried)) == 60


def test_retries_at_once_take_every_row_once(
    engine: Engine, database_url: str, smoke: Settings, tmp_path: Path
) -> None:
    """Two processes on one quarantine."""
    file = write_rows(tmp_path / "a.csv", short_rows(200))
    read(engine, reading(smoke, file))
    mended = reading(smoke, file, min_words=3, chunk_rows=10)
    processes = [FORK.Process(target=again_at, args=(database_url, mended)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with engine.connect() as connection:
        runs = connection.execute(select(IngestRun.new, IngestRun.rows_read).where(IngestRun.run_key == RUN_KEY)).all()
    assert (sum(run.new for run in runs), sum(run.rows_read for run in runs)) == (200, 200)


def again_at(url: str, settings: Settings) -> None:
    again(engine_for(url), settings)


def test_a_run_keeps_its_refused_rows_by_reason(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Over all chunks, also of rows that stood in quarantine before."""
    rows = [*short_rows(4), *(review(at, rating="x") for at in range(4, 7))]
    settings = reading(smoke, write_rows(tmp_path / "a.jsonl", rows), chunk_rows=3)
    counts = read(engine, settings)
    with engine.connect() as connection:
        assert connection.scalar(select(IngestRun.reasons)) == counts.reasons == {"too_short": 4, "bad_rating": 3}


def test_the_commands_list_and_retry(
    engine: Engine, database_url: str, smoke: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts by source and reason, the newest rows shortened, nothing that steers a terminal, and JSON for programs."""
    rows = [*short_rows(2), review(8, rating="\x1b[2J", text=review(8)["text"])]
    settings = reading(smoke, write_rows(tmp_path / "a.csv", rows))
    read(engine, settings)
    variables = {"PROFILE": "smoke", "HOME": settings.home, "DATABASE__URL": database_url, "SOURCE__NAME": "shop"}
    for name, value in {**variables, "INGEST__MIN_WORDS": 3}.items():
        monkeypatch.setenv(f"RESTAR_{name}", str(value))
    for cached in (process_settings, process_engine):
        cached.cache_clear()
    try:
        listed = CliRunner().invoke(app, ["quarantine", "list"]).output
        assert listed.startswith("3 rows in quarantine\n  shop: 2 too_short\n  shop: 1 bad_rating\n")
        assert "\x1b" not in listed
        assert "rating is" in listed
        arguments = ["quarantine", "list", "--json", "--reason", "bad_rating", "--limit", "1"]
        found = json.loads(CliRunner().invoke(app, arguments).output)
        assert found["counts"] == [{"source": "shop", "reason": "bad_rating", "rows": 1}]
        assert [row["reason"] for row in found["rows"]] == ["bad_rating"]
        planned = CliRunner().invoke(app, ["quarantine", "retry", "--dry-run"]).output
        assert planned.startswith(
            "dry run: nothing was written\nshop: 3 rows read again, 2 left the quarantine\n  new: 2"
        )
        done = CliRunner().invoke(app, ["quarantine", "retry", "--reason", "too_short"]).output
        assert done.startswith("shop: 2 rows read again, 2 left the quarantine\n")
    finally:
        for cached in (process_settings, process_engine):
            cached.cache_clear()
    assert refused(engine) == {"bad_rating": 1}
