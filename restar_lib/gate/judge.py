"""Judging: both models answer the test rows, the criteria are applied, the verdict is stored.

The test rows are those of the snapshot's test side: texts that no model may learn from or be calibrated on. One key
(challenger, champion, snapshot, rules) gets one verdict; judging again returns the stored one without running a model,
unless only the machine or the disk refused it (`Verdict.refusal_is_momentary`). A challenger that cannot be loaded is
refused with that reason; a champion that cannot be loaded is an error, because somebody has to repair what serves.
Needs ONNX Runtime, no torch. It releases nothing.

The table is the truth; JSON and page beside the model folder and the page among the reports are for people, and are
written again where a kill lost them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from restar_lib.artifacts.model_loading import load_verified
from restar_lib.artifacts.release_log import current
from restar_lib.dataset.arrays import truth_of
from restar_lib.dataset.snapshot import Snapshot
from restar_lib.dataset.snapshot_folder import what_is_left
from restar_lib.dataset.training_overlap import Leakage, TrainingSet, find_leaks
from restar_lib.domain import Example, Side, TruthSource
from restar_lib.errors import ArtifactError, ConfigurationError, ProbeFailed
from restar_lib.evaluation.behaviour.case_results import run_cases
from restar_lib.evaluation.behaviour.cases import Case, cases_hash, load_cases, refuse_missing_groups
from restar_lib.evaluation.metrics import Metrics, evaluate
from restar_lib.evaluation.paired_tests import compare
from restar_lib.evaluation.report.report_text import titles_mismatch
from restar_lib.gate import page, verdict_log
from restar_lib.gate.criteria.against_champion import PairedMeasurements
from restar_lib.gate.criteria.challenger import Latency, Measurements, all_lines, artifact_refusal
from restar_lib.gate.isolated_probe import probe_in_isolation
from restar_lib.gate.slice_changes import gate_slices, slice_changes
from restar_lib.gate.verdict import Verdict, VerdictLine, may_be_provisional
from restar_lib.gate.withdrawal import why_withdrawn
from restar_lib.inference.engine import InferenceEngine
from restar_lib.settings import Settings

log = logging.getLogger(__name__)

LATENCY_REQUESTS: Final = 200
LATENCY_ATTEMPTS: Final = 3
WARM_UP: Final = 5

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def judge(
    engine: Engine,
    settings: Settings,
    *,
    challenger_folder: Path,
    champion_folder: Path | None,
    snapshot: Snapshot,
    run_key: str | None = None,
) -> Verdict:
    """Whether the challenger may serve, stored with every reason and written beside its folder.

    Raises `ArtifactError` or `ProbeFailed` where the champion is damaged, `SnapshotError` where the test rows are, and
    `ConfigurationError` where the behaviour cases or their floors are.
    """
    challenger, champion = challenger_folder.name, champion_folder.name if champion_folder else None
    cases = load_cases()
    refuse_missing_groups(cases)
    _refuse_unknown_groups(settings, cases)
    key = verdict_log.VerdictKey(
        challenger=challenger,
        champion=champion,
        snapshot_hash=snapshot.snapshot_hash,
        rules_hash=_rules_hash(settings, cases),
    )
    withdrawal = why_withdrawn(engine, challenger)
    known = verdict_log.find(engine, key)
    if known is not None and not known.refusal_is_momentary:
        log.info("verdict %d was given before: %s", known.verdict_id, known.headline)
        if withdrawal:  # said since the page was written
            page.write(settings, known, withdrawal=withdrawal)
        else:
            page.write_missing(settings, known)  # a run was killed between the table and the files
        return verdict_log.assign_to_run(engine, known, run_key=run_key)
    side = _TestSide(settings=settings, cases=cases, snapshot=snapshot, rows=snapshot.examples(Side.TEST))
    lines, provisional = _lines(engine, side, challenger_folder, champion_folder, replaced=known)
    read = [line.name for line in lines] != ["artifact"]  # a model that cannot be loaded has not used the rows
    verdict = verdict_log.record(
        engine,
        key,
        run_key=run_key,
        lines=lines,
        provisional=provisional,
        review_ids=[row.review_id for row in side.rows] if read else [],
        instead_of=known,
    )
    page.write(settings, verdict, withdrawal=withdrawal)
    log.info("verdict %d: %s", verdict.verdict_id, verdict.headline)
    log.info("its page: %s", page.verdict_page(settings, verdict).url)
    return verdict


def refused_before(engine: Engine, settings: Settings, *, snapshot_hash: str, champion: str | None) -> Verdict | None:
    """The newest verdict on a snapshot, where it refused by the rules and against the champion of now; else None.

    Where only the machine or the disk refused, judging again may end otherwise: None too.
    """
    rules = _rules_hash(settings, load_cases())
    newest = verdict_log.newest_on(engine, snapshot_hash, rules_hash=rules)
    if newest is None or newest.champion != champion or newest.may_serve or newest.refusal_is_momentary:
        return None
    return newest


def _rules_hash(settings: Settings, cases: Sequence[Case]) -> str:
    return verdict_log.rules_hash(settings.gate, cases_hash=cases_hash(cases))


@dataclass(frozen=True, kw_only=True)
class _TestSide:
    """The rows and cases that both models answer, and the settings that judge them."""

    settings: Settings
    cases: tuple[Case, ...]
    snapshot: Snapshot
    rows: tuple[Example, ...]
    """The test rows."""

    @property
    def texts(self) -> list[str]:
        return [row.text for row in self.rows]


def _lines(
    engine: Engine, side: _TestSide, challenger: Path, champion: Path | None, *, replaced: Verdict | None
) -> tuple[tuple[VerdictLine, ...], bool]:
    """The lines of the verdict, and whether the model may serve as provisional."""
    settings = side.settings
    try:
        model = load_verified(challenger, threads=settings.scoring.threads)
    except (ArtifactError, ProbeFailed) as error:
        return artifact_refusal(str(error)), False
    serving = None if champion is None else load_verified(champion, threads=settings.scoring.threads)
    judged_before = verdict_log.times_used(engine, [row.review_id for row in side.rows], but=replaced)
    measured = _measure(model, serving, side, judged_before=judged_before)
    lines = all_lines(measured, settings.gate)
    beats_majority = measured.metrics.macro_f1 > measured.metrics.majority_macro_f1
    allowed = settings.gate.allow_provisional and (champion is None or _is_provisional(engine, champion.name))
    return lines, allowed and may_be_provisional(lines, beats_majority=beats_majority)


def _refuse_unknown_groups(settings: Settings, cases: Sequence[Case]) -> None:
    groups = {case.group for case in cases}
    for group in settings.gate.behaviour_floors:
        if group not in groups:
            raise ConfigurationError(
                f"gate.behaviour_floors names {group!r}, which has no cases; there are: {', '.join(sorted(groups))}"
            )


def _is_provisional(engine: Engine, champion: str) -> bool:
    # A provisional champion is under the floors itself. A challenger that is not worse on the same rows may follow it;
    # else nothing could be released until a single training reached the floors.
    serving = current(engine)
    return serving is not None and serving.model_version == champion and serving.provisional


def _measure(
    model: InferenceEngine, serving: InferenceEngine | None, side: _TestSide, *, judged_before: int
) -> Measurements:
    settings = side.settings
    truth = truth_of(side.rows)
    answers = _answers(model, side)
    metrics = _evaluate(truth, answers, model)
    return Measurements(
        metrics=metrics,
        people_rows=sum(row.truth_source is TruthSource.PEOPLE for row in side.rows),
        paired=None if serving is None else _pair(serving, side, truth, answers, absent=metrics.absent),
        behaviour=run_cases(model, side.cases, absent=metrics.absent),
        simulated=model.info.simulated,
        leakage=_leakage(model, serving, side),
        judged_before=judged_before,
        isolated_probe=probe_in_isolation(model.folder, timeout=settings.gate.probe_timeout_seconds),
        artifact_mb=sum(path.stat().st_size for path in model.folder.iterdir()) / 1e6,
        latency=measure_latency(model, side.texts, ceiling_ms=settings.gate.max_latency_ms),
        unfair=tuple(
            titles_mismatch(one.version, titles=side.snapshot.titles)
            for one in (model, serving)
            if one is not None and one.info.reads_titles != side.snapshot.titles
        ),
    )


def _pair(
    serving: InferenceEngine, side: _TestSide, truth: Integers, answers: Floats, *, absent: Collection[str]
) -> PairedMeasurements:
    """The champion on the same rows and the same cases: what is `absent` for the challenger is not asked of it."""
    config, of_champion = side.settings.gate, _answers(serving, side)
    before, now = of_champion.argmax(axis=1), answers.argmax(axis=1)
    rng = np.random.default_rng(config.seed)
    return PairedMeasurements(
        champion=serving.version,
        metrics=_evaluate(truth, of_champion, serving),
        comparison=compare(truth, before, now, resamples=config.resamples, rng=rng),
        slices=slice_changes(truth, before, now, gate_slices(side.rows)),
        behaviour=run_cases(serving, side.cases, absent=absent),
    )


def _leakage(model: InferenceEngine, serving: InferenceEngine | None, side: _TestSide) -> Leakage:
    """The test rows beside what both models learned from: always including the challenger's own training set."""
    snapshots = side.settings.snapshots_dir
    own = side.snapshot.folder if model.info.snapshot_hash == side.snapshot.snapshot_hash else None
    sets = [TrainingSet(whose="challenger", folder=own or what_is_left(snapshots / model.info.snapshot_hash))]
    if serving is not None and serving.info.snapshot_hash != model.info.snapshot_hash:
        sets.append(TrainingSet(whose="champion", folder=what_is_left(snapshots / serving.info.snapshot_hash)))
    return find_leaks(side.rows, sets, titles=side.snapshot.titles)


def _evaluate(truth: Integers, answers: Floats, model: InferenceEngine) -> Metrics:
    return evaluate(truth, answers, abstain_below=model.info.abstain_below, rated=model.info.rated)


def _answers(model: InferenceEngine, side: _TestSide) -> Floats:
    started = time.perf_counter()
    answers = model.predict(side.texts, batch_size=side.settings.scoring.batch_size).probabilities
    seconds = time.perf_counter() - started
    log.info("%s answered %s test rows in %.0f s", model.version, f"{len(side.rows):,}", seconds)
    return answers


def measure_latency(
    model: InferenceEngine, texts: Sequence[str], *, ceiling_ms: float, clock: Callable[[], float] = time.perf_counter
) -> Latency:
    """Answer up to 200 real texts one at a time, after a short warm-up.

    Above the ceiling it is measured again, three times at most, and the best counts, because other load on the machine
    also slows the model down.
    """
    for text in texts[:WARM_UP]:
        model.predict([text])
    best = _latency_once(model, texts, clock)
    for _ in range(LATENCY_ATTEMPTS - 1):
        if best.p99_ms <= ceiling_ms:
            break
        log.warning("p99 %.0f ms is above the ceiling of %.0f ms: measuring once more", best.p99_ms, ceiling_ms)
        best = min(best, _latency_once(model, texts, clock), key=lambda latency: latency.p99_ms)
    return best


def _latency_once(model: InferenceEngine, texts: Sequence[str], clock: Callable[[], float]) -> Latency:
    spent = []
    for text in texts[:LATENCY_REQUESTS]:
        started = clock()
        model.predict([text])
        spent.append(1000 * (clock() - started))
    return Latency(requests=len(spent), mean_ms=float(np.mean(spent)), p99_ms=float(np.quantile(spent, 0.99)))
