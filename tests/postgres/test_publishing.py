"""What is published can be read back and trusted: training sets by category and split, models as they were sealed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, func, select, update

from restar_lib.artifacts import sealed_folder
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.dataset.stratified_sample import SIZABLE, fillable, shares
from restar_lib.domain import LabelSource, Sentiment, Side
from restar_lib.errors import ArtifactError, ConfigurationError, HubError, SnapshotError, SourceError
from restar_lib.ingest.load import ingest
from restar_lib.ingest.sources.published import SnapshotSource
from restar_lib.ingest.sources.published_manifest import MANIFEST
from restar_lib.labeling.queue import merge_finished
from restar_lib.publishing import publish_model, publish_snapshot
from restar_lib.settings import Settings
from restar_lib.store.tables import Label, ReviewRow
from tests.hub_stand_in import Hub, Trouble, hub_stand_in
from tests.reviews import NOON, add_reviews, answer
from tests.tiny_model import sealed_tiny_model

LATER = NOON + timedelta(days=30)
CATEGORIES = ("Kitchen", "Garden & Home", None)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An empty hub."""
    with hub_stand_in() as running:
        yield running


@pytest.fixture
def reviews(engine: Engine, smoke: Settings) -> None:
    """Nine hundred reviews in three categories of different sizes and moods, some of them answered by a person."""
    sides = add_reviews(engine, smoke, 900)
    with engine.begin() as connection:
        ids = sorted(sides)
        for category, numbers in zip(CATEGORIES, (range(600), range(600, 800), range(800, 900)), strict=True):
            wanted = [ids[number] for number in numbers]
            connection.execute(
                update(ReviewRow).where(ReviewRow.review_id.in_(wanted)).values(product_category=category)
            )
    train = [review_id for review_id, side in sides.items() if side is Side.TRAIN][:5]
    answer(engine, smoke, train, Sentiment.NEUTRAL, now=LATER)
    with engine.begin() as connection:
        merge_finished(connection, now=LATER)


@pytest.fixture
def frozen(engine: Engine, smoke: Settings, reviews: None) -> Snapshot:  # noqa: ARG001
    """A snapshot as `restar snapshot freeze` makes it."""
    return publish_snapshot.freeze(engine, smoke, held_out="stratified", now=LATER)


def with_hub(settings: Settings, hub: Hub, *, token: str | None = "hf_x") -> Settings:  # noqa: S107
    """The settings with that hub."""
    config = {"endpoint": hub.endpoint, "token": token, "tries": 3}
    return settings.model_validate(settings.model_dump() | {"hub": settings.hub.model_dump() | config})


def source(settings: Settings, path: str) -> SnapshotSource:
    """What `source.kind: snapshot` opens."""
    chosen = settings.source.model_copy(update={"kind": "snapshot", "name": "published", "path": path})
    return SnapshotSource.from_settings(settings.model_copy(update={"source": chosen}))


def rows_of(content: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def test_a_published_set_has_a_file_for_each_category_and_split(
    engine: Engine, frozen: Snapshot, smoke: Settings
) -> None:
    """Every row of the snapshot stands in exactly one of them, under its own category and side."""
    pushed = publish_snapshot.push(engine, frozen, smoke)
    folder = Path(pushed.where)
    assert folder == smoke.published_dir / "datasets" / frozen.snapshot_hash
    for split, side in {"train": Side.TRAIN, "dev": Side.VALIDATION, "eval": Side.TEST}.items():
        assert {path.stem for path in (folder / "data" / split).iterdir()} == {
            "Kitchen",
            "Garden_Home",
            "uncategorised",
        }
        found = [row for path in sorted((folder / "data" / split).iterdir()) for row in rows_of(path.read_bytes())]
        assert Counter(row["review_id"] for row in found) == Counter(row.review_id for row in frozen.examples(side))
        assert not {"user_id", "title", "asin"} & set(found[0])
    people = [
        row for row in rows_of((folder / "data/train/Kitchen.jsonl").read_bytes()) if row["truth_source"] == "people"
    ]
    assert {(row["truth"], row["weight"]) for row in people} == {("neutral", smoke.dataset.people_weight)}


def test_dev_and_eval_have_the_mix_of_all(frozen: Snapshot, engine: Engine) -> None:
    """Each category and class of some size has its share of all rated reviews, within two rows."""
    columns = (ReviewRow.product_category, ReviewRow.rating)
    with engine.connect() as connection:
        counted = connection.execute(select(*columns, func.count()).group_by(*columns))
        everything = {(category, rating): count for category, rating, count in counted.tuples()}
    for side in (Side.VALIDATION, Side.TEST):
        rows = frozen.examples(side)
        assert len(rows) > 60
        found = Counter((row.product_category, row.rating) for row in rows)
        for stratum, count in everything.items():
            share = count / 900 * len(rows)
            assert abs(found[stratum] - share) < (2 if share > SIZABLE else SIZABLE)


def test_shares_are_whole_rows_that_add_up() -> None:
    """Largest remainders: nothing is lost to rounding, and no more is given than there is."""
    counts = {("a", Sentiment.POSITIVE): 7, ("a", Sentiment.NEGATIVE): 2, (None, Sentiment.NEUTRAL): 1}
    assert list(shares(counts, total=5).values()) == [4, 1, 0]
    assert shares(counts, total=500) == counts
    assert shares({}, total=5) == {}
    assert (
        fillable(
            {("a", Sentiment.POSITIVE): 90, ("a", Sentiment.NEGATIVE): 10}, {("a", Sentiment.POSITIVE): 18}, limit=40
        )
        == 20
    )


def test_the_card_says_what_it_is(engine: Engine, frozen: Snapshot, smoke: Settings) -> None:
    """Front matter that the hub can read, the counts of every split, the mark of simulated reviews."""
    card = publish_snapshot.content(engine, frozen, smoke)["README.md"]
    assert isinstance(card, bytes)
    _, matter, text = card.decode().split("---\n", 2)
    files = yaml.safe_load(matter)["configs"][0]["data_files"]
    assert [file["path"] for file in files] == ["data/train/*.jsonl", "data/dev/*.jsonl", "data/eval/*.jsonl"]
    assert "Simulated reviews" in text
    assert f"| all | eval | {frozen.test_rows:,} |" in text
    assert "| Garden & Home | dev |" in text
    assert f"of people for {frozen.people_rows:,} of them" in text
    assert "Demo labels" not in text
    with engine.begin() as connection:
        connection.execute(update(Label).values(source=LabelSource.DEMO))
    assert b"**Demo labels.** 5 of the truths" in bytes(publish_snapshot.content(engine, frozen, smoke)["README.md"])


def test_pushing_again_changes_nothing(engine: Engine, frozen: Snapshot, smoke: Settings) -> None:
    """The same content is recognised; another content under the same name is refused, not overwritten."""
    first = publish_snapshot.push(engine, frozen, smoke)
    assert first.changed
    assert publish_snapshot.push(engine, frozen, smoke) == replace(first, changed=False)
    (Path(first.where) / "data/dev/Kitchen.jsonl").write_text("{}\n")
    with pytest.raises(ConfigurationError, match="exists with other content: remove it"):
        publish_snapshot.push(engine, frozen, smoke)


def test_a_push_that_fails_halfway_leaves_nothing(
    engine: Engine, frozen: Snapshot, smoke: Settings, tmp_path: Path
) -> None:
    """The folder appears whole or not at all: a file stands where a folder is needed."""
    files = dict(publish_snapshot.content(engine, frozen, smoke)) | {MANIFEST: tmp_path / "not there"}
    from restar_lib.publishing.target import to_folder

    with pytest.raises(OSError, match="not there"):
        to_folder(files, tmp_path / "out" / "set")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_published_folder_is_read_back_as_reviews(
    frozen: Snapshot, smoke: Settings, engine: Engine, database_url: str
) -> None:
    """Another installation reads every rated row, and each text stands on the side where it was published."""
    del database_url
    pushed = publish_snapshot.push(engine, frozen, smoke)
    sides = {row.review_id: side for side in Side for row in frozen.examples(side)}
    with engine.begin() as connection:
        connection.exec_driver_sql("truncate review cascade")
    counts = ingest(engine, source(smoke, pushed.where), smoke, run_key="test", now=LATER)
    assert counts.rows_read == counts.new == len(sides)
    with engine.connect() as connection:
        found = dict(connection.execute(select(ReviewRow.review_id, ReviewRow.side)).tuples().all())
        categories = set(connection.scalars(select(ReviewRow.product_category)))
    assert found == sides
    assert categories == set(CATEGORIES)
    assert ingest(engine, source(smoke, pushed.where), smoke, run_key="test", now=LATER).rows_read == 0


def test_a_set_with_another_rule_or_an_altered_file_is_refused(
    engine: Engine, frozen: Snapshot, smoke: Settings
) -> None:
    """Its eval rows would teach; a file that was changed says which one."""
    folder = publish_snapshot.push(engine, frozen, smoke).where
    other = smoke.dataset.model_copy(update={"split_key": "another"})
    with pytest.raises(SourceError, match=r"on their sides by another rule.*set dataset\.split_key"):
        list(source(smoke.model_copy(update={"dataset": other}), folder).rows(None))
    (Path(folder) / "data/dev/Kitchen.jsonl").write_text("{}\n")
    with pytest.raises(SourceError, match=r"data/dev/Kitchen\.jsonl: not what snapshot\.json says"):
        list(source(smoke, folder).rows(None))
    with pytest.raises(SourceError, match=r"name a folder that `restar snapshot push` wrote"):
        list(source(smoke, str(smoke.home)).rows(None))


def test_a_snapshot_goes_to_the_hub_and_comes_back(engine: Engine, frozen: Snapshot, smoke: Settings, hub: Hub) -> None:
    """One commit in a private repository; read back it holds the same rows, at that commit."""
    settings = with_hub(smoke, hub)
    pushed = publish_snapshot.push(engine, frozen, settings, repository="shop/reviews")
    repository = hub.repository("dataset", "shop/reviews")
    assert repository.private
    assert pushed.commit == repository.names["main"]
    assert set(publish_snapshot.content(engine, frozen, settings)) <= set(repository.commits[pushed.commit])
    rows = list(source(settings, "shop/reviews").rows(None))
    everything = {row.review_id for side in Side for row in frozen.examples(side)}
    assert {row.fields["review_id"] for row in rows if row.fields} == everything
    assert {row.fields.get("product_category") for row in rows if row.fields} == set(CATEGORIES)
    rest = list(source(settings, "shop/reviews").rows(rows[99].cursor_after))
    assert [row.raw for row in rest] == [row.raw for row in rows[100:]]


def test_pushing_to_the_hub_again_makes_no_commit_and_a_new_snapshot_replaces_the_old_files(
    frozen: Snapshot, smoke: Settings, hub: Hub, engine: Engine
) -> None:
    """The repository holds one snapshot: files of categories that are gone are deleted with the same commit."""
    settings = with_hub(smoke, hub)
    first = publish_snapshot.push(engine, frozen, settings, repository="shop/reviews")
    assert publish_snapshot.push(engine, frozen, settings, repository="shop/reviews") == replace(first, changed=False)
    with engine.begin() as connection:
        connection.execute(update(ReviewRow).values(product_category="Everything"))
    second = publish_snapshot.freeze(engine, settings, held_out="newest", now=LATER)
    pushed = publish_snapshot.push(engine, second, settings, repository="shop/reviews")
    held = hub.repository("dataset", "shop/reviews").commits[pushed.commit or ""]
    assert pushed.changed
    assert {path for path in held if path.startswith("data/")} == {
        f"data/{split}/Everything.jsonl" for split in ("train", "dev", "eval")
    }


def test_a_busy_hub_is_asked_again_and_a_refusal_is_told(
    engine: Engine, frozen: Snapshot, smoke: Settings, hub: Hub
) -> None:
    """503 passes; 403 says that the token may not do it; without a token nothing is sent at all."""
    settings = with_hub(smoke, hub)
    hub.troubles.append(Trouble(where="/api/repos/create", status=503, headers={"Retry-After": "0"}))
    assert publish_snapshot.push(engine, frozen, settings, repository="shop/reviews").changed
    hub.troubles.append(Trouble(where="/api/repos/create", status=403))
    with pytest.raises(HubError, match=r"push to shop/mine: the hub answers 403; the token may not do this"):
        publish_snapshot.push(engine, frozen, settings, repository="shop/mine")
    hub.requests.clear()
    with pytest.raises(ConfigurationError, match="no token for the hub: set HF_TOKEN"):
        publish_snapshot.push(engine, frozen, with_hub(smoke, hub, token=None), repository="shop/mine")
    assert hub.requests == []


def test_without_a_token_the_configured_repository_is_left_alone(
    engine: Engine, frozen: Snapshot, smoke: Settings, hub: Hub
) -> None:
    """It goes into the local folder, and the answer says where."""
    settings = with_hub(smoke, hub, token=None)
    named = settings.model_copy(update={"hub": settings.hub.model_copy(update={"dataset_repository": "shop/reviews"})})
    assert publish_snapshot.push(engine, frozen, named).where == str(
        smoke.published_dir / "datasets" / frozen.snapshot_hash
    )
    assert hub.requests == []


def test_an_unknown_snapshot_is_named_with_those_that_there_are(frozen: Snapshot, smoke: Settings) -> None:
    """A typing error costs one look."""
    assert publish_snapshot.find(smoke, frozen.snapshot_hash) == frozen
    for wrong in ("0123", "../models"):
        with pytest.raises(SnapshotError, match=f"there is no snapshot .*there are: {frozen.snapshot_hash}"):
            publish_snapshot.find(smoke, wrong)


def test_a_published_model_is_the_sealed_one_with_a_card(engine: Engine, smoke: Settings) -> None:
    """Every sealed file byte by byte; without the card the folder verifies; the card's own code gives an answer."""
    version = sealed_tiny_model(smoke.models_dir).name
    folder = Path(publish_model.push(engine, smoke, version).where)
    card = (folder / "README.md").read_text()
    assert "**Not judged**" in card
    assert "Simulated reviews" in card
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(max(probabilities, key=probabilities.get))"],
        cwd=folder.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "negative"
    (folder / "README.md").unlink()
    assert set(sealed_folder.verify(folder)) == {path.name for path in folder.iterdir()} - {"manifest.json"}


def test_a_model_goes_to_the_hub_with_its_large_files(engine: Engine, smoke: Settings, hub: Hub) -> None:
    """By the storage for large files, as weights go; what arrives verifies. An altered model is not pushed."""
    folder = sealed_tiny_model(smoke.models_dir)
    hub.large_from = 600
    script = (
        "import sys, pathlib; from restar_lib.publishing.target import to_hub; from restar_lib.settings import load;"
        "import os; folder = pathlib.Path(sys.argv[1]);"
        "to_hub({path.name: path for path in folder.iterdir()}, 'shop/model', kind='model',"
        " config=load(environment=dict(os.environ)).settings.hub, message='m')"
    )
    environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1"}
    subprocess.run([sys.executable, "-c", script, str(folder)], env=environment, check=True)
    assert any("info/lfs" in request for request in hub.requests)
    repository = hub.repository("model", "shop/model")
    held = repository.commits[repository.names["main"]]
    assert {path.name: path.read_bytes() for path in folder.iterdir()}.items() <= dict(held).items()
    (folder / "probe.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"probe\.json was altered"):
        publish_model.push(engine, with_hub(smoke, hub), folder.name, repository="shop/model")


def test_without_a_champion_the_version_must_be_named(engine: Engine) -> None:
    """There is nothing to push by default yet."""
    with pytest.raises(ArtifactError, match="no model serves yet: name the version"):
        publish_model.champion(engine)
