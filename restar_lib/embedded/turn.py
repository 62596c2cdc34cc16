"""One turn of the loop, driven the way people drive it: through Airflow's API, the queue's calls and the HTTP API.

    new reviews -> score -> queue -> drift -> demo labelers -> retrain (started by the labels themselves) -> serving

The first time, the same DAGs read the history and train the first model. What fails raises `TurnFailed` naming the
DAG, the run, the task and where its log is; what a step refuses or skips with a reason is a completed turn.
It decides nothing about models or reviews.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import Engine

from restar_lib.embedded.airflow_api import AirflowApi, DagRun
from restar_lib.embedded.dag_runs import POLL_SECONDS, DagRuns, ingest_line, wait_for
from restar_lib.embedded.feeds import Feed
from restar_lib.embedded.progress import ProgressView, Step
from restar_lib.embedded.services import BIN, EmbeddedInstallation
from restar_lib.embedded.turn_summary import TurnSummary, collect
from restar_lib.errors import TurnFailed
from restar_lib.gate.verdict import Verdict
from restar_lib.gate.verdict_log import verdict_of
from restar_lib.ingest.stored_reviews import sources_read
from restar_lib.labeling.queue import counts
from restar_lib.monitoring import watch
from restar_lib.releases.release import current, reconcile
from restar_lib.scoring.predictions import scored_by
from restar_lib.settings import Settings

DAGS = (
    "ingest_reviews", "score_reviews", "retrain_sentiment", "watch_drift", "release", "roll_back", "housekeeping",
    "send_alerts",
)  # fmt: skip
PARSED_SECONDS = 120.0


@dataclass
class Turn:
    """Everything one turn needs."""

    installation: EmbeddedInstallation
    settings: Settings
    engine: Engine
    api: AirflowApi
    feed: Feed
    view: ProgressView

    @property
    def runs(self) -> DagRuns:
        """How DAG runs are started and followed."""
        return DagRuns(
            installation=self.installation, api=self.api, timeout_minutes=self.settings.embedded.turn_timeout_minutes
        )

    def run(self) -> TurnSummary:
        """Turn the loop once."""
        began = datetime.now(UTC)
        self._wait_for_dags()
        self._wait_for_earlier_runs()
        if reconcile(self.engine, self.settings) is None:
            self._history()
            self._first_model()
        before = current(self.engine)
        ingest_run = self._new_reviews()
        if ingest_run is not None:
            self._score(since=ingest_run.queued_at)
        # Before the champion may change: a new one has read no new reviews yet, so there is nothing to compare.
        watch = self._watch()
        self._label()
        retraining = self._retrain(since=ingest_run.queued_at if ingest_run else began)
        self._ask_serving()
        return collect(self.engine, before=before, ingest=ingest_run, retraining=retraining, watch=watch)

    # --- the steps

    def _wait_for_dags(self) -> None:
        with self.view.step("Airflow reads the DAGs") as step:
            deadline = time.monotonic() + PARSED_SECONDS
            while missing := set(DAGS) - self.api.dag_ids():
                step.detail = f"waiting for {', '.join(sorted(missing))}"
                if time.monotonic() > deadline:
                    errors = "; ".join(self.api.import_errors()) or "no import error is reported"
                    raise TurnFailed(f"Airflow does not know {', '.join(sorted(missing))}: {errors}")
                time.sleep(POLL_SECONDS)
            step.detail = f"{len(DAGS)} DAGs"

    def _wait_for_earlier_runs(self) -> None:
        """Let runs finish that an interrupted `make run` had started, so that nothing else runs during this turn."""
        left = [run for dag in DAGS for run in self.api.runs(dag) if not run.finished]
        if left:
            with self.view.step("what was left running") as step:
                for run in left:
                    self.runs.follow(run, step)
                step.detail = ", ".join(run.dag_id for run in left)

    def _history(self) -> None:
        conf = self.feed.history(sum(sources_read(self.engine).values()))
        if conf is not None:
            with self.view.step("history is read") as step:
                self._ingest(conf, step)

    def _first_model(self) -> None:
        with self.view.step("the first model") as step:
            run = self.runs.trigger("retrain_sentiment", {"force": True}, step)
            step.detail, step.state = self._retraining_line(run)
            if current(self.engine) is None:
                raise TurnFailed(f"no first model was released: {step.detail}")

    def _new_reviews(self) -> DagRun | None:
        with self.view.step("new reviews") as step:
            batch = self.feed.next_batch()
            if batch is None:
                step.state, step.detail = "skipped", "all that there is has arrived; `make reset` starts over"
                return None
            conf, _ = batch
            return self._ingest(conf, step)

    def _ingest(self, conf: dict[str, Any], step: Step) -> DagRun:
        run, damage = self.runs.ingest(conf, step)
        step.detail = ingest_line(self.engine, run)
        if damage:
            step.state, step.detail = "failed", f"{step.detail}; {damage}"
        return run

    def _score(self, *, since: datetime) -> None:
        with self.view.step("scored, the doubtful queued") as step:
            run = self.runs.started_by_asset("score_reviews", since=since, step=step)
            if run is None:
                run = self.runs.trigger("score_reviews", {}, step)
            self.runs.follow(run, step)
            champion = current(self.engine)
            if champion is not None:
                scored = scored_by(self.engine, champion.model_version)
                waiting = counts(self.engine).open
                step.detail = f"{scored.scored:,} scored, {scored.abstained:,} abstained, {waiting:,} open in the queue"

    def _label(self) -> None:
        with self.view.step("demo labelers answer") as step:
            waiting = counts(self.engine).open
            if waiting == 0:
                step.state, step.detail = "skipped", "the queue is empty"
                return
            program = subprocess.Popen(
                [str(BIN / "restar"), "label-demo"], env=self.installation.environment(), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            while program.poll() is None:
                step.detail = f"{counts(self.engine).open:,} of {waiting:,} reviews left"
                time.sleep(POLL_SECONDS)
            _, complaint = program.communicate()
            if program.returncode != 0:
                raise TurnFailed(f"`restar label-demo` ended with code {program.returncode}: {complaint.strip()}")
            step.detail = f"{waiting - counts(self.engine).open:,} labels, marked as demo"

    def _retrain(self, *, since: datetime) -> DagRun | None:
        with self.view.step("labels merged, retrained") as step:
            queue = counts(self.engine)
            run = (
                self.runs.started_by_asset("retrain_sentiment", since=since, step=step)
                if queue.done or queue.merged
                else None
            )
            if run is None and queue.done == 0:
                step.state, step.detail = "skipped", "no finished labels"
                return None
            if run is None:
                step.detail = f"{queue.done} labels are fewer than {self.settings.labeling.enough}: started by hand"
                run = self.runs.trigger("retrain_sentiment", {"force": True}, step)
            self.runs.follow(run, step)
            step.detail, step.state = self._retraining_line(run)
            return run

    def _watch(self) -> DagRun:
        with self.view.step("drift looked at") as step:
            run = self.runs.trigger("watch_drift", {}, step)
            report = watch.find(self.engine, run.run_id)
            if report is None:
                step.state, step.detail = "skipped", "nothing to compare"
            else:
                step.detail = f"{report.window_rows:,} reviews: {len(report.alerts)} alerts"
            return run

    def _ask_serving(self) -> None:
        with self.view.step("the serving API answers") as step:
            champion = current(self.engine)
            text = "Great battery, but the screen cracked after two days and nobody answers my mails."
            answer = wait_for(lambda: self._prediction_of(text, champion.model_version if champion else ""), seconds=60)
            if answer is None:
                raise TurnFailed(f"{self.installation.serving_url}/predict does not answer with {champion}")
            step.detail = f"{answer['model_version']} says {answer['sentiment']} ({answer['confidence']:.2f})"

    # --- how they are done

    def _prediction_of(self, text: str, version: str) -> dict[str, Any] | None:
        try:
            response = httpx.post(f"{self.installation.serving_url}/predict", json={"text": text}, timeout=10)
        except httpx.TransportError:
            return None
        answer: dict[str, Any] = response.json()
        return answer if response.is_success and answer["model_version"] == version else None

    def _retraining_line(self, run: DagRun) -> tuple[str, str]:
        verdict = verdict_of(self.engine, run_key=run.run_id)
        if verdict is None:
            return "nothing was trained: see the run's merge_labels and freeze_snapshot", "skipped"
        figures = f"accuracy {_figure(verdict, 'accuracy')}, macro-F1 {_figure(verdict, 'macro_f1')}"
        if not verdict.may_serve:
            return (
                f"{verdict.challenger} refused by {', '.join(line.name for line in verdict.refusing)}; {figures}",
                "refused",
            )
        champion = current(self.engine)
        if champion is None or champion.model_version != verdict.challenger:
            return f"{verdict.challenger} {verdict.word} and was not approved; {figures}", "refused"
        released = "released as provisional" if verdict.provisional else "released"
        return f"{verdict.challenger} {released}; {figures}", "done"


def _figure(verdict: Verdict, line: str) -> str:
    value = verdict.number(line, "value")
    return f"{value:.3f}" if isinstance(value, float) else "unknown"
