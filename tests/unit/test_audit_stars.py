"""The audit of stars: what it lists, what its page and files show, and how listed reviews leave them again."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from restar_lib.dataset.snapshot import Snapshot
from restar_lib.dataset.snapshot import load as load_snapshot
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import Example, Sentiment, Side, TruthSource, weak_label
from restar_lib.errors import NothingToDo
from restar_lib.label_audit import audit as auditing
from restar_lib.label_audit import audit_store, page, read_features
from restar_lib.label_audit.audit import Audit, EncodedSnapshot
from restar_lib.settings import Settings, TrainingSettings, load
from tests.tiny_encoder import make_tiny_encoder

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
TURNED = (*range(40, 50), 77)
"""Rows whose text complains under five stars."""
ANSWERED = 45
"""The one of them that a person had read."""
HOSTILE = '=cmd() <script>alert(1)</script> it "broke"'


def read_rows() -> EncodedSnapshot:
    """200 reviews whose features say what they express; some have stars that say the opposite."""
    rng = np.random.default_rng(7)
    stars = [(5, 5, 5, 1, 3)[row % 5] for row in range(200)]
    truth = np.array([weak_label(one).position for one in stars])
    for row in TURNED:
        stars[row], truth[row] = 5, 0
    features = rng.normal(size=(200, 8))
    features[np.arange(200), truth] += 5
    examples = [_example(row, rating, text=f"text {row}") for row, rating in enumerate(stars)]
    examples[77] = replace(examples[77], text=HOSTILE)
    examples[ANSWERED] = replace(examples[ANSWERED], truth=Sentiment.NEGATIVE, truth_source=TruthSource.PEOPLE)
    snapshot = Snapshot(
        snapshot_hash="0" * 16, folder=Path("x"), train_rows=200, validation_rows=0, test_rows=0, people_rows=1,
        frozen_at=NOON.isoformat(),
    )  # fmt: skip
    return EncodedSnapshot(
        snapshot=snapshot,
        examples=(*examples, replace(_example(200, 5, text="feedback"), rating=None)),
        sides=(Side.TRAIN,) * 201,
        features=np.vstack([features, features[:1]]),
        encoder="tiny",
    )


def _example(row: int, rating: int, *, text: str) -> Example:
    return Example(
        review_id=f"r{row}",
        text=text,
        truth=weak_label(rating),
        truth_source=TruthSource.STARS,
        weight=1.0,
        rating=rating,
        product_category=("Home", "Garden")[row % 2],
        reviewed_at=NOON + timedelta(hours=row),
    )


@pytest.fixture(scope="module")
def found() -> Audit:
    """The audit of these rows."""
    return auditing.audit(read_rows(), top=2, simulated=True, seed=1, now=NOON)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of its own."""
    return load(environment={"RESTAR_PROFILE": "smoke", "RESTAR_HOME": str(tmp_path)}).settings


def test_stars_that_lie_are_found_and_counted(found: Audit) -> None:
    """The turned ones and hardly others; feedback without stars is not judged; the list is as long as asked for."""
    assert found.rows == 200
    assert len(TURNED) - 2 <= found.doubted <= len(TURNED) + 1
    assert [(one.stars, one.expresses) for one in found.listed] == [(5, Sentiment.NEGATIVE)] * 2
    assert {one.review_id for one in found.listed} < {f"r{row}" for row in TURNED}
    assert found.listed[0].doubt >= found.listed[1].doubt > 0.9
    assert found.listed[0].sure > 0.5 > found.listed[0].stars_probability
    five = next(group for group in found.by_stars if group.name == "5")
    assert five.doubted == five.expresses[0] >= len(TURNED) - 2


def test_the_list_can_be_asked_for_some_stars() -> None:
    """Counts stay those of all."""
    asked = auditing.audit(read_rows(), top=9, stars=(1, 3), simulated=True, seed=1, now=NOON)
    assert {one.stars for one in asked.listed} <= {1, 3}
    assert asked.doubted >= len(TURNED) - 2


def test_people_are_the_audits_test(found: Audit) -> None:
    """What they had said about doubted stars is counted beside what they said about the others."""
    agreement = found.agreement
    assert agreement is not None
    assert (agreement.doubted, agreement.doubted_contradicted, agreement.believed) == (1, 1, 0)
    assert "1 of 1 (100.0" in page.in_words(agreement)


def without(sentiment: Sentiment) -> EncodedSnapshot:
    """The snapshot without the reviews of this truth."""
    read = read_rows()
    only = [row for row, one in enumerate(read.examples) if one.truth is not sentiment]
    return replace(
        read,
        examples=tuple(read.examples[row] for row in only),
        sides=tuple(read.sides[row] for row in only),
        features=read.features[only],
    )


def test_a_class_without_rows_cannot_be_audited() -> None:
    """Named, and no failure."""
    with pytest.raises(NothingToDo, match="0 reviews are negative"):
        auditing.audit(without(Sentiment.NEGATIVE), top=5, simulated=False, seed=1, now=NOON)


def test_likes_and_dislikes_alone_are_audited() -> None:
    """Where no review is neutral there are two classes; no text is said to express the third."""
    found = auditing.audit(without(Sentiment.NEUTRAL), top=50, simulated=False, seed=1, now=NOON)
    assert found.doubted >= len(TURNED) - 3
    assert {one.expresses for one in found.listed} <= {Sentiment.NEGATIVE, Sentiment.POSITIVE}


def test_without_any_stars_there_is_nothing_to_audit() -> None:
    """Feedback that people have answered: named, and no failure."""
    read = read_rows()
    with pytest.raises(NothingToDo, match="no review of this snapshot has stars"):
        auditing.audit(
            replace(read, examples=tuple(replace(one, rating=None) for one in read.examples)),
            top=2, simulated=False, seed=1, now=NOON,
        )  # fmt: skip


@pytest.mark.parametrize(("long_texts", "alike"), [("head", True), ("head_and_tail", False)])
def test_long_texts_are_read_as_the_training_reads_them(tmp_path: Path, long_texts: str, alike: bool) -> None:
    """Two that differ in their last words alone are the same text to who reads the beginning."""
    encoder = make_tiny_encoder(tmp_path / "encoder", ["lamp", "good", "bad"])
    texts = [" ".join(["lamp"] * 40 + [last] * 4) for last in ("good", "bad")]
    sides = {side: [_example(9 + place, 5, text=f"{side} lamp")] for place, side in enumerate(Side)}
    sides[Side.TRAIN] = [_example(row, 5, text=text) for row, text in enumerate(texts)]
    config = TrainingSettings(encoder=str(encoder), max_tokens=16, long_texts=long_texts)
    read = read_features.read(load_snapshot(write_folder(tmp_path, sides, now=NOON)), config, progress=lambda _: None)
    assert np.allclose(read.features[0], read.features[1]) is alike


def test_the_page_says_the_answer_first_and_runs_nothing(found: Audit) -> None:
    """Headline, list, simulated notice; a customer's markup is shown, not run; nothing is loaded from elsewhere."""
    everything = found.model_copy(update={"listed": tuple(_listed_all(found))})
    html = page.draw(everything)
    assert f"<h1>{found.doubted} of 200 star ratings seem to lie" in html
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert "simulated" in html
    assert "5 stars, but the text reads negative" in html


def test_the_spreadsheet_runs_no_formula(found: Audit, settings: Settings) -> None:
    """One line a review; a text that begins like a formula is text."""
    everything = found.model_copy(update={"listed": tuple(_listed_all(found))})
    written = audit_store.save(settings, everything)
    rows = list(csv.DictReader(written.csv.open()))
    assert [row["review_id"] for row in rows] == [one.review_id for one in everything.listed]
    assert next(row["text"] for row in rows if row["review_id"] == "r77") == f"'{HOSTILE}"
    assert Audit.model_validate_json(written.json.read_text()) == everything


def test_an_audit_that_lists_a_forgotten_review_is_deleted(found: Audit, settings: Settings) -> None:
    """All of its files, and only where the review is listed, or where nobody can tell."""
    written = audit_store.save(settings, found)
    listed, other = found.listed[0].review_id, "r199"
    assert audit_store.forget(settings, [other]) == 0
    assert audit_store.forget(settings, [listed]) == 3
    assert not any(file.exists() for file in (written.html, written.json, written.csv))
    audit_store.save(settings, found)
    written.json.write_text("{")
    assert audit_store.forget(settings, [other]) == 3
    assert not written.html.exists()


def _listed_all(found: Audit) -> list[auditing.DoubtedReview]:
    all_of_them = auditing.audit(read_rows(), top=50, simulated=True, seed=1, now=NOON).listed
    assert len(all_of_them) == found.doubted
    return list(all_of_them)
