"""`ingest_reviews` reads a window of time where the trigger form names one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, select

from restar_lib.store.tables import ReviewRow, SourceCursor
from tests.dags.conftest import AirflowHouse
from tests.review_files import review, write_rows


def test_a_run_by_hand_takes_the_reviews_of_the_dates_in_the_form(
    house: AirflowHouse, environment: dict[str, str], engine: Engine, tmp_path: Path
) -> None:
    """One review a day: three of them are taken, and the cursor of the nightly runs is not touched."""
    file = write_rows(tmp_path / "in" / "a.csv", [review(day) for day in range(20)])
    source = {"RESTAR_SOURCE__KIND": "files", "RESTAR_SOURCE__PATH": str(file)}
    conf = {"since": "2013-09-14", "until": "2013-09-17"}
    run = house.ask("run", dag_id="ingest_reviews", conf=conf, environment=environment | source)
    assert run["answers"]["read_and_store"]["new"] == 3
    with engine.connect() as connection:
        assert set(connection.scalars(select(ReviewRow.review_id))) == {"R2", "R3", "R4"}
        assert connection.scalars(select(SourceCursor.source)).all() == []
