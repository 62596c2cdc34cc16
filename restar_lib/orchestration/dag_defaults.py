"""The arguments and assets that all DAGs share; a DAG file says only what is its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from restar_lib.orchestration.airflow_mail import mail_failure
from restar_lib.orchestration.labels_trigger import LabelsReadyTrigger
from restar_lib.orchestration.reviews_trigger import UnreadReviewsTrigger
from restar_lib.settings import Settings

REVIEWS = Asset(name="reviews", uri="restar://reviews")
"""Reviews were ingested."""
DRIFT = Asset(name="drift", uri="restar://drift")
"""Drift was found, and the configuration asks for a retraining then."""
LONGEST_RETRY_DELAY = timedelta(minutes=30)
USUAL_TIMEOUT = timedelta(minutes=30)


def dag_arguments(config: Settings) -> dict[str, Any]:
    """Arguments of every DAG: one run at a time, no catching up, retries with backoff, a timeout, a failure mail."""
    keys = config.orchestration
    return {
        "start_date": keys.start_date,
        "catchup": False,
        "max_active_runs": 1,
        "default_args": {
            "owner": "restar",
            "retries": keys.retries,
            "retry_delay": timedelta(seconds=keys.retry_delay_seconds),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": LONGEST_RETRY_DELAY,
            "execution_timeout": USUAL_TIMEOUT,
            "on_failure_callback": mail_failure,
        },
    }


def reviews_asset(config: Settings) -> Asset:
    """The asset that changes when reviews were ingested, and when some stay unread although no run announced them."""
    trigger = UnreadReviewsTrigger(poll_seconds=config.orchestration.watch_reviews_seconds)
    watcher = AssetWatcher(name="unread_reviews", trigger=trigger)
    return Asset(name=REVIEWS.name, uri=REVIEWS.uri, watchers=[watcher])


def labels_asset(config: Settings) -> Asset:
    """The asset that changes when enough labels are finished: a person's submit happens outside any task."""
    trigger = LabelsReadyTrigger(enough=config.labeling.enough, poll_seconds=config.orchestration.watch_labels_seconds)
    watcher = AssetWatcher(name="finished_labels", trigger=trigger)
    return Asset(name="labels", uri="restar://labels", watchers=[watcher])
