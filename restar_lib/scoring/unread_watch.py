"""When reviews that nobody reads are announced to scoring: pure rules, with neither Airflow nor the database.

What an ingest has just stored is announced by its own run, so unread reviews wait some minutes before they are taken
for forgotten; while they stay unread they are announced again. Called by `orchestration.reviews_trigger`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

FORGOTTEN_AFTER: Final = timedelta(minutes=3)
"""An ingest's own announcement starts a scoring within seconds."""
REMIND_AFTER: Final = timedelta(minutes=30)
"""A scoring that runs, or is retried, needs no second announcement for so long."""


@dataclass(frozen=True, kw_only=True)
class UnreadWatch:
    """What is remembered between two looks."""

    unread_since: datetime | None = None
    announced_at: datetime | None = None

    def look(self, is_any_unread: bool, *, now: datetime) -> tuple[UnreadWatch, bool]:
        """The next state, and whether to announce now."""
        if not is_any_unread:
            return UnreadWatch(), False
        seen = replace(self, unread_since=self.unread_since or now)
        waited = now - (seen.unread_since or now) >= FORGOTTEN_AFTER
        reminded = self.announced_at is not None and now - self.announced_at < REMIND_AFTER
        if reminded or not waited:
            return seen, False
        return replace(seen, announced_at=now), True
