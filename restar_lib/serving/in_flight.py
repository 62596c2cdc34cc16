"""How much is predicted at one time: what is beyond the bound is refused at once, instead of waiting unseen.

A prediction takes a processor for its whole time, so requests that wait for one another only make all of them late,
until clients and gateways give up on answers that are still computed. Counted in reviews, because a batch of 32 is as
much work as 32 requests. Used from the event loop alone; it needs no lock and never waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from restar_lib.serving.error_responses import Overloaded

WINDOW_CHARACTERS: Final = 1_000
"""About 256 tokens, the window of a model. A text that is read by its sentences is read to its end."""


class InFlight:
    """The reviews that are predicted now, or wait for a processor."""

    def __init__(self, most: int) -> None:
        """At most `most` reviews; a request that finds nothing in flight is taken, however large it is."""
        self._most = most
        self.reviews = 0

    @contextmanager
    def hold(self, reviews: int) -> Iterator[None]:
        """Count `reviews` while the block runs. Raises `Overloaded`, and counts nothing, where they are too many."""
        if self.reviews and self.reviews + reviews > self._most:
            raise Overloaded(f"{self.reviews} reviews are being read, at most {self._most} at one time; ask again soon")
        self.reviews += reviews
        try:
            yield
        finally:
            self.reviews -= reviews


def by_sentences(text: str) -> int:
    """How many reviews a text counts for that is read as a whole and sentence by sentence."""
    return 1 + -(-len(text) // WINDOW_CHARACTERS)
