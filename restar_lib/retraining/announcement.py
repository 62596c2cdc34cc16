"""When finished labels are news: pure rules, so that nobody is stormed with trainings and no label is forgotten.

A burst of labels is let finish, then announced once; again after it has grown by as many as are enough, and again after
an hour in which nothing came of it (a paused DAG, a failed run). Knows no Airflow and no database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

PATIENCE = timedelta(minutes=5)
"""Labels that keep coming are announced after this long at the latest."""
REMIND_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class LabelAnnouncement:
    """What is remembered between two looks at the number of finished labels that are in no snapshot yet."""

    enough: int
    finished: int = 0
    """At the last look."""
    enough_since: datetime | None = None
    announced: int | None = None
    announced_at: datetime | None = None

    def look(self, finished: int, *, now: datetime) -> tuple[LabelAnnouncement, bool]:
        """The next state, and whether to announce `finished` now."""
        if finished < self.enough:
            return LabelAnnouncement(enough=self.enough, finished=finished), False
        seen = replace(self, finished=finished, enough_since=self.enough_since or now)
        if not self._is_news(finished, now=now) or self._keeps_growing(finished, now=now):
            return seen, False
        return replace(seen, announced=finished, announced_at=now), True

    def _is_news(self, finished: int, *, now: datetime) -> bool:
        if self.announced is None or self.announced_at is None:
            return True
        # Fewer than announced: those were merged since, and this is a new heap.
        if finished < self.announced or finished >= self.announced + self.enough:
            return True
        return now - self.announced_at >= REMIND_AFTER

    def _keeps_growing(self, finished: int, *, now: datetime) -> bool:
        return finished > self.finished and (self.enough_since is None or now - self.enough_since < PATIENCE)
