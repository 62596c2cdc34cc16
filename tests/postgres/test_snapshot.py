"""Snapshots: what is in them, that they never change, and that nothing leaks from one side to another."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update

from restar_lib.dataset import candidates
from restar_lib.dataset.leakage import refuse_leaks
from restar_lib.dataset.snapshot import Snapshot, freeze, load, natural_weights, share_out
from restar_lib.domain import Sentiment, Side, TruthSource, weak_label
from restar_lib.errors import SnapshotError
from restar_lib.labeling.queue import merge_finished
from restar_lib.settings import Settings
from restar_lib.store.tables import LabelTask, ReviewRow, SnapshotLabel, SnapshotRow
from tests.reviews import NOON, add_reviews, answer

LATER = NOON + timedelta(days=30)


@pytest.fixture
def sides(engine: Engine, smoke: Settings) -> dict[str, Side]:
    """Six hundred reviews in the database: three in five positive, one negative, one neutral."""
    return add_reviews(engine, smoke, 600)


def merge(engine: Engine) -> None:
    """What `retrain_sentiment` does before it freezes."""
    with engine.begin() as connection:
        merge_finished(connection, now=LATER)


def rows_in(engine: Engine, table: type) -> int:
    """How many rows a table has."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def some(sides: dict[str, Side], side: Side, count: int) -> list[str]:
    """The first reviews of a side."""
    return [review_id for review_id, at in sides.items() if at == side][:count]


@pytest.mark.usefixtures("sides")
def test_the_same_tables_give_the_same_snapshot(engine: Engine, smoke: Settings) -> None:
    """Freezing again finds the folder and the row that are there, byte by byte."""
    first = freeze(engine, smoke, now=LATER)
    files = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    assert freeze(engine, smoke, now=LATER + timedelta(days=1)) == first
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == files
    assert rows_in(engine, SnapshotRow) == 1
    assert [path.name for path in smoke.snapshots_dir.iterdir()] == [first.snapshot_hash]


def test_one_more_label_gives_another_snapshot(engine: Engine, smoke: Settings, sides: dict[str, Side]) -> None:
    """A changed truth changes the hash, and the older snapshot stays as it was."""
    first = freeze(engine, smoke, now=LATER)
    answer(engine, smoke, some(sides, Side.TRAIN, 1), Sentiment.NEUTRAL, now=LATER)
    merge(engine)
    second = freeze(engine, smoke, now=LATER)
    assert second.snapshot_hash != first.snapshot_hash
    assert load(first.folder) == first
    assert rows_in(engine, SnapshotRow) == 2


def test_every_review_stays_on_its_side(engine: Engine, smoke: Settings, sides: dict[str, Side]) -> None:
    """The side that ingest gave a text is the only one on which a snapshot shows it."""
    snapshot = freeze(engine, smoke, now=LATER)
    for side in Side:
        rows = snapshot.examples(side)
        assert rows
        assert {sides[row.review_id] for row in rows} == {side}


def test_people_outweigh_stars_and_are_all_in(engine: Engine, smoke: Settings, sides: dict[str, Side]) -> None:
    """Each answered training review carries the consensus and the weight of people, whatever the sample holds."""
    asked = some(sides, Side.TRAIN, 30)
    answer(engine, smoke, asked, Sentiment.NEGATIVE, now=LATER)
    merge(engine)
    snapshot = freeze(engine, smoke, now=LATER)
    answered = [row for row in snapshot.examples(Side.TRAIN) if row.truth_source == TruthSource.PEOPLE]
    assert {row.review_id for row in answered} == set(asked)
    assert {(row.truth, row.weight) for row in answered} == {(Sentiment.NEGATIVE, smoke.dataset.people_weight)}
    assert snapshot.people_rows == len(asked)


def test_a_label_on_the_test_side_corrects_the_truth_and_teaches_nothing(
    engine: Engine, smoke: Settings, sides: dict[str, Side]
) -> None:
    """People may improve the gate's truth; the row stays on the test side with weight 1."""
    newest = some(sides, Side.TEST, 600)[-1]
    answer(engine, smoke, [newest], Sentiment.NEUTRAL, now=LATER)
    merge(engine)
    snapshot = freeze(engine, smoke, now=LATER)
    (row,) = (row for row in snapshot.examples(Side.TEST) if row.review_id == newest)
    assert (row.truth, row.truth_source, row.weight) == (Sentiment.NEUTRAL, TruthSource.PEOPLE, 1.0)
    assert newest not in {row.review_id for row in snapshot.examples(Side.TRAIN)}


def test_finished_labels_that_are_not_merged_are_not_in(
    engine: Engine, smoke: Settings, sides: dict[str, Side]
) -> None:
    """An answer that can still be undone is no truth yet."""
    answer(engine, smoke, some(sides, Side.TRAIN, 5), Sentiment.NEUTRAL, now=LATER)
    assert freeze(engine, smoke, now=LATER).people_rows == 0


def test_a_snapshot_remembers_which_tasks_are_in_it(engine: Engine, smoke: Settings, sides: dict[str, Side]) -> None:
    """One row for each label that taught or judged."""
    answer(engine, smoke, some(sides, Side.TRAIN, 3), Sentiment.NEUTRAL, now=LATER)
    merge(engine)
    snapshot = freeze(engine, smoke, now=LATER)
    with engine.connect() as connection:
        tasks = set(connection.execute(select(LabelTask.task_id)).scalars())
        found = connection.execute(select(SnapshotLabel.snapshot_hash, SnapshotLabel.task_id)).all()
    assert set(found) == {(snapshot.snapshot_hash, task) for task in tasks}


@pytest.mark.usefixtures("sides")
def test_titles_stand_in_front_of_their_texts_where_configured(engine: Engine, smoke: Settings) -> None:
    """On all three sides, and another snapshot than without; a review without one is its text alone."""
    with engine.begin() as connection:
        connection.execute(update(ReviewRow).where(ReviewRow.review_id != "r0000").values(title="Not for me"))
    plain = freeze(engine, smoke, now=NOON)
    dataset = smoke.dataset.model_copy(update={"titles": True})
    titled = freeze(engine, smoke.model_copy(update={"dataset": dataset}), now=NOON)
    assert titled.snapshot_hash != plain.snapshot_hash
    assert (plain.titles, titled.titles) == (False, True)
    for side in Side:
        for with_one, without in zip(titled.examples(side), plain.examples(side), strict=True):
            title = "" if without.review_id == "r0000" else "Not for me. "
            assert with_one.text == title + without.text


def test_copies_of_a_text_are_never_in(engine: Engine, smoke: Settings, sides: dict[str, Side]) -> None:
    """A review that repeats another's text neither teaches nor judges."""
    original, copy = some(sides, Side.TEST, 600)[-2:]
    with engine.begin() as connection:
        connection.execute(update(ReviewRow).where(ReviewRow.review_id == copy).values(duplicate_of=original))
    found = {row.review_id for row in freeze(engine, smoke, now=LATER).examples(Side.TEST)}
    assert original in found
    assert copy not in found


@pytest.mark.usefixtures("sides")
def test_feedback_without_stars_waits_for_people(engine: Engine, smoke: Settings) -> None:
    """A review without stars is no weak label anywhere; once people answered, it teaches."""
    unrated = add_reviews(engine, smoke, 60, prefix="feedback", ratings=(None,))
    (asked,) = some(unrated, Side.TRAIN, 1)
    answer(engine, smoke, [asked], Sentiment.NEGATIVE, now=LATER)
    merge(engine)
    snapshot = freeze(engine, smoke, now=LATER)
    found = {row.review_id for side in Side for row in snapshot.examples(side) if row.rating is None}
    assert found == {asked}


def test_the_held_out_sides_are_the_newest_rows_as_they_came(
    engine: Engine, smoke: Settings, sides: dict[str, Side]
) -> None:
    """No sampling by class: the last rows of the side, in the order of time."""
    few = smoke.model_copy(update={"dataset": smoke.dataset.model_copy(update={"max_test_rows": 20})})
    found = [row.review_id for row in freeze(engine, few, now=LATER).examples(Side.TEST)]
    assert found == some(sides, Side.TEST, 600)[-20:]


@pytest.mark.usefixtures("sides")
def test_rare_classes_are_enriched_and_weighed_back(engine: Engine, smoke: Settings) -> None:
    """Each class has a third of the sample, and the weights restore the natural shares."""
    few = smoke.model_copy(update={"dataset": smoke.dataset.model_copy(update={"max_rows": 90})})
    rows = freeze(engine, few, now=LATER).examples(Side.TRAIN)
    assert Counter(row.truth for row in rows) == dict.fromkeys(Sentiment, 30)
    positive = sum(row.weight for row in rows if row.truth == Sentiment.POSITIVE) / sum(row.weight for row in rows)
    assert positive == pytest.approx(0.6, abs=0.05)


def test_a_small_class_gives_its_places_to_the_others() -> None:
    """Nothing is invented, nothing wasted, and the total is kept where there are enough rows."""
    available = {Sentiment.NEGATIVE: 50, Sentiment.NEUTRAL: 4, Sentiment.POSITIVE: 900}
    assert share_out(available, total=100) == {
        Sentiment.NEGATIVE: 48,
        Sentiment.NEUTRAL: 4,
        Sentiment.POSITIVE: 48,
    }
    assert share_out(available, total=5000) == available


def test_a_class_that_is_not_there_weighs_nothing() -> None:
    """No division by zero where the stream has no neutral review."""
    taken = {Sentiment.NEGATIVE: 10, Sentiment.NEUTRAL: 0, Sentiment.POSITIVE: 10}
    weights = natural_weights({Sentiment.NEGATIVE: 10, Sentiment.NEUTRAL: 0, Sentiment.POSITIVE: 30}, taken)
    assert weights == {Sentiment.NEGATIVE: 0.5, Sentiment.POSITIVE: 1.5}


def test_nothing_to_train_on_is_said(engine: Engine, smoke: Settings) -> None:
    """An empty database is no snapshot, and the message says what to do."""
    with pytest.raises(SnapshotError, match="no review for train and validation and test: ingest more"):
        freeze(engine, smoke, now=LATER)
    assert rows_in(engine, SnapshotRow) == 0


@pytest.fixture
def snapshot(engine: Engine, smoke: Settings) -> Snapshot:
    """A frozen snapshot to damage."""
    add_reviews(engine, smoke, 200)
    return freeze(engine, smoke, now=LATER)


def test_an_altered_row_is_refused_by_name(snapshot: Snapshot) -> None:
    """Somebody who edits a truth on disk does not get it past the manifest."""
    file = snapshot.folder / "test.jsonl.gz"
    content = gzip.decompress(file.read_bytes()).replace(b'"truth": "positive"', b'"truth": "negative"', 1)
    file.write_bytes(gzip.compress(content))
    with pytest.raises(SnapshotError, match=r"test\.jsonl\.gz: is not what the manifest says"):
        load(snapshot.folder)


@pytest.mark.parametrize("name", ["manifest.json", "train.jsonl.gz"])
def test_an_incomplete_folder_is_refused_by_name(snapshot: Snapshot, name: str) -> None:
    """A file that is gone is named."""
    (snapshot.folder / name).unlink()
    with pytest.raises(SnapshotError, match=name):
        load(snapshot.folder)


def test_a_manifest_for_other_rows_is_refused(snapshot: Snapshot) -> None:
    """The hash is the content's: a manifest that was made to fit altered files is no longer this snapshot."""
    file = snapshot.folder / "manifest.json"
    content = json.loads(file.read_text())
    content["sha256"]["test"] = "0" * 64
    file.write_text(json.dumps(content))
    with pytest.raises(SnapshotError, match="altered"):
        load(snapshot.folder)


def test_a_torn_file_is_refused(snapshot: Snapshot) -> None:
    """Half a file is no file."""
    file = snapshot.folder / "validation.jsonl.gz"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(SnapshotError, match=r"validation\.jsonl\.gz: cannot be read"):
        load(snapshot.folder)


@pytest.mark.usefixtures("sides")
def test_a_leftover_of_a_killed_freeze_does_not_stop_the_next(engine: Engine, smoke: Settings) -> None:
    """A folder that was never renamed is not a snapshot; freezing goes past it."""
    (smoke.snapshots_dir / ".0123456789abcdef.1").mkdir(parents=True)
    snapshot = freeze(engine, smoke, now=LATER)
    assert load(snapshot.folder) == snapshot


def test_the_guards_trust_no_side_column(snapshot: Snapshot) -> None:
    """The same review, or the same words in another spelling, on two sides is refused with both names."""
    (row, *_), (other, *_) = snapshot.examples(Side.TRAIN), snapshot.examples(Side.TEST)
    with pytest.raises(SnapshotError, match=f"review {row.review_id} stands in train and in test"):
        refuse_leaks({Side.TRAIN: [row], Side.TEST: [row]})
    shouted = replace(other, text=row.text.upper() + "!!")
    with pytest.raises(SnapshotError, match="same text"):
        refuse_leaks({Side.TRAIN: [row], Side.TEST: [shouted]})


def test_another_folder_is_not_mistaken_for_a_snapshot(tmp_path: Path) -> None:
    """A path without a manifest is refused by name."""
    with pytest.raises(SnapshotError, match="no readable manifest"):
        load(tmp_path)


def sample(engine: Engine, *, key: str, limit: int, without: list[str] | None = None) -> set[str]:
    """Weak training reviews, at most `limit` of each class."""
    limits = dict.fromkeys(Sentiment, limit)
    with engine.connect() as connection:
        found = candidates.weak_sample(connection, key=key, limits=limits, without=without or [])
    assert max(Counter(weak_label(one.stars) for one in found).values()) <= limit
    assert len({one.review_id for one in found}) == len(found)
    return {one.review_id for one in found}


def test_another_key_draws_another_sample(engine: Engine, sides: dict[str, Side]) -> None:
    """Each key begins elsewhere on the circle of hashes, and wherever that is, there are as many as wanted."""
    samples = [sample(engine, key=f"key {number}", limit=20) for number in range(12)]
    assert {len(found) for found in samples} == {60}
    assert len({frozenset(found) for found in samples}) == 12
    everything = sample(engine, key="key 1", limit=10_000)
    assert everything == {one for one, side in sides.items() if side is Side.TRAIN}
    left_out = sorted(samples[0])[:5]
    assert not sample(engine, key="key 0", limit=20, without=left_out) & set(left_out)


@pytest.mark.usefixtures("sides")
def test_a_sample_changes_only_by_what_is_new(engine: Engine, smoke: Settings) -> None:
    """New reviews take part where their hashes fall; no old one comes in because of them."""
    before = sample(engine, key="key", limit=60)
    new = add_reviews(engine, smoke, 100, prefix="new")
    after = sample(engine, key="key", limit=60)
    assert after - before
    assert after - before <= set(new)


def test_the_counts_of_classes_leave_out_who_is_asked_to(engine: Engine, sides: dict[str, Side]) -> None:
    """Three in five positive, one negative, one neutral, on the training side alone."""
    some_of_each = some(sides, Side.TRAIN, 40)
    with engine.connect() as connection:
        everything = candidates.weak_counts(connection, without=[])
        rest = candidates.weak_counts(connection, without=some_of_each)
        excepted = candidates.with_ids(connection, Side.TRAIN, some_of_each)
    by_class = Counter(weak_label(one.stars) for one in excepted)
    assert sum(everything.values()) == sum(side is Side.TRAIN for side in sides.values())
    assert {sentiment: everything[sentiment] - rest[sentiment] for sentiment in Sentiment} == by_class
