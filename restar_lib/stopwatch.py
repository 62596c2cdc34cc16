"""Seconds of each step of long work, for people who read the log or the metrics. No decision depends on it.

Called by training and by the evaluation report.
"""

from __future__ import annotations

import time


class Stopwatch:
    """Runs from the moment that it is made; `laps` holds the seconds of each step that has ended."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, step: str) -> None:
        """Name the step that just ended."""
        now = time.monotonic()
        self.laps[step], self._since = round(now - self._since, 2), now
