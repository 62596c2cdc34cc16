"""The table of trainings and two of them side by side, on the real database and real model folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.release_log import ChampionChange, append
from restar_lib.cli import app
from restar_lib.dataset.snapshot import Snapshot, freeze
from restar_lib.dataset.snapshot_folder import NOTE, write_folder
from restar_lib.domain import LabelSource, Reason, ReleaseKind, Sentiment, Side, TaskStatus
from restar_lib.errors import ArtifactError, SnapshotError
from restar_lib.gate.judge import judge
from restar_lib.settings import Settings
from restar_lib.store.tables import IngestRun, Label, LabelTask, ReviewRow, SnapshotLabel
from restar_lib.tracking.compare import SideBySide, side_by_side
from restar_lib.tracking.comparison_page import draw, headline, lines
from restar_lib.tracking.training_record import TrainingRecord
from restar_lib.tracking.versions import all_versions
from restar_lib.training.ensemble import OWN_HEAD
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = {1: "terrible", 3: "okay", 5: "excellent"}
WORSE = (0.0, 0.0, 99.0)
"""A bias that makes everything positive."""


@pytest.fixture
def snapshot(engine: Engine, smoke: Settings) -> Snapshot:
    """120 test rows whose stars a tiny model can find, and a few to train on."""
    sides = [Side.TEST] * 120 + [Side.VALIDATION] * 30 + [Side.TRAIN] * 60
    with engine.begin() as connection:
        connection.execute(insert(IngestRun).values(ingest_run_id=1, source="test", run_key="test"))
        connection.execute(insert(ReviewRow), [_review(number, side) for number, side in enumerate(sides)])
    return freeze(engine, smoke, now=NOW)


def _review(number: int, side: Side) -> dict[str, object]:
    rating = (5, 5, 5, 1, 3)[number % 5]
    text = f"This {WORDS[rating]} thing number {number} came with a box and a cord of some length"
    return {
        "review_id": f"r{number:04}", "source": "test", "text": text, "rating": rating, "product_category": "<b>Home</b>",
        "reviewed_at": NOW - timedelta(days=number), "words": len(text.split()), "text_hash": f"hash {number}",
        "side": side, "ingest_run_id": 1,
    }  # fmt: skip


def judged(engine: Engine, settings: Settings, snapshot: Snapshot, bias: tuple[float, float, float]) -> Path:
    """A sealed model with its verdict."""
    folder = sealed_tiny_model(settings.models_dir, bias=bias, snapshot_hash=snapshot.snapshot_hash)
    judge(engine, settings, challenger_folder=folder, champion_folder=None, snapshot=snapshot)
    return folder


def test_the_table_tells_the_champion_from_refused_and_deleted_versions(
    engine: Engine, smoke: Settings, snapshot: Snapshot
) -> None:
    """What the gate said stays in the table after housekeeping has deleted the folder."""
    good = judged(engine, smoke, snapshot, (0.0, 0.0, 0.0)).name
    gone = judged(engine, smoke, snapshot, WORSE).name
    unjudged = sealed_tiny_model(smoke.models_dir, bias=(0.1, 0.0, 0.0)).name
    sealed_folder.delete(smoke.models_dir, gone)
    change = ChampionChange(
        model_version=good, kind=ReleaseKind.RELEASE, provisional=False, released_by="test", reason="", released_at=NOW
    )
    append(engine, change, expected_previous=None)
    found = {one.version: one for one in all_versions(engine, smoke)}
    assert {version: run.remark for version, run in found.items()} == {good: "champion", gone: "deleted", unjudged: ""}
    assert (found[good].accuracy, found[good].mode, found[unjudged].verdict) == (1.0, "head", "-")
    assert found[gone].verdict == "refused"
    assert found[gone].macro_f1 == pytest.approx(0.25)  # 0.6 positive: F1 0.75 of one class in three


def test_only_a_version_that_was_averaged_is_called_a_mean(engine: Engine, smoke: Settings) -> None:
    """What was configured is no proof: the first versions find nobody to be averaged with."""
    training = smoke.training.model_copy(update={"ensemble": 4})
    alone, averaged = (sealed_tiny_model(smoke.models_dir, bias=(0.0, one, 0.0)) for one in (0.1, 0.2))
    for folder in (alone, averaged):
        TrainingRecord.of(smoke.model_copy(update={"training": training}), champion=None).write(
            smoke.models_dir, folder.name
        )
    averaged.chmod(0o755)
    (averaged / OWN_HEAD).touch()
    found = {one.version: one.mode for one in all_versions(engine, smoke)}
    assert found == {alone.name: "head", averaged.name: "head, mean of up to 4"}


@pytest.mark.parametrize("name", ["model.json", "metrics.json", "run.json"])
@pytest.mark.parametrize("content", ["{", "[]", '{"validation": 3, "settings": 3}'])
def test_one_damaged_version_does_not_hide_the_others(
    engine: Engine, smoke: Settings, snapshot: Snapshot, name: str, content: str
) -> None:
    """It is listed with the file that is wrong and with what the tables know of it."""
    whole = sealed_tiny_model(smoke.models_dir, bias=WORSE).name
    damaged = judged(engine, smoke, snapshot, (0.0, 0.0, 0.0))
    damaged.chmod(0o755)
    (damaged / OWN_HEAD).touch()
    beside = sealed_folder.sibling(smoke.models_dir, damaged.name, name)
    (beside if name == "run.json" else damaged / name).write_text(content)
    found = {one.version: one for one in all_versions(engine, smoke)}
    assert found[whole].remark == ""
    assert found[damaged.name].remark.startswith("damaged: ")
    assert name in found[damaged.name].remark
    assert (found[damaged.name].accuracy, found[damaged.name].verdict, found[damaged.name].mode) == (1.0, "passed", "-")


def compared(engine: Engine, settings: Settings, snapshot: Snapshot) -> SideBySide:
    """A model that says positive to everything, and a good one."""
    first = sealed_tiny_model(settings.models_dir, bias=WORSE, snapshot_hash=snapshot.snapshot_hash)
    second = sealed_tiny_model(settings.models_dir, snapshot_hash=snapshot.snapshot_hash)
    changed = settings.model_copy(update={"training": settings.training.model_copy(update={"epochs": 9})})
    TrainingRecord.of(settings, champion=None).write(settings.models_dir, first.name)
    TrainingRecord.of(changed, champion=first.name).write(settings.models_dir, second.name)
    return side_by_side(settings, first.name, second.name, engine=engine)


def test_two_versions_are_compared_on_the_same_rows(engine: Engine, smoke: Settings, snapshot: Snapshot) -> None:
    """The difference is the second minus the first; what was set differently is named, what was not is left out."""
    found = compared(engine, smoke, snapshot)
    assert found.rows == 120
    assert found.difference.accuracy.value == pytest.approx(0.4)
    assert (found.paired.better_rows, found.paired.worse_rows) == (48, 0)
    assert headline(found).startswith(f"{found.second} is better than {found.first} by 75.0 points of macro-F1")
    assert {one.name: (one.first, one.second) for one in found.changed} == {
        "training.epochs": (str(smoke.training.epochs), "9"),
        "champion before": ("none", found.first),
    }
    assert "training.epochs" in "\n".join(lines(found))


def test_rows_that_a_version_has_learned_from_are_counted(engine: Engine, smoke: Settings, snapshot: Snapshot) -> None:
    """On a snapshot that is not its own; and where its training set is gone, nobody knows."""
    fresh = sealed_tiny_model(smoke.models_dir, snapshot_hash=snapshot.snapshot_hash).name
    seen = sealed_tiny_model(smoke.models_dir, snapshot_hash=with_test_rows(snapshot, rows=7)).name
    unknown = sealed_tiny_model(smoke.models_dir, snapshot_hash="d" * 16).name

    def beside(second: str) -> SideBySide:
        return side_by_side(smoke, fresh, second, engine=engine, snapshot_hash=snapshot.snapshot_hash)

    assert list(lines(beside(fresh)))[1].endswith("; neither has learned from them")
    on_seen, on_unknown = beside(seen), beside(unknown)
    assert [one.rows for one in (*on_seen.seen, *on_unknown.seen)] == [0, 7, 0, None]
    assert f"7 of them were seen by {seen}" in list(lines(on_seen))[1]
    assert f"7 of them were seen by {seen}" in draw(on_seen)
    assert f"seen by {unknown} is unknown: its training set {'d' * 16} is not here" in list(lines(on_unknown))[1]
    assert "neither has learned" not in draw(on_unknown)


def test_what_is_left_of_a_training_set_is_still_a_versions_own(
    engine: Engine, smoke: Settings, snapshot: Snapshot
) -> None:
    """People in it were forgotten: both are compared on the rows that are left."""
    before = smoke.snapshots_dir / ("e" * 16)
    before.mkdir()
    (before / NOTE).write_text(json.dumps({"rewritten_as": snapshot.snapshot_hash}))
    version = sealed_tiny_model(smoke.models_dir, snapshot_hash=before.name).name
    found = side_by_side(smoke, version, version, engine=engine)
    assert (found.snapshot_hash, [one.rows for one in found.seen]) == (snapshot.snapshot_hash, [0, 0])


def with_test_rows(snapshot: Snapshot, *, rows: int) -> str:
    """The hash of a training set from elsewhere: it holds so many test rows of `snapshot`."""
    sides = {side: list(snapshot.examples(side)) for side in Side}
    sides[Side.TRAIN] += sides[Side.TEST][:rows]
    return write_folder(snapshot.folder.parent, sides, now=NOW).name


def test_the_beginning_of_a_hash_names_the_snapshot_to_compare_on(
    smoke: Settings, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere; what names none says which there are."""
    monkeypatch.setattr("restar_lib.cli.trainings.settings", lambda: smoke)
    version = sealed_tiny_model(smoke.models_dir).name
    named = CliRunner().invoke(app, ["compare", version, version, "--snapshot", snapshot.snapshot_hash[:6]])
    assert f"on 120 test rows of snapshot {snapshot.snapshot_hash};" in named.output, named.exception
    wrong = CliRunner().invoke(app, ["compare", version, version, "--snapshot", "no such"])
    assert snapshot.snapshot_hash in str(wrong.exception)


def test_labels_that_only_one_version_learned_from_are_named(
    engine: Engine, smoke: Settings, snapshot: Snapshot
) -> None:
    """By the ids of the labels in the snapshots."""
    _answer(engine, "r0150", task=5, label=8)
    older = sealed_tiny_model(smoke.models_dir, snapshot_hash=snapshot.snapshot_hash)
    newer = freeze(engine, smoke, now=NOW)
    with engine.begin() as connection:
        connection.execute(insert(SnapshotLabel).values(snapshot_hash=snapshot.snapshot_hash, task_id=5))
    _answer(engine, "r0151", task=6, label=9)
    newest = freeze(engine, smoke, now=NOW)
    assert len({snapshot.snapshot_hash, newer.snapshot_hash, newest.snapshot_hash}) == 3
    second = sealed_tiny_model(smoke.models_dir, snapshot_hash=newest.snapshot_hash)
    labels = side_by_side(smoke, older.name, second.name, engine=engine).labels
    assert labels is not None
    assert (labels.first, labels.second, labels.only_first, labels.only_second) == (1, 2, (), (9,))


def _answer(engine: Engine, review_id: str, *, task: int, label: int) -> None:
    done = {
        "task_id": task, "review_id": review_id, "status": TaskStatus.MERGED, "reasons": [Reason.UNCERTAIN],
        "priority": 1.0, "inclusion_probability": 1.0, "consensus": Sentiment.NEGATIVE, "done_at": NOW, "merged_at": NOW,
    }  # fmt: skip
    said = {"label_id": label, "task_id": task, "labeler": "p", "sentiment": "negative", "source": LabelSource.PERSON}
    with engine.begin() as connection:
        connection.execute(insert(LabelTask).values(done))
        connection.execute(insert(Label).values(said))


def test_the_page_loads_nothing_and_escapes(engine: Engine, smoke: Settings, snapshot: Snapshot) -> None:
    """No script, no address; a value that somebody put into the settings is text."""
    found = compared(engine, smoke, snapshot)
    hostile = [*found.changed[:1], type(found.changed[0])(name="x", first="<script>", second="b")]
    page = draw(type(found)(**{**vars(found), "changed": tuple(hostile)}))
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert headline(found) in page


def test_without_rows_to_compare_on_the_message_says_so(smoke: Settings, tmp_path: Path) -> None:
    """Both snapshots are gone, or a version is unknown."""
    first = sealed_tiny_model(smoke.models_dir)
    with pytest.raises(SnapshotError, match="name another snapshot with --snapshot"):
        side_by_side(smoke, first.name, first.name)
    with pytest.raises(ArtifactError, match="there is no sealed model 'rs-0000000000'"):
        side_by_side(smoke, first.name, "rs-0000000000")
    assert not (tmp_path / "var" / "reports").exists()
