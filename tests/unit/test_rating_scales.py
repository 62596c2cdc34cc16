"""Stars out of ratings on any scale, and which scale a file has: what is certain is taken, everything else is asked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from restar_lib.ingest.cleaning.ratings import RatingScale, parse_rating, thumb_stars
from restar_lib.ingest.inspection.rating_scales import find_scale
from restar_lib.ingest.inspection.undecided import Question


@pytest.mark.parametrize(
    ("written", "stars"),
    [
        (4.4, 4), (4.6, 5), (1.5, 2), (2.5, 3), (3.5, 3), (4.5, 4), ("3,5", 3), ("8/10", 4), ("5/10", 3), ("2/10", 1),
        ("90%", 4), ("40 %", 2), ("100%", 5), ("\u2605\u2605\u2605\u2606", 4), ("1,000", None), ("0/5", 1), ("4 bubbles", 4), ("5.0 out of 5", 5), ("two stars", 2), ("\u2605\u2605\u2606\u2606\u2606", 2),
        ("\U0001f44d", 5), ("Not recommended", 1), (0, None), (5.2, None), ("8 stars", None), ("12/10", None),
        ("3/2024", None), (True, None), ("", None), ("star", None), ("4 stars from me, because it is good", None),
    ],
)  # fmt: skip
def test_a_rating_is_the_nearest_star_and_a_half_goes_to_the_middle(written: Any, stars: int | None) -> None:
    """As the module says it."""
    assert parse_rating(written) == stars


def test_a_scale_is_a_line_from_its_worst_to_its_best() -> None:
    """Of 10, up to 4 is negative and from 7 on positive; a school mark of 1 is the best."""
    ten, hundred, marks = (RatingScale.parse(written) for written in ("1-10", "0-100", "6-1"))
    assert [ten.stars(number) for number in range(1, 11)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [hundred.stars(number) for number in (0, 25, 50, 75, 100, 101)] == [1, 2, 3, 4, 5, None]
    assert [marks.stars(number) for number in (1, 3.5, 6)] == [5, 3, 1]
    assert [RatingScale.parse("-1 to 1").stars(number) for number in (-1, 0, 1)] == [1, 3, 5]
    for wrong in ("ten", "5-5", "1-", "1-10-20"):
        with pytest.raises(ValueError, match="no scale of ratings"):
            RatingScale.parse(wrong)


def test_two_values_are_the_ends() -> None:
    """Whatever words are used for good and bad."""
    for good, bad in ((1, 0), (True, False), ("yes", "No"), ("1.0", "0.0"), ("up", "down"), ("pos", "neg"), (1, -1)):
        assert (thumb_stars(good), thumb_stars(bad)) == (5, 1)
    assert thumb_stars(2) is None


CERTAIN = [
    ({1: 3, 2: 1, 5: 9}, "1-5"),
    ({"4.5": 3, "2": 1}, "1-5"),
    ({"5 stars": 3, "positive": 1}, "1-5"),
    ({5: 100}, "1-5"),
    ({0: 1, 1: 20, 4: 20, 5: 60}, "1-5"),
    ({5: 990, 4: 5, 55: 5}, "1-5"),
    ({4: 10, 3: 5}, "1-5"),
    (dict.fromkeys(range(1, 11), 10), "1-10"),
    ({str(number): 10 for number in range(11)}, "0-10"),
]
DOUBTFUL: list[tuple[dict[Any, int], str]] = [
    ({10: 1, 2: 1, 5: 1}, "1-10"),
    (dict.fromkeys(range(1, 10), 10), "1-10"),
    ({0: 50, 1: 50}, "thumbs"),
    ({1: 50}, "thumbs"),
    ({0: 2, 1: 1}, "1-0"),
    ({"0": 5, "1": 5}, "thumbs"),
    ({-1: 5, 1: 5}, "thumbs"),
    ({1: 50, 2: 50}, "1-2"),
    ({1: 20, 2: 20, 3: 20, 4: 20}, "1-4"),
    ({1: 20, 2: 20, 3: 20, 4: 20}, "1-10"),
    ({1: 60, 2: 60, 3: 40, 4: 30, 999: 1}, "1-10"),
    ({1: 60, 5: 60, 700: 12}, "1-10"),
    ({"5 stars": 10, "8 stars": 10}, "1-10"),
    ({"one": 10, "five": 10, "ten": 2}, "1-10"),
    ({"Y": 5, "N": 5}, "thumbs"),
    ({"up": 5, "down": 5}, "thumbs"),
    ({1: 5, 2: 5, 6: 5}, "6-1"),
    ({20: 5, 100: 5}, "20-100"),
    ({-1: 5, 4: 5, 5: 5}, "1-5"),
    ({0: 5, 1: 5, 2: 5, 3: 5, 4: 5}, "0-4"),
    ({0: 50, 1: 5, 5: 50}, "0-5"),
    ({0.5: 5, 3.5: 5, 5: 5}, "0.5-5"),
    ({0.1: 5, 0.93: 5}, "0-1"),
    ({80: 5, 20: 5}, "0-100"),
    ({17: 5, 12: 5}, "0-20"),
    ({True: 5, False: 5}, "thumbs"),
]


@pytest.mark.parametrize(("ratings", "scale"), CERTAIN)
def test_a_certain_scale_is_taken(ratings: dict[Any, int], scale: str) -> None:
    """Stars, and whole scales of ten."""
    assert find_scale(ratings, column="rating") == scale


@pytest.mark.parametrize(("ratings", "offered"), DOUBTFUL)
def test_a_doubtful_scale_is_asked_about(ratings: dict[Any, int], offered: str) -> None:
    """With the ones that it may be."""
    question = find_scale(Counter(ratings), column="rating")
    assert isinstance(question, Question)
    assert offered in {choice.value for choice in question.choices}


def test_truth_values_that_recommend_are_thumbs() -> None:
    """The name of the column says which of them is good."""
    assert find_scale({True: 5, False: 5}, column="voted_up") == "thumbs"
    assert find_scale({"True": 5, "no": 5}, column="Is Recommended") == "thumbs"


def test_who_does_not_like_does_not_recommend() -> None:
    """A column of the opposite is asked about."""
    for column in ("dislike", "not_recommended"):
        assert isinstance(find_scale({True: 5, False: 5}, column=column), Question)
