"""Which review a row is: ids of a source, their texts, edits, and ids that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from restar_lib.domain import Outcome
from restar_lib.ingest.identity import BroughtId, ReviewIdentity, SourceIds, StoredId, outcome_of, repeated_in_words

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def brought(name: str, text: str, *, hours: int = 0, is_derived: bool = False) -> BroughtId:
    return BroughtId(
        id_in_source=name, is_derived=is_derived, text_hash=f"hash of {text}", reviewed_at=NOON + timedelta(hours=hours)
    )


def stored(review_id: str, text: str, *, source: str = "shop", id_in_source: str | None = None) -> StoredId:
    return StoredId(
        review_id=review_id,
        source=source,
        id_in_source=id_in_source or review_id,
        text_hash=f"hash of {text}",
        reviewed_at=NOON,
        is_current=True,
    )


def added(ids: SourceIds, *rows: BroughtId) -> list[ReviewIdentity | None]:
    ids.begin(rows)
    return [ids.add(row) for row in rows]


def test_an_id_that_is_free_is_the_reviews_own() -> None:
    """And the same id with the same text is known from then on."""
    first, again = added(SourceIds("shop", stable=False), brought("7", "a"), brought("7", "a"))
    assert first == ReviewIdentity(review_id="7", id_in_source=None)
    assert again is None


def test_the_same_id_of_another_source_is_another_review() -> None:
    """It gets an id of its own, the same one on every run, and is known by the id that its source gave it."""
    taken = [stored("7", "a", source="other")]
    (first,) = added(SourceIds("shop", taken, stable=False), brought("7", "b"))
    (again,) = added(SourceIds("shop", taken, stable=False), brought("7", "b"))
    assert first == again
    assert first is not None
    assert (first.review_id == "7", first.id_in_source, first.is_repeated) == (False, "7", False)
    renamed = stored(first.review_id, "b", id_in_source="7")
    assert added(SourceIds("shop", [*taken, renamed], stable=False), brought("7", "b")) == [None]


def test_a_known_review_stays_known_when_the_review_that_had_its_id_is_gone() -> None:
    """The other source's review was erased: this one is still found by the id in its source."""
    renamed = stored("7.abc", "b", id_in_source="7")
    assert added(SourceIds("shop", [renamed], stable=False), brought("7", "b")) == [None]


def test_without_stable_ids_another_text_is_another_review() -> None:
    """Both are kept, and the second is counted as one whose id says too little."""
    _, second = added(SourceIds("shop", stable=False), brought("7", "a"), brought("7", "b"))
    assert second is not None
    assert (second.id_in_source, second.replaces, second.is_repeated) == ("7", None, True)


def test_with_stable_ids_another_text_is_an_edit() -> None:
    """The newer text replaces the one before it, also twice; an older one that comes later is replaced itself."""
    ids = SourceIds("shop", [stored("7", "a")], stable=True)
    (second,) = added(ids, brought("7", "b", hours=1))
    (third,) = added(ids, brought("7", "c", hours=2))
    (oldest,) = added(ids, brought("7", "z", hours=-5))
    assert second is not None
    assert third is not None
    assert oldest is not None
    assert (second.replaces, third.replaces, oldest.replaces) == ("7", second.review_id, None)
    assert oldest.replaced_by == third.review_id
    assert {outcome_of(one, is_copy=False) for one in (second, third, oldest)} == {Outcome.EDITED}
    assert outcome_of(second, is_copy=True) is Outcome.EDITED
    assert added(ids, brought("7", "a")) == [None], "the first text is read again: it is known"


def test_an_id_before_three_texts_is_no_id_of_a_review() -> None:
    """A product's or an author's: three reviews, no edits, whatever the source says of its ids."""
    rows = [brought("B001", text) for text in "abc"]
    found = added(SourceIds("shop", stable=True), *rows)
    assert [one is not None and one.is_edit for one in found] == [False, False, False]
    assert len({one.review_id for one in found if one}) == 3
    assert [one.is_repeated for one in found if one] == [False, True, True]
    assert "it is no id of a review" in repeated_in_words(2, 3, stable=True)
    assert "set source.stable_ids" in repeated_in_words(2, 3, stable=False)


def test_a_review_with_an_id_of_ours_is_known_though_its_text_is_cleaned_better_now() -> None:
    """Such an id is made from the text as it was read; better cleaning must not make the review look new."""
    ids = SourceIds("shop", [stored("0123456789abcdef", "as it was cleaned")], stable=False)
    assert added(ids, brought("0123456789abcdef", "as it is cleaned now", is_derived=True)) == [None]
