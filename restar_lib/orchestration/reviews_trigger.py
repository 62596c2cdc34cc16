"""The trigger that tells Airflow of reviews that stay unread. It runs in the triggerer, beside every other, for ever.

An ingest announces what it stored, but one that was killed does not, and its retry may find nothing more to read. So
this looks at what there is. Blocking calls run in a thread, outside the triggerer's event loop. When unread reviews are
announced is decided by `scoring.unread_watch`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from sqlalchemy.exc import SQLAlchemyError

from restar_lib.scoring.unread_watch import UnreadWatch
from restar_lib.settings import settings

log = logging.getLogger(__name__)


class UnreadReviewsTrigger(BaseEventTrigger):  # type: ignore[misc]
    """Looks at the database and announces reviews that the champion has not read for some minutes.

    The run that an announcement starts looks for itself, so announcing too often at worst starts one that skips. A
    database that is away is waited for.
    """

    def __init__(self, *, poll_seconds: float) -> None:
        super().__init__()
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, from which the triggerer makes this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Never ends; the triggerer cancels it."""
        watch = UnreadWatch()
        while True:
            now = datetime.now(UTC)
            watch, is_due = watch.look(await self._is_any_unread(now), now=now)
            if is_due:
                yield TriggerEvent({"unread_since": watch.unread_since.isoformat() if watch.unread_since else None})
            await asyncio.sleep(self.poll_seconds)

    async def _is_any_unread(self, now: datetime) -> bool:
        try:
            return await asyncio.to_thread(_is_any_unread, now)
        except SQLAlchemyError as error:
            log.warning("cannot look for unread reviews, trying again in %s s: %s", self.poll_seconds, error)
            return False


def _is_any_unread(now: datetime) -> bool:
    from restar_lib.artifacts.release_log import current
    from restar_lib.scoring.pending import is_any_unread
    from restar_lib.store.database import engine

    # Without a champion nobody can read them: the first one's release is followed by the hourly run.
    return current(engine()) is not None and is_any_unread(engine(), settings(), now=now)
