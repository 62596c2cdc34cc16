"""Drift columns: what they mean, and that a reference survives its file."""

from pathlib import Path

import pytest

from restar_lib.artifacts.reference import (
    UNKNOWN_CATEGORY,
    Columns,
    Observation,
    Reference,
    columns_of,
    oov_share,
    read_reference,
    text_length,
    vocabulary_of,
    words_of,
    write_reference,
)
from restar_lib.domain import Sentiment
from restar_lib.errors import ArtifactError


def observation(text: str = "a fine kettle", *, category: str | None = "Kitchen") -> Observation:
    """One review and its prediction."""
    return Observation(text=text, product_category=category, rating=5, predicted=Sentiment.POSITIVE, confidence=0.91)


def test_words_are_letters_with_inner_apostrophes() -> None:
    """Case, numbers and punctuation do not make another word."""
    assert words_of("Don't buy 2 of THESE\u2014it\u2019s 100% Straße!") == [
        "don't",
        "buy",
        "of",
        "these",
        "it\u2019s",
        "strasse",
    ]


def test_the_share_of_unknown_words_counts_words_of_this_text() -> None:
    """Two of four words are unknown: a half; a text without words has none."""
    vocabulary = frozenset({"good", "kettle"})
    assert oov_share("Good kettle, shiny grommet", vocabulary) == 0.5
    assert oov_share("5/5 !!!", vocabulary) == 0.0


def test_the_vocabulary_keeps_the_commonest_words_and_is_sorted() -> None:
    """Under a limit the rare words go, ties by the alphabet."""
    assert vocabulary_of(["b b a", "c c z", "y"], limit=3) == ("a", "b", "c")


def test_length_is_counted_in_words() -> None:
    """White space of any kind separates."""
    assert text_length("two\n words ") == 2


def test_a_review_without_a_category_is_a_category_of_its_own() -> None:
    """Missing categories can drift too."""
    columns = columns_of([observation(category=None), observation()], frozenset())
    assert columns.product_category == (UNKNOWN_CATEGORY, "Kitchen")


def test_class_shares_and_mean_confidence_are_those_of_the_columns() -> None:
    """All three classes are named, also the ones that were never predicted."""
    columns = columns_of([observation(), observation()], frozenset())
    assert columns.class_shares == {Sentiment.NEGATIVE: 0.0, Sentiment.NEUTRAL: 0.0, Sentiment.POSITIVE: 1.0}
    assert columns.mean_confidence == pytest.approx(0.91)
    assert columns_of([], frozenset()).mean_confidence == 0.0


def test_columns_of_different_lengths_are_refused() -> None:
    """A reference that lost part of a column is no reference."""
    with pytest.raises(ValueError, match="differ in length"):
        Columns(text_length=(1,), oov_share=(), product_category=(), rating=(), predicted=(), confidence=())


def test_a_reference_is_the_same_after_its_file(tmp_path: Path) -> None:
    """What training wrote is what drift reads."""
    reference = Reference(columns=columns_of([observation()], frozenset({"a"})), vocabulary=("a", "fine"))
    write_reference(tmp_path, reference)
    assert read_reference(tmp_path) == reference


@pytest.mark.parametrize("content", ["", "[]", '{"format": 99}', '{"format": 1, "columns": {}}'])
def test_a_broken_reference_is_refused_by_name(tmp_path: Path, content: str) -> None:
    """The error names the file and what to do."""
    (tmp_path / "reference.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"reference\.json.*train and release"):
        read_reference(tmp_path)


def test_a_missing_reference_is_refused_by_name(tmp_path: Path) -> None:
    """A folder without one is no model folder."""
    with pytest.raises(ArtifactError, match="no usable drift reference"):
        read_reference(tmp_path)
