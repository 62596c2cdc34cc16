"""`restar evaluate`, `explore` and `audit-stars`: which snapshot they look at, and what they say where there is none."""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from restar_lib.cli import app
from restar_lib.cli.shared import find_snapshot
from restar_lib.dataset.snapshot_folder import NOTE, write_folder
from restar_lib.domain import Example, Side, TruthSource, weak_label
from restar_lib.errors import SnapshotError
from restar_lib.settings import settings
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WORDS = {1: "terrible", 3: "okay", 5: "excellent"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of its own, and no database."""
    monkeypatch.setenv("RESTAR_HOME", str(tmp_path))
    monkeypatch.setenv("RESTAR_PROFILE", "smoke")
    monkeypatch.setenv("RESTAR_EVALUATION__RESAMPLES", "100")
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def example(number: int, side: Side, *, stars: Sequence[int] = (5, 5, 1, 3)) -> Example:
    """A review whose word says its stars."""
    rating = stars[number % len(stars)]
    return Example(
        review_id=f"{side}-{number}",
        text=f"This {WORDS[rating]} {side} thing number {number} came with a box and a cord of some length",
        truth=weak_label(rating),
        truth_source=TruthSource.STARS,
        weight=1.0,
        rating=rating,
        product_category="Kitchen",
        reviewed_at=NOW - timedelta(days=number),
    )


def frozen(rows: int, *, stars: Sequence[int] = (5, 5, 1, 3)) -> Path:
    """A snapshot with so many rows a side; the training side has these `stars`."""
    sides = {side: [example(number, side) for number in range(rows)] for side in Side}
    sides[Side.TRAIN] = [example(number, Side.TRAIN, stars=stars) for number in range(rows)]
    return write_folder(settings().snapshots_dir, sides, now=NOW)


def forget(old: Path, new: str | None) -> None:
    """Leave what `privacy.snapshot_rewriting` leaves in the place of a snapshot."""
    shutil.rmtree(old)
    old.mkdir()
    (old / NOTE).write_text(json.dumps({"rewritten_as": new}))


def told(*command: str) -> str:
    """What the command prints, or the error that it ends with."""
    found = CliRunner().invoke(app, command)
    return found.output if found.exception is None else str(found.exception)


def test_what_is_left_of_a_version_s_snapshot_is_its_own() -> None:
    """However often it was rewritten; the report is kept with the version, and says what these rows are."""
    folders = [frozen(rows) for rows in (22, 21, 20)]
    version = sealed_tiny_model(settings().models_dir, snapshot_hash=folders[0].name).name
    for old, new in pairwise(folders):
        forget(old, new.name)
    assert told("evaluate", "--version", version).startswith(f"{version} reads 100.0 % of 20 reviews right")
    report = json.loads((settings().models_dir / f"{version}.evaluation.json").read_text())
    assert (report["snapshot_hash"], report["elsewhere"]) == (folders[-1].name, None)
    assert any("people were forgotten" in note and folders[0].name in note for note in report["notes"])


def test_a_version_whose_snapshot_is_gone_is_named_with_what_to_do() -> None:
    """Whether it is not there or too little was left of it."""
    gone, other = frozen(21), frozen(20)
    for own in ("f" * 16, gone.name):
        version = sealed_tiny_model(settings().models_dir, snapshot_hash=own).name
        forget(gone, None)
        said = told("evaluate", "--version", version)
        assert said.startswith(f"{version} cannot be evaluated on its own snapshot {own}: ")
        assert f"restar evaluate --version {version} --snapshot HASH" in said
        assert "reads 100.0 % of 20" in told("evaluate", "--version", version, "--snapshot", other.name[:6])


@pytest.mark.parametrize("command", ["explore", "audit-stars"])
def test_before_the_first_training_set_it_says_how_one_comes_to_be(command: str) -> None:
    """And not how many snapshots are named nothing."""
    assert "no training set yet" in told(command)
    assert "`make run` freezes the first one" in told(command)


def test_the_newest_snapshot_is_taken_where_none_is_named_and_one_of_two_is_not_guessed() -> None:
    """A rewritten one is no candidate, but finds what is left of it."""
    old, new = frozen(21), frozen(20)
    assert find_snapshot(settings(), "").name == new.name
    assert find_snapshot(settings(), old.name[:8]) == old
    with pytest.raises(SnapshotError, match="0 snapshots are named"):
        find_snapshot(settings(), "no such")
    forget(old, new.name)
    assert {find_snapshot(settings(), wanted) for wanted in ("", old.name[:8], new.name)} == {new}
