"""What a turn did, collected from the tables and shown after it.

Every number here is a count or a figure that stands in a table; the summary names the run, so that it can be found
again by hand. It measures nothing and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from restar_lib.embedded.airflow_api import DagRun
from restar_lib.embedded.services import ADMIN, LABELER, EmbeddedInstallation
from restar_lib.gate.verdict import Verdict
from restar_lib.gate.verdict_log import verdict_of
from restar_lib.ingest.stored_reviews import ReviewCounts, RunSummary, count_reviews, latest_runs
from restar_lib.labeling.queue import QueueCounts, count_doubted, counts
from restar_lib.monitoring import watch_log
from restar_lib.monitoring.watch_log import DriftReport
from restar_lib.releases.release import Release, current
from restar_lib.scoring.predictions import PredictionCounts, scored_by
from restar_lib.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TurnSummary:
    """One turn, by its numbers."""

    ingest: RunSummary | None
    scored: PredictionCounts | None
    reviews: ReviewCounts
    queue: QueueCounts
    doubted: int
    """Reviews in it, answered or not, whose stars are doubted."""
    verdict: Verdict | None
    before: Release | None
    after: Release | None
    drift: DriftReport | None

    @property
    def swapped(self) -> bool:
        """Whether another version serves than before the turn."""
        return (
            self.before is not None and self.after is not None and self.before.model_version != self.after.model_version
        )


def collect(
    engine: Engine, *, before: Release | None, ingest: DagRun | None, retraining: DagRun | None, watch: DagRun
) -> TurnSummary:
    """Read what the turn left in the tables."""
    runs = latest_runs(engine, limit=50) if ingest else []
    return TurnSummary(
        ingest=next((run for run in runs if ingest and run.run_key == ingest.run_id), None),
        scored=scored_by(engine, before.model_version) if before else None,
        reviews=count_reviews(engine),
        queue=counts(engine),
        doubted=count_doubted(engine),
        verdict=verdict_of(engine, run_key=retraining.run_id) if retraining else None,
        before=before,
        after=current(engine),
        drift=watch_log.find(engine, watch.run_id),
    )


def render(summary: TurnSummary, installation: EmbeddedInstallation, settings: Settings, console: Console) -> None:
    """Print the summary."""
    parts = [_reviews(summary), _models(summary), _verdict(summary), _drift(summary)]
    notice = f" - {settings.simulated_notice}" if settings.simulated_notice else ""
    title = f"one turn of the loop{notice}"
    console.print(Panel(Group(*(part for part in parts if part)), title=title, title_align="left", padding=(1, 2)))
    console.print(_addresses(installation), markup=False, highlight=False, soft_wrap=True)


def _reviews(summary: TurnSummary) -> Table:
    table = _titled("reviews")
    if summary.ingest:
        run = summary.ingest
        table.add_row("read in this turn", f"{run.rows_read:,}", f"ingest_run {run.ingest_run_id}")
        table.add_row("  new", f"{run.new:,}", "")
        if run.edited:
            table.add_row("  edited", f"{run.edited:,}", "the newer text counts, the older one is kept")
        table.add_row("  already known", f"{run.already_known:,}", "")
        table.add_row("  repeated texts", f"{run.duplicate_text:,}", "kept, never scored or trained on")
        table.add_row("  quarantined", f"{run.quarantined:,}", "with the reason, table quarantine")
    if summary.scored and summary.before:
        share = summary.scored.abstained / max(1, summary.scored.scored)
        table.add_row(f"scored by {summary.before.model_version}", f"{summary.scored.scored:,}", "")
        table.add_row("  abstained", f"{summary.scored.abstained:,}", f"{share:.1%}, not sure or not read")
    queue = summary.queue
    table.add_row("in the queue: open", f"{queue.open + queue.claimed:,}", "")
    table.add_row("  answered, not merged", f"{queue.done:,}", "")
    table.add_row("  merged into snapshots", f"{queue.merged:,}", "")
    table.add_row("  of all these: stars are doubted", f"{summary.doubted:,}", "asked about after a training")
    table.add_row(
        "stored in all", f"{summary.reviews.reviews:,}", f"{summary.reviews.quarantined:,} rows in quarantine"
    )
    return table


def _models(summary: TurnSummary) -> Table | Text:
    if summary.verdict is None:
        return Text("\nno challenger in this turn", "dim")
    verdict = summary.verdict
    table = Table(
        title="models on the same test rows", title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for column in ("", "accuracy", "macro-F1", "recall neg / neu / pos"):
        table.add_column(column)
    recalls = " / ".join(
        _figure(verdict.number(f"recall_{name}", "value")) for name in ("negative", "neutral", "positive")
    )
    table.add_row(
        "always the commonest class", _figure(verdict.number("accuracy", "majority")),
        _figure(verdict.number("macro_f1", "majority")), "",
    )  # fmt: skip
    if verdict.champion:
        table.add_row(
            f"before: {verdict.champion}", _figure(verdict.number("comparison", "champion_accuracy")),
            _figure(verdict.number("comparison", "champion_macro_f1")), "",
        )  # fmt: skip
    table.add_row(
        f"challenger: {verdict.challenger}", _figure(verdict.number("accuracy", "value")),
        _figure(verdict.number("macro_f1", "value")), recalls,
    )  # fmt: skip
    return table


def _verdict(summary: TurnSummary) -> Text | None:
    if summary.verdict is None:
        return None
    style = {"passed": "green", "provisional": "yellow", "refused": "red"}[summary.verdict.word]
    text = Text("\nverdict: ", "bold").append(summary.verdict.word, style)
    for line in summary.verdict.lines:
        text.append("\n  ok " if line.passed else "\n  NO ", "green" if line.passed else "red").append(line.detail)
    serving = summary.after
    if serving:
        mark = " as provisional" if serving.provisional else ""
        changed = "swapped in this turn" if summary.swapped else "unchanged"
        text.append(f"\nserving{mark}: ", "bold").append(
            f"{serving.model_version} (release {serving.release_id}, {changed})"
        )
    return text


def _drift(summary: TurnSummary) -> Text | None:
    if summary.drift is None:
        return None
    text = Text("\ndrift", "bold")
    for finding in summary.drift.findings:
        text.append(f"\n  {finding}", "")
    return text


def _addresses(installation: EmbeddedInstallation) -> str:
    """Plain lines under the panel: an address that is folded cannot be clicked or copied."""
    secrets, airflow = installation.secrets, installation.airflow_url
    rows = {
        "Airflow": f"{airflow}  (user {ADMIN}, password {secrets.airflow_password})",
        "label desk": f"{airflow}/plugin/label-desk  (also user {LABELER}, password {secrets.labeler_password})",
        "reports": f"{airflow}/plugin/restar-reports",
        "API": f"{installation.serving_url}/docs",
        "mails": f"{installation.settings.home / 'mail'}  (.eml files)",
        "logs": str(installation.logs),
    }
    return "\n".join(f"  {name:<12}{where}" for name, where in rows.items())


def _titled(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=26)
    table.add_column(justify="left")
    table.add_column(style="dim")
    return table


def _figure(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"
