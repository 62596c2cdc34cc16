"""The steps from finished labels to a champion.

Each takes ids, does one thing through the modules that own it, and returns ids and counts; each can be killed and run
again. Training code is imported where it is used alone. Starts nothing by itself: DAG `retrain_sentiment` calls them
in order, and a person may too.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.release_log import withdrawn
from restar_lib.dataset.snapshot import Snapshot, freeze, load
from restar_lib.errors import NothingToDo
from restar_lib.gate import page
from restar_lib.gate.judge import judge as judge_challenger
from restar_lib.gate.verdict import render, render_markdown
from restar_lib.gate.verdict_log import challengers_on, reject
from restar_lib.gate.withdrawal import why_withdrawn
from restar_lib.label_audit.ask_people import ask_doubted
from restar_lib.label_quality import doubted_labels
from restar_lib.labeling.queue import merge_finished
from restar_lib.releases.release import Release, champion_folder, release
from restar_lib.retraining.nothing_new import why_not_again
from restar_lib.retraining.policy import BY_POLICY, Approval, TrainingTrigger, reason_to_train
from restar_lib.retraining.training_state import training_cooldown, training_state
from restar_lib.settings import Settings
from restar_lib.tracking import mlflow_log
from restar_lib.tracking.training_record import TrainingRecord, code_version
from restar_lib.training.checkpoints import checkpoints_of
from restar_lib.training.encoder import find_encoder

log = logging.getLogger(__name__)

AS_CONFIGURED = "as configured"
"""What the trigger form offers beside the values of a key."""


@dataclass(frozen=True, kw_only=True)
class MergedLabels:
    """What was merged, and why a training follows."""

    reason: str
    merged: int


def merge_labels(
    engine: Engine, settings: Settings, *, trigger: TrainingTrigger, rerun: bool, now: datetime
) -> MergedLabels:
    """Make the finished labels part of the truth. Raises `NothingToDo` where nobody needs a training now."""
    reason = reason_to_train(
        training_state(engine),
        trigger=trigger,
        rerun=rerun,
        enough=settings.labeling.enough,
        cooldown=training_cooldown(settings),
        now=now,
    )
    with engine.begin() as connection:
        merged = merge_finished(connection, now=now)
    log.info("%d finished labels merged; a training follows, %s", len(merged), reason)
    return MergedLabels(reason=reason, merged=len(merged))


def freeze_snapshot(
    engine: Engine, settings: Settings, *, force: bool, trigger: TrainingTrigger, now: datetime
) -> Snapshot:
    """Freeze what is known now. Raises `NothingToDo` where the champion learned from exactly that, unless forced.

    Also where a challenger from exactly that was refused before, or withdrawn: training is seeded, so it would only
    come back. A person who triggers a training by hand wants it all the same.
    """
    snapshot = freeze(engine, settings, now=now)
    if not force:
        why = why_not_again(engine, settings, snapshot_hash=snapshot.snapshot_hash, trigger=trigger)
        if why:
            raise NothingToDo(f"{why}: nothing is new. Trigger by hand with `force` to train on it again")
    return snapshot


@dataclass(frozen=True, kw_only=True)
class Challenger:
    """A sealed model that nobody has judged yet."""

    version: str
    folder: Path
    snapshot_hash: str
    mlflow_run_id: str | None
    seconds: float


def train_challenger(engine: Engine, settings: Settings, *, snapshot_hash: str, mode: str) -> Challenger:
    """Train on a frozen snapshot, seal the model, and tell MLflow. Killed anywhere, it leaves no half model.

    Training is seeded and a version is named by its content, so a second try ends in the same version.
    """
    from restar_lib.training.train import train

    began = time.monotonic()
    config = with_mode(settings, mode)
    snapshot = load(settings.snapshots_dir / snapshot_hash)
    champion = champion_folder(engine, settings)
    key = _training_key(config, snapshot_hash=snapshot_hash, champion=champion)
    with checkpoints_of(settings.models_dir, key) as checkpoints, _work_folder(settings) as work:
        trained = train(
            snapshot,
            config,
            out=work,
            champion_folder=champion,
            checkpoints=checkpoints,
            withdrawn=withdrawn(engine),
        )
        record = TrainingRecord.of(config, champion=champion.name if champion else None)
        version = sealed_folder.seal(work, settings.models_dir, beside=(record, trained.doubted))
    folder = settings.models_dir / version
    seconds = time.monotonic() - began
    log.info("%s trained on snapshot %s in %.0f s (mode %s)", version, snapshot_hash, seconds, config.training.mode)
    return Challenger(
        version=version,
        folder=folder,
        snapshot_hash=snapshot_hash,
        mlflow_run_id=mlflow_log.log_training(settings, folder),
        seconds=round(seconds, 1),
    )


def _training_key(settings: Settings, *, snapshot_hash: str, champion: Path | None) -> str:
    """All that decides what a training learns: checkpoints are taken up only by a training with the same key."""
    encoder = find_encoder(settings.training.encoder).sha256
    return (
        f"{snapshot_hash} {champion and champion.name} {encoder} {code_version()} {settings.training.model_dump_json()}"
    )


@contextmanager
def _work_folder(settings: Settings) -> Iterator[Path]:
    """A folder to train into; a training that fails leaves nothing of it, above all where the disk is full."""
    work = sealed_folder.new_work_folder(settings.models_dir)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)  # gone already where it was sealed


def with_mode(settings: Settings, mode: str) -> Settings:
    """The settings with the training mode that the trigger form asks for; `AS_CONFIGURED` changes nothing."""
    if mode == AS_CONFIGURED:
        return settings
    return settings.model_copy(update={"training": settings.training.model_copy(update={"mode": mode})})


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """How good a challenger is, in three figures and a page."""

    version: str
    report: str
    """The page, below the reports folder."""
    url: str
    """The same in Airflow's UI."""
    rows: int
    accuracy: float
    macro_f1: float


def evaluate_challenger(
    engine: Engine, settings: Settings, *, version: str, snapshot_hash: str, now: datetime
) -> Evaluated:
    """Write the evaluation report of a sealed model, for people; the gate looks for itself and does not need it."""
    from restar_lib.evaluation.report import report_store, report_text
    from restar_lib.evaluation.report.evaluate import evaluate_version
    from restar_lib.evaluation.review_origins import sources_of

    snapshot = load(settings.snapshots_dir / snapshot_hash)
    report = evaluate_version(
        settings,
        folder=sealed_folder.locate(settings.models_dir, version),
        snapshot=snapshot,
        sources=sources_of(settings, snapshot, engine=engine),
        now=now,
    )
    written = report_store.save(settings, report)
    log.info("%s\nthe report: %s", "\n".join(report_text.summary(report)), written.url)
    return Evaluated(
        version=version,
        report=written.html.relative_to(settings.reports_dir).as_posix(),
        url=written.url,
        rows=report.rows,
        accuracy=round(report.model.accuracy.value, 4),
        macro_f1=round(report.model.macro_f1.value, 4),
    )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict as the following tasks and the person who approves need it."""

    verdict_id: int
    challenger: str
    champion: str | None
    may_serve: bool
    """It passed, or it may serve as provisional."""
    provisional: bool
    refused_by: tuple[str, ...]
    """The lines of the verdict that say no."""
    withdrawal: str | None
    """Who said no to this version before, when and why; None where nobody did."""
    text: str
    """All lines as Markdown, for the person who approves."""
    url: str
    """Its page in Airflow."""


def judge(engine: Engine, settings: Settings, *, version: str, snapshot_hash: str, run_key: str) -> Judgement:
    """Let the gate judge a sealed challenger against the champion of this moment. A refusal is a good answer."""
    champion = champion_folder(engine, settings)
    verdict = judge_challenger(
        engine,
        settings,
        challenger_folder=sealed_folder.locate(settings.models_dir, version),
        champion_folder=champion,
        snapshot=load(settings.snapshots_dir / snapshot_hash),
        run_key=run_key,
    )
    withdrawal = why_withdrawn(engine, version)
    log.info("%s", render(verdict, withdrawal=withdrawal))
    mlflow_log.log_training(settings, settings.models_dir / version)  # the run learns of the report and the verdict
    return Judgement(
        verdict_id=verdict.verdict_id,
        challenger=version,
        champion=champion.name if champion else None,
        may_serve=verdict.may_serve,
        provisional=verdict.provisional,
        refused_by=tuple(f"{line.name}: {line.detail}" for line in verdict.refusing),
        withdrawal=withdrawal,
        text=render_markdown(verdict, withdrawal=withdrawal),
        url=page.verdict_page(settings, verdict).url,
    )


@dataclass(frozen=True, kw_only=True)
class AskedDoubts:
    """What came of the stars that a training doubts."""

    version: str
    judged: int
    """Stars that no person has answered."""
    doubted: int
    """How many of them the training takes for wrong."""
    asked: int
    """New tasks with reason `disagreement`."""
    asked_before: int
    """Those that an earlier call had opened for the same training set."""

    def __str__(self) -> str:
        """One line for the log."""
        before = f" ({self.asked_before:,} were before)" if self.asked_before else ""
        return (
            f"{self.asked:,} reviews queued{before}, reason disagreement: of {self.judged:,} stars that no person has"
            f" answered {self.version} doubts {self.doubted:,}, these the most"
        )


def ask_people(engine: Engine, settings: Settings, *, version: str, snapshot_hash: str) -> AskedDoubts:
    """Ask people about the stars that a training doubts most, whatever the gate says of its model.

    Again: nobody is asked twice, and about no more of one training set. Raises `NothingToDo` where nobody is asked.
    """
    found = doubted_labels.read(settings.models_dir, version) or doubted_labels.DoubtedLabels(
        unjudged=f"{version} left no word of them"
    )
    off = "selection.doubted_tasks is 0" if settings.selection.doubted_tasks == 0 else ""
    if why := off or found.unjudged:
        raise NothingToDo(f"nobody is asked about doubted stars: {why}")
    with engine.connect() as connection:
        same_set = challengers_on(connection, [snapshot_hash])
    languages = settings.asked_languages
    asked = ask_doubted(engine, found, settings.selection, version=version, same_set=same_set, languages=languages)
    if not asked.chosen:
        left = f"{found.doubted:,} are doubted" + (
            ", and people were asked about those before" if found.doubted else ""
        )
        raise NothingToDo(
            f"nobody is asked about doubted stars: of {found.judged:,} that no person has answered {left}"
        )
    doubts = AskedDoubts(
        version=version,
        judged=found.judged,
        doubted=found.doubted,
        asked=asked.new,
        asked_before=asked.chosen - asked.new,
    )
    log.info("%s", doubts)
    return doubts


def needs_person(judgement: Mapping[str, Any], *, policy: str, settings: Settings) -> bool:
    """Whether a person must approve the release. Raises `NothingToDo` with the lines that refused the challenger.

    Whatever the policy, a version that was withdrawn before is a person's to release.
    """
    if not judgement["may_serve"]:
        refusals = "\n".join(f"- {line}" for line in judgement["refused_by"])
        raise NothingToDo(f"{judgement['challenger']} was refused, the champion keeps serving:\n{refusals}")
    if withdrawal := judgement.get("withdrawal"):  # absent where the run was judged before an upgrade
        log.warning("a person is asked, whatever the policy: %s", withdrawal)
        return True
    return (settings.release.approval if policy == AS_CONFIGURED else policy) == "person"


def reject_challenger(engine: Engine, *, judgement: Mapping[str, Any], by: str, now: datetime) -> None:
    """Keep it that a person who was asked said no: no policy releases this version later."""
    reject(engine, verdict_id=judgement["verdict_id"], by=by, now=now)
    log.info("%s rejected %s; only a person may release it now", by, judgement["challenger"])


def release_challenger(
    engine: Engine, settings: Settings, *, judgement: Mapping[str, Any], approval: Approval, now: datetime
) -> Release:
    """Make an approved challenger the champion, if the champion is still the one that it was judged against."""
    if not (judgement["may_serve"] and approval.approved):
        raise NothingToDo(f"{judgement['challenger']} is not released: not approved ({approval.by})")
    return release(
        engine,
        settings,
        version=judgement["challenger"],
        by=approval.by,
        reason=f"verdict {judgement['verdict_id']}",
        provisional=judgement["provisional"],
        expected_previous=judgement["champion"],
        by_policy=approval == BY_POLICY,
        now=now,
    )
