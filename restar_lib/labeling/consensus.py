"""What several answers to one review amount to.

Pure: no database, no weights by labeler (agreement and gold tasks come with the full desk).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from restar_lib.domain import Sentiment


def consensus(answers: Sequence[Sentiment], *, needed: int) -> Sentiment | None:
    """The commonest answer once there are `needed` of them; None while there are fewer, and at a tie.

    A tie is no answer: the task goes back to the queue and one more person is asked.
    """
    if len(answers) < needed:
        return None
    (first, votes), *rest = Counter(answers).most_common()
    return None if rest and rest[0][1] == votes else first
