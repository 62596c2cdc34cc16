"""The loop turns, from nothing: two runs of `restar run --once` on one state folder, then a look at what they left.

Everything is real: PostgreSQL, Airflow with its four processes, the encoder, the gate, the swap, the HTTP API. The
`smoke` profile is small, so the floors are low; the code is the same.
"""

import email
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from restar_lib.artifacts.pointer import read_pointer
from restar_lib.artifacts.sealed_folder import verify
from restar_lib.settings import load
from restar_lib.store.tables import IngestRun, Label, LabelTask, PredictionRow, ReleaseRow, ReviewRow, VerdictRow

from .conftest import Installation

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def first(installation: Installation) -> Done:
    """The first turn: history, the first model, new reviews, labels, a retraining."""
    return installation.call("run", "--once")


@pytest.fixture(scope="module")
def second(installation: Installation, first: Done) -> Done:
    """The next `run` on the same state."""
    assert first.returncode == 0, first.stdout + first.stderr
    return installation.call("run", "--once")


def numbers(engine: Engine) -> dict[str, int]:
    """Rows by table."""
    tables = {
        "review": ReviewRow,
        "task": LabelTask,
        "label": Label,
        "prediction": PredictionRow,
        "release": ReleaseRow,
    }
    with engine.connect() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in tables.items()
        }


def test_a_first_turn_ends_in_a_release_and_its_retraining_in_a_swap(installation: Installation, first: Done) -> None:
    """The first run exits 0; two releases stand in the log, the first without a predecessor; all labels are `demo`."""
    assert first.returncode == 0, first.stdout + first.stderr
    with installation.database() as engine, engine.connect() as connection:
        versions = connection.execute(select(ReleaseRow.model_version).order_by(ReleaseRow.release_id)).scalars().all()
        sources = set(connection.execute(select(Label.source)).scalars())
        verdicts = connection.execute(select(VerdictRow.challenger).order_by(VerdictRow.verdict_id)).scalars().all()
    assert len(versions) == 2
    assert versions == verdicts
    assert {source.value for source in sources} == {"demo"}


def test_the_summary_names_the_numbers_of_the_tables(installation: Installation, first: Done) -> None:
    """What the summary says about reviews, the verdict and the champion is what the tables say."""
    with installation.database() as engine, engine.connect() as connection:
        run = connection.execute(select(IngestRun).order_by(IngestRun.ingest_run_id.desc()).limit(1)).one()
        champion = connection.execute(select(ReleaseRow).order_by(ReleaseRow.release_id.desc()).limit(1)).one()
    for expected in (
        f"ingest_run {run.ingest_run_id}",
        f"{run.new:,}",
        champion.model_version,
        f"release {champion.release_id}",
    ):
        assert expected in first.stdout
    assert "commonest class" in first.stdout
    assert "simulated reviews" in first.stdout


def test_the_pointer_follows_the_log_and_the_model_is_whole(installation: Installation, first: Done) -> None:
    """The pointer on disk says what the newest release says, and that folder verifies."""
    assert first.returncode == 0
    settings = load(environment=installation.environment).settings
    pointer = read_pointer(settings.pointer_path)
    assert pointer is not None
    verify(settings.models_dir / pointer.model_version)
    with installation.database() as engine, engine.connect() as connection:
        newest = connection.execute(select(ReleaseRow).order_by(ReleaseRow.release_id.desc()).limit(1)).one()
    assert (pointer.release_id, pointer.model_version) == (newest.release_id, newest.model_version)


def test_a_second_run_goes_on_and_reads_nothing_twice(installation: Installation, second: Done) -> None:
    """The second run reads on where the first ended: every row once, every review scored once, one task per review."""
    assert second.returncode == 0, second.stdout + second.stderr
    assert "the first model" not in second.stdout
    with installation.database() as engine, engine.connect() as connection:
        runs = connection.execute(select(IngestRun.rows_read, IngestRun.already_known)).all()
        twice = connection.execute(
            select(PredictionRow.review_id).group_by(PredictionRow.review_id).having(func.count() > 1)
        ).all()
        left = numbers(engine)
    settings = load(environment=installation.environment).settings
    assert sum(run.rows_read for run in runs) == settings.embedded.history_rows + 2 * settings.embedded.turn_rows
    assert sum(run.already_known for run in runs) == 0
    assert twice == []
    assert left["task"] <= left["review"]


def test_no_process_stays_after_a_turn(installation: Installation, second: Done) -> None:
    """`restar run --once` leaves state and nothing else."""
    assert second.returncode == 0
    assert installation.processes() == []


def test_state_of_another_source_is_refused(installation: Installation, second: Done, tmp_path: Path) -> None:
    """Reviews from a file on the state of the simulator: exit code 3, and the message names the way out."""
    assert second.returncode == 0
    reviews = tmp_path / "reviews.jsonl"
    reviews.write_text(
        '{"text": "fine", "rating": 5, "date": "2024-05-01"}\n{"text": "bad", "rating": 1, "date": "2024-05-02"}\n'
    )
    refused = installation.call("run", "--once", "--reviews", str(reviews), timeout=60)
    assert refused.returncode == 3
    assert "make reset" in refused.stderr


def test_caught_mails_are_well_formed(installation: Installation, second: Done) -> None:
    """Whatever mails the turns sent are text and HTML, and say that the reviews are simulated."""
    assert second.returncode == 0
    for path in (installation.home / "mail").glob("*.eml"):
        message = email.message_from_bytes(path.read_bytes())
        assert message.is_multipart()
        assert "imulated" in path.read_text(errors="replace")
