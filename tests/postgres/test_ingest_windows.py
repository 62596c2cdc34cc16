"""Reading by a window of time: the reviews that were written in it, again and again, and no cursor moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from restar_lib.errors import ConfigurationError
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.sources.base import Window
from restar_lib.ingest.windows import asked_window, ingest_configured, window_to_read
from restar_lib.settings import Settings
from restar_lib.store.tables import IngestRun, ReviewRow, SourceCursor
from tests.review_files import review, write_rows

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
FIRST_DAY = datetime(2013, 9, 12, tzinfo=UTC)


@pytest.fixture
def config(smoke: Settings, tmp_path: Path) -> Settings:
    """A folder with one review a day, in two files whose days alternate."""
    rows = [review(day) for day in range(20)]
    write_rows(tmp_path / "in" / "a.csv", rows[::2])
    write_rows(tmp_path / "in" / "b.jsonl", rows[1::2])
    source = {"kind": "files", "name": "shop", "path": str(tmp_path / "in"), "max_refused": 1.0}
    return smoke.model_copy(update={"source": smoke.source.model_copy(update=source)})


def days(first: int, last: int) -> Window:
    """From the first to before the last day."""
    return FIRST_DAY + timedelta(days=first), FIRST_DAY + timedelta(days=last)


def read(engine: Engine, config: Settings, window: Window | None = None, *, backfill: bool = True) -> IngestCounts:
    return ingest_configured(engine, config, run_key="test", now=NOW, interval=window, backfill=backfill)


def stored(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(select(ReviewRow.review_id)))


def test_a_window_takes_its_reviews_from_all_files(engine: Engine, config: Settings) -> None:
    """Its first day belongs to it, its end does not; the window stands with the run."""
    assert read(engine, config, days(5, 8)).new == 3
    assert stored(engine) == {"R5", "R6", "R7"}
    with engine.connect() as connection:
        assert tuple(connection.execute(select(IngestRun.window_start, IngestRun.window_end)).one()) == days(5, 8)


def test_windows_that_follow_each_other_leave_nothing_out_and_take_nothing_twice(
    engine: Engine, config: Settings
) -> None:
    """As a backfill does it, in any order."""
    counts = [read(engine, config, days(day, day + 1)) for day in (3, 0, 2, 1)]
    assert [one.rows_read for one in counts] == [1, 1, 1, 1]
    assert stored(engine) == {"R0", "R1", "R2", "R3"}


def test_a_window_is_read_again_without_effect(engine: Engine, config: Settings) -> None:
    """Cleared or run twice: what is known is recognised."""
    read(engine, config, days(5, 8))
    again = read(engine, config, days(5, 8))
    assert (again.rows_read, again.new, again.already_known) == (3, 0, 3)


def test_a_window_moves_no_cursor(engine: Engine, config: Settings) -> None:
    """The nightly run goes on where it was, before and after a backfill."""
    read(engine, config, days(0, 4))
    with engine.connect() as connection:
        assert connection.scalars(select(SourceCursor.cursor)).all() == []
    nightly = read(engine, config, days(19, 20), backfill=False)
    assert (nightly.rows_read, nightly.new, nightly.already_known) == (20, 16, 4)
    with engine.connect() as connection:
        behind = connection.scalars(select(SourceCursor.cursor)).one()
    read(engine, config, days(0, 4))
    with engine.connect() as connection:
        assert connection.scalars(select(SourceCursor.cursor)).one() == behind
    assert read(engine, config, backfill=False).rows_read == 0


def test_a_source_can_be_read_by_its_intervals_every_night(engine: Engine, config: Settings) -> None:
    """`source.by: window`: a scheduled run is for the reviews of its own interval."""
    by_window = config.model_copy(update={"source": config.source.model_copy(update={"by": "window"})})
    assert read(engine, by_window, days(2, 3), backfill=False).new == 1
    assert stored(engine) == {"R2"}


def test_a_window_is_not_cut_by_the_usual_number_of_rows(engine: Engine, config: Settings) -> None:
    """No cursor would keep the rest: `ingest.max_rows` does not hold, and asking for fewer rows is refused."""
    few = config.model_copy(update={"ingest": config.ingest.model_copy(update={"max_rows": 2})})
    assert read(engine, few, days(0, 10)).new == 10
    with pytest.raises(ConfigurationError, match="leave the number of rows out"):
        ingest_configured(engine, config, run_key="test", now=NOW, asked=days(0, 10), max_rows=3)


def test_rows_without_a_time_are_in_every_window_and_kept_once(
    engine: Engine, config: Settings, tmp_path: Path
) -> None:
    """They belong to no window and must not be lost silently: each run counts them, the quarantine has them once."""
    (tmp_path / "in" / "c.jsonl").write_text('{oops\n{"text": "a text", "rating": 5, "timestamp": "once"}\n')
    counts = [read(engine, config, days(day, day + 1)) for day in (1, 2)]
    assert [one.reasons for one in counts] == [{"malformed": 1, "bad_timestamp": 1}] * 2
    with engine.connect() as connection:
        assert len(connection.exec_driver_sql("select raw from quarantine").all()) == 2


def test_only_files_can_be_read_by_a_window(engine: Engine, smoke: Settings) -> None:
    """A backfill of the simulator says so instead of reading on from the cursor."""
    with pytest.raises(ConfigurationError, match=r"source\.kind = simulated: only files"):
        read(engine, smoke, days(0, 1))


def test_a_run_without_an_interval_is_told_what_is_missing() -> None:
    """By window, started by hand, and no dates given."""
    with pytest.raises(ConfigurationError, match="say since when and until when"):
        window_to_read("window", asked=None, interval=None, backfill=False)


def test_dates_make_a_window() -> None:
    """One side may be open; what is no date, or no time between two, is named."""
    assert asked_window("2013-09-17", "2013-09-20") == days(5, 8)
    assert asked_window(None, "") is None
    since, until = asked_window("2013-09-17", None) or days(0, 0)
    assert (since, until.year) == (days(5, 8)[0], 2100)
    with pytest.raises(ConfigurationError, match="'soon' is no date"):
        asked_window("soon", None)
    with pytest.raises(ConfigurationError, match="the end lies before the beginning: since 2013-09-20"):
        asked_window("2013-09-20", "2013-09-17")
    with pytest.raises(ConfigurationError, match="no review is written in this window"):
        asked_window("2013-09-17", "2013-09-17")
    with pytest.raises(ConfigurationError, match="give a later end"):
        window_to_read("cursor", asked=days(3, 3), interval=None, backfill=False)


def scheduled(engine: Engine, config: Settings, window: Window) -> IngestCounts:
    """A nightly run of a source that is read by windows."""
    by_window = config.model_copy(update={"source": config.source.model_copy(update={"by": "window"})})
    return ingest_configured(engine, by_window, run_key="scheduled__test", now=NOW, interval=window)


def test_the_days_of_an_outage_are_read_by_the_next_run(engine: Engine, config: Settings) -> None:
    """Airflow catches nothing up; the next window begins where the last finished one ended, however long ago."""
    assert scheduled(engine, config, days(2, 3)).new == 1
    assert scheduled(engine, config, days(7, 8)).new == 5
    assert stored(engine) == {f"R{day}" for day in range(2, 8)}
    assert scheduled(engine, config, days(7, 8)).already_known == 1, "cleared: its own day once more, no more"


def test_a_window_with_a_damaged_file_is_not_finished(engine: Engine, config: Settings) -> None:
    """The good file's reviews are in; when the other one is mended the next run begins at that window once more."""
    broken = Path(config.source.path) / "b.jsonl"
    whole = broken.read_bytes()
    scheduled(engine, config, days(0, 2))
    broken.write_bytes(b"\x00\xff" * 5000)
    counts = scheduled(engine, config, days(2, 4))
    assert (counts.new, counts.problem.startswith(str(broken))) == (1, True)
    broken.write_bytes(whole)
    scheduled(engine, config, days(4, 6))
    assert stored(engine) == {f"R{day}" for day in range(6)}


def test_a_window_by_hand_and_a_backfill_move_no_end(engine: Engine, config: Settings) -> None:
    """They read other days, and the next night still begins where the last one ended."""
    scheduled(engine, config, days(0, 1))
    read(engine, config, days(10, 15))
    ingest_configured(engine, config, run_key="manual__test", now=NOW, asked=days(16, 18))
    assert scheduled(engine, config, days(3, 4)).new == 3
