"""When reviews that nobody reads are announced to scoring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from restar_lib.scoring.unread_watch import FORGOTTEN_AFTER, REMIND_AFTER, UnreadWatch

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def announcements(looks: list[tuple[timedelta, bool]]) -> list[timedelta]:
    """When the watch announces, given what it sees when."""
    watch, announced = UnreadWatch(), []
    for after, is_any_unread in looks:
        watch, is_due = watch.look(is_any_unread, now=NOON + after)
        if is_due:
            announced.append(after)
    return announced


def test_what_was_just_stored_is_left_to_its_own_announcement() -> None:
    """Read within some minutes, it is never announced by the watch; another time it waits anew."""
    minute = timedelta(minutes=1)
    assert announcements([(0 * minute, True), (1 * minute, True), (2 * minute, False), (4 * minute, True)]) == []


def test_what_stays_unread_is_announced_and_after_a_while_again() -> None:
    """A killed ingest announces nothing; a scoring that fails is started again."""
    step = timedelta(minutes=1)
    looks = [(step * minute, True) for minute in range(45)]
    assert announcements(looks) == [FORGOTTEN_AFTER, FORGOTTEN_AFTER + REMIND_AFTER]
