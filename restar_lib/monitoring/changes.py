"""What else changed since the watch last found nothing: releases, and what each source brought.

Half of the answer to "what happened?", for the alert's mail: most drift begins with a new source, a broken one, or a
release. Reads the release log and the runs of ingest through their owners; blames nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Engine

from restar_lib.artifacts.release_log import history
from restar_lib.ingest.stored_reviews import RunSummary, latest_runs

RELEASES = 3
RUNS = 200


def since(engine: Engine, moment: datetime | None) -> tuple[str, ...]:
    """One sentence a change after `moment`, releases first; of all time where there is no such moment."""
    return (*_releases(engine, moment), *_sources(engine, moment))


def _releases(engine: Engine, moment: datetime | None) -> Iterator[str]:
    for release in history(engine)[-RELEASES:]:
        if moment is None or release.released_at > moment:
            yield (
                f"{release.released_at:%Y-%m-%d %H:%M} UTC: {release.model_version} released by {release.released_by} "
                f"({release.reason})."
            )


def _sources(engine: Engine, moment: datetime | None) -> Iterator[str]:
    runs = [run for run in latest_runs(engine, limit=RUNS) if moment is None or run.started_at > moment]
    for source in sorted({run.source for run in runs}):
        yield _source(source, [run for run in runs if run.source == source])


def _source(name: str, runs: list[RunSummary]) -> str:
    new, refused = sum(run.new for run in runs), sum(run.quarantined for run in runs)
    times = "once" if len(runs) == 1 else f"{len(runs)} times"
    newest = max(run.started_at for run in runs)
    return (
        f"Source {name} was read {times}, last at {newest:%Y-%m-%d %H:%M} UTC: {new:,} new reviews, {refused:,} rows "
        "in quarantine."
    )
