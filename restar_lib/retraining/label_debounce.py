"""When finished labels are announced to the retraining: a debounce with a reminder, as pure rules.

Labels that arrive close together are announced once, after the last of them. They are announced again when their number
has grown by another `labeling.enough`, and after an hour in which no training took them (a paused DAG, a failed run).
It knows neither Airflow nor the database. Called by `orchestration.labels_trigger`, which counts the labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

LONGEST_DELAY = timedelta(minutes=5)
"""Labels that keep arriving are announced after this long at the latest."""
REMIND_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class LabelDebounce:
    """What is remembered between two counts of the finished labels that no judged training set has yet."""

    enough: int
    finished: int = 0
    """At the last count."""
    enough_since: datetime | None = None
    announced: int | None = None
    announced_at: datetime | None = None

    def count(self, finished: int, *, now: datetime) -> tuple[LabelDebounce, bool]:
        """The next state, and whether to announce `finished` now."""
        if finished < self.enough:
            return LabelDebounce(enough=self.enough, finished=finished), False
        counted = replace(self, finished=finished, enough_since=self.enough_since or now)
        if not self._is_news(finished, now=now) or self._is_growing(finished, now=now):
            return counted, False
        return replace(counted, announced=finished, announced_at=now), True

    def _is_news(self, finished: int, *, now: datetime) -> bool:
        if self.announced is None or self.announced_at is None:
            return True
        # Fewer than announced: those were merged since, and these are others.
        if finished < self.announced or finished >= self.announced + self.enough:
            return True
        return now - self.announced_at >= REMIND_AFTER

    def _is_growing(self, finished: int, *, now: datetime) -> bool:
        return finished > self.finished and (self.enough_since is None or now - self.enough_since < LONGEST_DELAY)
