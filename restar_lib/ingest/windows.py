"""Which part of the configured source a run reads: what is behind the cursor, or what was written in a window of time.

A window moves no cursor and can be read again at any time: reviews that are known already are recognised by their ids,
and it is read whole. Where `source.by` is `window`, a scheduled run begins where the last window that was read whole
ended: days on which nothing ran, or in which a file was damaged, are read by the next run. Called by the DAG and the
command line; it reads nothing itself.
"""

from __future__ import annotations

import logging
import sys
from datetime import datetime

from sqlalchemy import Engine

from restar_lib.errors import ConfigurationError
from restar_lib.ingest.cleaning.timestamps import EARLIEST, LATEST, parse_timestamp
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.load import ingest
from restar_lib.ingest.source_progress import finish_window, windows_until
from restar_lib.ingest.sources.base import Window
from restar_lib.ingest.sources.configured import open_source
from restar_lib.settings import Settings

log = logging.getLogger(__name__)


def ingest_configured(
    engine: Engine,
    settings: Settings,
    *,
    run_key: str,
    now: datetime,
    asked: Window | None = None,
    interval: Window | None = None,
    backfill: bool = False,
    max_rows: int | None = None,
) -> IngestCounts:
    """Read what this run is to read of the configured source, and store it.

    `asked` is the window that a person named, `interval` the run's own. Raises `ConfigurationError` where the run
    should read a window and cannot, `SourceError` where the source cannot be read on. Files that cannot be read are the
    `problem` of the counts.
    """
    config = settings.source
    window = window_to_read(config.by, asked=asked, interval=interval, backfill=backfill)
    if window is not None and max_rows is not None:
        raise ConfigurationError("a window is read whole, no cursor would keep the rest: leave the number of rows out")
    is_next = window is not None and asked is None and not backfill
    if window is not None and is_next:
        window = _without_gap(window, read_until=windows_until(engine, config.name))
    counts = ingest(
        engine,
        open_source(settings, window=window),
        settings,
        run_key=run_key,
        window=window or interval,
        max_rows=sys.maxsize if window else max_rows,
        now=now,
    )
    if window is not None and is_next and not counts.problem:
        finish_window(engine, config.name, until=window[1])
    return counts


def _without_gap(window: Window, *, read_until: datetime | None) -> Window:
    """The window, from where the last one ended. One that was read before is read again as it is."""
    if read_until is None or read_until >= window[0]:
        return window
    log.info("no window was read whole since %s: this run begins there, not at %s", read_until, window[0])
    return read_until, window[1]


def window_to_read(by: str, *, asked: Window | None, interval: Window | None, backfill: bool) -> Window | None:
    """The window that a run reads; None where it goes on from the cursor.

    What was asked for by hand wins; else a backfill reads its interval, and so does every run where `source.by` is
    `window`. Raises `ConfigurationError` where a run should read its interval and has none.
    """
    if asked is None and not backfill and by != "window":
        return None
    window = asked or interval
    if window is None:
        raise ConfigurationError("source.by = window, and this run has no interval: say since when and until when")
    if window[0] >= window[1]:
        raise ConfigurationError(f"no review is written between {window[0]} and {window[1]}: give a later end")
    return window


def asked_window(since: str | None, until: str | None) -> Window | None:
    """The window that a form or a command line names by one or two dates; None where it names none.

    Raises `ConfigurationError` where a date cannot be read, and where the end is not after the beginning.
    """
    if not since and not until:
        return None
    start = parse_timestamp(since) if since else EARLIEST
    end = parse_timestamp(until) if until else LATEST
    if start is None or end is None:
        wrong = since if start is None else until
        raise ConfigurationError(f"{wrong!r} is no date: write 2026-03-01 or 2026-03-01T12:00:00Z")
    if end <= start:
        wrong = "the end lies before the beginning" if end < start else "no review is written in this window"
        raise ConfigurationError(f"{wrong}: since {start:%Y-%m-%d %H:%M}, until {end:%Y-%m-%d %H:%M}; give a later end")
    return start, end
