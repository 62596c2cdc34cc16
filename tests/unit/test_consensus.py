"""What several answers to one review amount to."""

import pytest

from restar_lib.domain import Sentiment
from restar_lib.labeling.consensus import consensus

NEGATIVE, NEUTRAL, POSITIVE = Sentiment


@pytest.mark.parametrize(
    ("answers", "needed", "expected"),
    [
        ([], 1, None),
        ([NEGATIVE], 1, NEGATIVE),
        ([NEGATIVE], 2, None),
        ([NEGATIVE, NEGATIVE], 2, NEGATIVE),
        ([NEGATIVE, POSITIVE], 2, None),
        ([NEGATIVE, POSITIVE, POSITIVE], 2, POSITIVE),
        ([NEGATIVE, NEUTRAL, POSITIVE], 3, None),
        ([NEGATIVE, NEUTRAL, POSITIVE, NEUTRAL], 3, NEUTRAL),
    ],
)
def test_the_commonest_answer_decides_and_a_tie_asks_one_more(
    answers: list[Sentiment], needed: int, expected: Sentiment | None
) -> None:
    """Too few answers or a tie at the top: no consensus yet."""
    assert consensus(answers, needed=needed) is expected
