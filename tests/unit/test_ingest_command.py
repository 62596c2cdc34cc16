"""`restar ingest` in the terminal: what it refuses before it reads anything."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restar_lib.cli import main
from restar_lib.settings import settings


@pytest.fixture(autouse=True)
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file with one review, and no database."""
    file = tmp_path / "reviews.csv"
    file.write_text(
        "text,rating,date\nThis kettle boils fast and looks good on my old kitchen counter too,5,2026-03-04\n"
    )
    for name, value in {"HOME": tmp_path, "SOURCE__KIND": "files", "SOURCE__NAME": "m", "SOURCE__PATH": file}.items():
        monkeypatch.setenv(f"RESTAR_{name}", str(value))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("dry_run", [["--dry-run"], []])
def test_a_window_whose_end_lies_before_its_beginning_is_refused(
    dry_run: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one line, whether or not anything would be stored."""
    command = ["restar", "ingest", *dry_run, "--since", "2026-03-08", "--until", "2026-03-01"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.err.startswith("restar: the end lies before the beginning: since 2026-03-08")
    assert (said.err.count("\n"), said.out) == (1, "")
