"""## Ingest reviews

Reads what is new in the source, cleans it, and stores every row as exactly one of: new, already known, duplicate text,
quarantined with a reason. The counts are in the log, in this run's XCom and in table `ingest_run`.

**When**: every night, each run with a real data interval; by hand at any time (**max_rows** reads less than all).
Afterwards `score_reviews` starts by itself.

**A range of time**: `airflow backfill create --dag-id ingest_reviews --from-date ... --to-date ...` takes the reviews
that were written in each run's interval, out of all files, whatever was read before; so does a run by hand with
**since** and **until**, and every run where `source.by` is `window`: a scheduled one begins where the last window that
was read whole ended, so no day is left out. No cursor moves. Only `files` can do that.

**Again**: safe. The cursor of the source is committed with its rows, so a run that is killed, cleared, or runs beside
another goes on where the last committed chunk ended. Nothing is read twice, nothing is lost. A window is read again
from its beginning; what is known is recognised.

**When it fails**: the last line of the log names the source, the file and what to do; everything that could be read is
stored. A missing path or a state folder that belongs to another source is yours to mend; a database that was away is
retried. Then clear the task. Files that cannot be read fail `report_damaged_files` alone: all others are stored and
scored the same night. A file that can be read in two ways, or of whose rows more than `source.max_refused` cannot be
read, is one of them: the line says what to set, and nothing of it counts as read. Mend or remove what it names; the
next run reads it, or `read_and_store` when it is cleared. `restar inspect <file>` shows what is understood of a file,
`restar ingest --dry-run` what a run would do. Rows that were refused for a setting (`restar quarantine list`) are read
again by `restar quarantine retry` once it is mended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronDataIntervalTimetable, Param, dag, task

from restar_lib.orchestration import REVIEWS, Summary, TaskContext, dag_arguments, skip, step
from restar_lib.settings import settings

if TYPE_CHECKING:
    from restar_lib.ingest.counts import IngestCounts

PARAMS = {
    "max_rows": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Rows at most",
        description="Read at most so many rows in this run; the cursor keeps the rest. Empty: `ingest.max_rows`.",
    ),
    "since": Param(
        None,
        type=["null", "string"],
        title="Since",
        description="Take the reviews written from this date on (2026-03-01), whatever was read before. Empty: what is "
        "new.",
    ),
    "until": Param(
        None,
        type=["null", "string"],
        title="Until",
        description="The end of that window; this date does not belong to it. Empty, with Since: no end.",
    ),
}


@dag(
    schedule=CronDataIntervalTimetable(settings().orchestration.ingest_schedule, timezone="UTC"),
    description="New reviews from the source, cleaned, into the database",
    doc_md=__doc__,
    tags=["restar", "data"],
    params=PARAMS,
    **dag_arguments(settings()),
)
def ingest_reviews() -> None:
    """Read, clean and store new reviews."""

    @task(outlets=[REVIEWS])
    @step
    def read_and_store(ctx: TaskContext) -> IngestCounts:
        from restar_lib.ingest.windows import asked_window, ingest_configured

        counts = ingest_configured(
            ctx.engine,
            ctx.settings,
            run_key=ctx.run_key,
            asked=asked_window(ctx.params["since"], ctx.params["until"]),
            interval=ctx.window,
            backfill=ctx.is_backfill,
            max_rows=ctx.params["max_rows"],
            now=ctx.now,
        )
        return counts if counts.rows_read or counts.problem else skip("the source has nothing new for this run")

    # A task of its own: what was read is stored and scored, whatever is wrong with a file beside it.
    @task
    @step
    def report_damaged_files(ctx: TaskContext, counts: Summary) -> None:
        from restar_lib.ingest.counts import refuse_damaged

        del ctx
        refuse_damaged(counts["problem"])
        skip("every file was read")

    report_damaged_files(read_and_store())


ingest_reviews()
