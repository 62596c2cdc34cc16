"""What labelers do, in the calls of `labeling.leases`, for tests of the queue."""

from datetime import datetime, timedelta

from sqlalchemy import Engine

from restar_lib.domain import LabelSource, Sentiment, TaskStatus
from restar_lib.labeling import leases
from restar_lib.labeling.leases import Claim
from restar_lib.settings import Settings
from tests.tasks import NOON

LEASE = 60
LATER = NOON + timedelta(seconds=LEASE + 1)


def take(engine: Engine, labeler: str = "ada", *, now: datetime = NOON) -> Claim:
    """The next claim, which must exist."""
    claim = leases.claim(engine, labeler=labeler, now=now, lease_seconds=LEASE)
    assert claim is not None
    return claim


def submit(
    engine: Engine,
    claim: Claim,
    smoke: Settings,
    *,
    labeler: str = "ada",
    sentiment: Sentiment = Sentiment.NEGATIVE,
    now: datetime = NOON,
) -> TaskStatus:
    """Answer this claim as a person."""
    return leases.submit(
        engine,
        task_id=claim.task_id,
        token=claim.token,
        labeler=labeler,
        sentiment=sentiment,
        source=LabelSource.PERSON,
        now=now,
        settings=smoke,
    )


def skip(
    engine: Engine, claim: Claim, labeler: str = "ada", *, now: datetime = NOON, settings: Settings | None = None
) -> None:
    """Pass on this claim."""
    held = {"task_id": claim.task_id, "token": claim.token}
    leases.skip(engine, **held, labeler=labeler, now=now, settings=settings or Settings())


def asking(smoke: Settings, people: int) -> Settings:
    """The same settings with so many labels per task."""
    return smoke.model_copy(update={"labeling": smoke.labeling.model_copy(update={"labels_per_task": people})})
