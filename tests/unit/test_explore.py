"""Exploring a snapshot: what is found in rows whose oddities are known, and that no text leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import Example, Sentiment, Side, TruthSource, weak_label
from restar_lib.evaluation.near_duplicates import near_copies
from restar_lib.evaluation.profile import page
from restar_lib.evaluation.profile.contents import SnapshotProfile
from restar_lib.evaluation.profile.measure import explore
from restar_lib.settings import Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SENTENCE = "we used the {word} kettle number {number} of {side} every morning for a month and my brother saw"
COPY = "this long sentence about a lamp and its green shade and the brass foot was told again with one word {word}"


def example(number: int, side: Side, *, text: str | None = None) -> Example:
    """Two of three are five stars and short, the others one star and long; people contradict each tenth."""
    rating = 1 if number % 3 == 0 else 5
    by_people = number % 10 == 0
    said = SENTENCE.format(word=("awful" if rating == 1 else "lovely"), number=number, side=side.value)
    named = " with Zebulon" * (by_people and number < 30 and side is Side.TRAIN)
    return Example(
        review_id=f"{side.value}-{number:03}",
        text=text or said + named + (f" and so on{number}{side.value}" * 20 if rating == 1 else ""),
        truth=Sentiment.NEUTRAL if by_people else weak_label(rating),
        truth_source=TruthSource.PEOPLE if by_people else TruthSource.STARS,
        weight=0.5 if rating == 1 else 1.25,
        rating=rating,
        product_category="Kitchen",
        reviewed_at=NOW - timedelta(days=number),
    )


@pytest.fixture
def snapshot(smoke: Settings) -> Snapshot:
    """90 rows to learn from, 30 and 60 held out, and one near copy on two sides."""
    sizes = {Side.TRAIN: 90, Side.VALIDATION: 30, Side.TEST: 60}
    sides = {side: [example(number, side) for number in range(size)] for side, size in sizes.items()}
    sides[Side.TRAIN].append(example(91, Side.TRAIN, text=COPY.format(word="five stars")))
    sides[Side.TEST].append(example(61, Side.TEST, text=COPY.format(word="changed")))
    return load(write_folder(smoke.snapshots_dir, sides, now=NOW))


@pytest.fixture
def found(smoke: Settings, snapshot: Snapshot) -> SnapshotProfile:
    """A look at it."""
    return explore(smoke, snapshot, now=NOW)


def test_shares_are_told_as_drawn_and_as_natural(found: SnapshotProfile) -> None:
    """The weights undo what enriched the rare class; people's rows were selected and are left out."""
    train = found.sides[0]
    negative = next(one for one in train.classes if one.sentiment == "negative")
    assert (train.rows, train.people) == (91, 9)
    assert negative.rows == 27
    assert negative.natural == pytest.approx(27 * 0.5 / (27 * 0.5 + 55 * 1.25))


def test_people_against_stars_and_stars_against_length_are_told(found: SnapshotProfile) -> None:
    """Each answer of people contradicts the stars here; one star is longer than five."""
    assert found.disagreement is not None
    assert found.disagreement.value == 1.0
    words = {one.stars: one.mean_words.value for one in found.stars_length}
    assert words[1] > 2 * words[5]
    assert found.stars_length_correlation is not None
    assert found.stars_length_correlation.value < -0.5


def test_a_near_copy_on_two_sides_is_a_leak(found: SnapshotProfile) -> None:
    """Found among the copies, counted across; a text that names stars too."""
    leaks = {leak.name: leak.found for leak in found.leaks}
    assert leaks["near copies on two sides"] == 2
    assert leaks["texts that name stars"] == 1
    assert leaks["the same text twice"] == 0


def test_near_copies_are_counted_by_rows_and_not_by_pairs(smoke: Settings) -> None:
    """Six copies make fifteen pairs, but six of the rows; a seventh on another side is near to each."""
    sides = {side: [example(number, side) for number in range(30)] for side in Side}
    copies = [example(90 + place, Side.TRAIN, text=COPY.format(word=f"changed{place}")) for place in range(6)]
    sides[Side.TRAIN] += copies
    one_side = explore(smoke, load(write_folder(smoke.snapshots_dir, sides, now=NOW)), now=NOW)
    sides[Side.TEST].append(example(99, Side.TEST, text=COPY.format(word="told")))
    two_sides = explore(smoke, load(write_folder(smoke.snapshots_dir, sides, now=NOW)), now=NOW)
    found = [{leak.name: (leak.found, leak.of) for leak in one.leaks} for one in (one_side, two_sides)]
    assert [one["near copies"] for one in found] == [(6, 96), (7, 97)]
    assert [one["near copies on two sides"] for one in found] == [(0, 96), (7, 97)]


def test_near_copies_share_most_of_their_runs() -> None:
    """A word changed at the end is a copy, another half is none, and a phrase that many share makes no pair."""
    one = "a b c d e f g h i j k l m n o p q r s t"
    assert near_copies([one, one.replace(" t", " z"), "a b c d e f g h i j " + one[::-1]]) == [(0, 1)]
    phrase = "i bought this for my son and he"
    assert near_copies([f"{phrase} {number} {' '.join(str(number) * 12)}" for number in range(40)]) == []


@pytest.mark.parametrize(
    ("text", "copy", "other"),
    [
        (
            "отличная лампа, очень доволен покупкой и всем её рекомендую",
            "Отличная лампа, очень доволен покупкой и всем её рекомендую!",
            "ужасное качество, сломалась через день, верните мне мои деньги",
        ),
        (
            "这个产品非常好。我很喜欢它的颜色和质量",
            "这个产品非常好。我很喜欢它的颜色和质量。",
            "太差了。一天就坏了。请退款",
        ),
        (
            "c'était une très belle lampe, ma mère l'a adorée",
            "c'était une très belle lampe, ma mère l'a adorée !",
            "déçu",
        ),
    ],
)
def test_texts_of_any_script_are_compared_by_their_words(text: str, copy: str, other: str) -> None:
    """Texts without Latin letters are no copies of each other for that; emoji alone are no copies at all."""
    assert near_copies([text, other, "\U0001f44d\U0001f44d", copy, "\U0001f600", "!!!"]) == [(0, 3)]


def test_every_copy_of_a_text_that_is_copied_often_is_found() -> None:
    """Not every pair of them, but each copy in one, and the sides that it stands on."""
    words = [f"w{place}" for place in range(60)]
    copies = [" ".join([*words[:place], "changed", *words[place + 1 :]]) for place in range(31)]
    assert len(near_copies(copies[:30])) == 435
    found = near_copies(copies)
    assert {place for pair in found for place in pair} == set(range(31))
    assert sum(one < 20 <= other for one, other in found) >= 10


def test_telling_words_are_told_and_no_persons_text_is(
    smoke: Settings, snapshot: Snapshot, found: SnapshotProfile
) -> None:
    """A word that fewer than five reviews use could be somebody's name: neither page nor JSON holds it."""
    assert sum("Zebulon" in row.text for row in snapshot.examples(Side.TRAIN)) == 3
    telling = {one.sentiment: [word.word for word in one.words] for one in found.words}
    assert telling["negative"][0] == "awful"
    assert "lovely" in telling["positive"]
    written = page.save(smoke, found)
    content = written.html.read_text() + written.json.read_text()
    assert "ebulon" not in content
    assert "brass foot" not in content
    assert written.url.endswith(f"/restar/reports/view/explore/{found.snapshot_hash}.html")


def test_the_page_names_what_to_look_at_first(found: SnapshotProfile) -> None:
    """In the headline, and without anything to load."""
    bad = found.leaks[0].model_copy(update={"bad": True, "name": "near <copies>"})
    drawn = page.draw(found.model_copy(update={"leaks": (bad,)}))
    assert "look at this first: near &lt;copies&gt;</h1>" in drawn
    assert "<script" not in drawn
    assert "no leak was found" in page.headline(found.model_copy(update={"leaks": ()}))


def test_what_was_not_looked_at_is_said(smoke: Settings, snapshot: Snapshot) -> None:
    """A cap on the costly parts is a note, not a silence."""
    few = smoke.model_copy(update={"evaluation": smoke.evaluation.model_copy(update={"max_explored_rows": 100})})
    found = explore(few, snapshot, now=NOW)
    assert (found.looked_at, found.rows) == (100, 182)
    assert any("100 of 182 rows" in note for note in found.notes)
    assert any("no database was asked" in note for note in found.notes)
