"""What the gate looks at beside answers: training sets, a process of its own, slices."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from restar_lib.dataset.snapshot_folder import read_side, write_folder
from restar_lib.dataset.training_overlap import TrainingSet, find_leaks
from restar_lib.domain import Example, Side, TruthSource, weak_label
from restar_lib.gate.criteria.challenger import leakage_line
from restar_lib.gate.isolated_probe import probe_in_isolation
from restar_lib.gate.slice_changes import SLICES, gate_slices, slice_changes
from tests.tiny_model import make_tiny_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def example(review_id: str, text: str, *, stars: int = 5) -> Example:
    """A row whose truth are its stars."""
    return Example(
        review_id=review_id,
        text=text,
        truth=weak_label(stars),
        truth_source=TruthSource.STARS,
        weight=1.0,
        rating=stars,
        product_category="Garden",
        reviewed_at=NOW,
    )


def training_set(folder: Path, whose: str = "challenger", **texts: str) -> TrainingSet:
    """A training set with one row a side."""
    sides = {side: [example(f"{whose} {side}", texts.get(side, f"{whose} of {side}"))] for side in Side}
    return TrainingSet(whose=whose, folder=write_folder(folder, sides, now=NOW))


def test_a_gate_text_in_a_training_or_validation_side_is_found(tmp_path: Path) -> None:
    """However it is written, and whichever of the two models learned from it; the test side may hold it."""
    rows = [example("gate", "A very GOOD lamp, really!"), example("other", "Something else")]
    mine = training_set(tmp_path, validation="a very good lamp... really", test="something else")
    theirs = training_set(tmp_path, "champion", train="Something   else.")
    found = find_leaks(rows, [mine, theirs])
    assert [(leak.whose, leak.side, leak.test_id) for leak in found.leaks] == [
        ("challenger", Side.VALIDATION, "gate"),
        ("champion", Side.TRAIN, "other"),
    ]
    assert (found.test_rows, found.learned_rows, found.unread) == (2, 4, ())


def test_a_review_is_found_where_only_one_of_two_sets_has_titles(tmp_path: Path) -> None:
    """By its id, since the texts differ; and it is said that copies under another id could not be."""
    mine = training_set(tmp_path, train="a very good lamp")
    (learned,) = (row for row in read_side(mine.folder, Side.TRAIN))
    titled = [example(learned.review_id, "Lovely. A very good lamp"), example("copy", "Nice. A very good lamp")]
    found = find_leaks(titled, [mine], titles=True)
    assert [leak.test_id for leak in found.leaks] == [learned.review_id]
    assert found.by_review == (mine,)
    assert find_leaks(titled, [mine], titles=False).by_review == ()
    said = leakage_line(find_leaks(titled[1:], [mine], titles=True)).detail
    assert said.endswith("compared by review alone")


def test_a_training_set_that_is_gone_is_said(tmp_path: Path) -> None:
    """It is neither clean nor leaking."""
    gone = TrainingSet(whose="champion", folder=tmp_path / "gone")
    assert find_leaks([example("a", "A lamp")], [gone]).unread == (gone,)


def test_a_whole_model_answers_in_a_clean_process(tmp_path: Path) -> None:
    """In a second or two, with the inference engine alone."""
    probe = probe_in_isolation(make_tiny_model(tmp_path / "model"), timeout=60)
    assert (probe.problem, 10 < probe.megabytes < 1000, probe.seconds < 30) == (None, True, True)


def test_a_damaged_model_says_why_and_a_hanging_one_is_given_up(tmp_path: Path) -> None:
    """Both are reasons, not exceptions."""
    folder = make_tiny_model(tmp_path / "model")
    assert "0.001 s" in str(probe_in_isolation(folder, timeout=0.001).problem)
    probe = json.loads((folder / "probe.json").read_text())
    (folder / "probe.json").write_text(json.dumps(probe | {"texts": probe["texts"][::-1]}))
    assert "away from the recorded ones" in str(probe_in_isolation(folder, timeout=60).problem)
    (folder / "model.onnx").unlink()
    assert "model.onnx is missing" in str(probe_in_isolation(folder, timeout=60).problem)


def test_every_slice_of_the_gate_is_computed_from_rows() -> None:
    """The gate's list and what is computed are the same, or each verdict would refuse."""
    rows = [example("a", "A lamp"), example("b", "A bulb", stars=1)]
    assert tuple(gate_slices(rows)) == SLICES
    assert gate_slices(rows)["year"] == ["2026", "2026"]


def test_a_slice_counts_what_was_lost_and_gained() -> None:
    """And how likely equal models would lose as much: 3 of 3 is one in eight."""
    truth, before, now = np.zeros(4, dtype=int), np.array([0, 0, 0, 1]), np.array([1, 1, 1, 1])
    (found,) = slice_changes(truth, before, now, {"rating": ["1 stars"] * 4})
    assert (found.rows, found.before, found.now, found.lost, found.gained) == (4, 0.75, 0.0, 3, 0)
    assert (found.drop, found.chance) == (0.75, 0.125)
