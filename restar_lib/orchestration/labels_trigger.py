"""The trigger that tells Airflow of finished labels. It runs in the triggerer, beside every other trigger, for ever.

Blocking calls run in a thread, outside its event loop. When labels are announced is decided by
`retraining.label_debounce`. Airflow stores the class path of the trigger (`serialize`) in its database. Where an
upgrade has moved the class, the triggerer logs that it cannot load the old path; the first parse of the DAG file
removes that row, and the second one stores the new path (Airflow 3.3), so labels are announced again after a minute
or two.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from sqlalchemy.exc import SQLAlchemyError

from restar_lib.retraining.label_debounce import LabelDebounce
from restar_lib.settings import settings

log = logging.getLogger(__name__)


class LabelsReadyTrigger(BaseEventTrigger):  # type: ignore[misc]
    """Looks at the database and announces finished labels that no judged training set has yet.

    The run that an announcement starts counts again. So a restart of the triggerer, which forgets what was announced,
    at worst starts a run that skips. A database that is away is waited for.
    """

    def __init__(self, *, enough: int, poll_seconds: float) -> None:
        super().__init__()
        self.enough = enough
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, from which the triggerer makes this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"enough": self.enough, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Never ends; the triggerer cancels it."""
        debounce = LabelDebounce(enough=self.enough)
        while True:
            now = datetime.now(UTC)
            finished = await self._finished(now)
            debounce, is_due = debounce.count(finished, now=now)
            if is_due:
                yield TriggerEvent({"finished_labels": finished, "enough": self.enough})
            await asyncio.sleep(self.poll_seconds)

    async def _finished(self, now: datetime) -> int:
        try:
            return await asyncio.to_thread(_labels_waiting, now)
        except SQLAlchemyError as error:
            log.warning("cannot count finished labels, trying again in %s s: %s", self.poll_seconds, error)
            return 0


def _labels_waiting(now: datetime) -> int:
    from restar_lib.retraining.training_state import labels_waiting
    from restar_lib.store.database import engine

    return labels_waiting(engine(), settings(), now=now)
