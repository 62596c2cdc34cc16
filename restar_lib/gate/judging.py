"""Judging: both models answer the gate rows, the lines are asked, the verdict is stored.

The gate rows are the snapshot's test side: texts that no model may learn from or be calibrated on. The same question
(challenger, champion, snapshot, rules) is answered once; asking again returns the stored verdict without running a
model. A challenger that cannot be loaded is refused with that reason; a champion that cannot be loaded is an error,
because somebody has to repair what serves. Needs ONNX Runtime, no torch. It releases nothing.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from restar_lib.dataset.snapshot import Snapshot
from restar_lib.domain import Example, Side, TruthSource
from restar_lib.durable import READABLE, write_text
from restar_lib.errors import ArtifactError, ProbeFailed
from restar_lib.evaluation.metrics import Metrics, evaluate, slice_accuracies, slices_of
from restar_lib.gate import verdict_log
from restar_lib.gate.lines import Latency, Measured, Paired, all_lines, artifact_refusal
from restar_lib.gate.statistics import compare
from restar_lib.gate.verdict import Verdict, VerdictLine, may_be_provisional
from restar_lib.registry import artifact
from restar_lib.registry.release_log import current
from restar_lib.scoring.engine import InferenceEngine
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

    Raises `ArtifactError` or `ProbeFailed` where the champion is damaged, `SnapshotError` where the gate rows are.
    """
    challenger, champion = challenger_folder.name, champion_folder.name if champion_folder else None
    question = verdict_log.Question(
        challenger=challenger,
        champion=champion,
        snapshot_hash=snapshot.snapshot_hash,
        rules_hash=verdict_log.rules_hash(settings.gate),
    )
    known = verdict_log.find(engine, question)
    if known is not None:
        log.info("verdict %d was given before: %s", known.verdict_id, known.headline)
        if not _beside(settings, known).exists():  # a run was killed between the table and the file
            _write_beside(settings, known)
        return known
    rows = snapshot.examples(Side.TEST)
    lines, provisional = _ask(engine, settings, challenger_folder, champion_folder, rows)
    verdict = verdict_log.record(
        engine,
        question,
        run_key=run_key,
        lines=lines,
        provisional=provisional,
        review_ids=[row.review_id for row in rows],
    )
    _write_beside(settings, verdict)
    log.info("verdict %d: %s", verdict.verdict_id, verdict.headline)
    return verdict


def _ask(
    engine: Engine, settings: Settings, challenger: Path, champion: Path | None, rows: Sequence[Example]
) -> tuple[tuple[VerdictLine, ...], bool]:
    """The lines, and whether the model may serve as provisional."""
    try:
        model = _proven(challenger, settings)
    except (ArtifactError, ProbeFailed) as error:
        return artifact_refusal(str(error)), False
    serving = None if champion is None else _proven(champion, settings)
    judged_before = verdict_log.times_used(engine, [row.review_id for row in rows])
    measured = _measure(model, serving, rows, settings, judged_before=judged_before)
    lines = all_lines(measured, settings.gate)
    beats_majority = measured.metrics.macro_f1 > measured.metrics.majority_macro_f1
    allowed = settings.gate.allow_provisional and (champion is None or _is_provisional(engine, champion.name))
    return lines, allowed and may_be_provisional(lines, beats_majority=beats_majority)


def _is_provisional(engine: Engine, champion: str) -> bool:
    # A provisional champion is under the floors itself. One that is not worse on the same rows may follow it, or the
    # loop would stand still until a single training reached the floors.
    serving = current(engine)
    return serving is not None and serving.model_version == champion and serving.provisional


def _proven(folder: Path, settings: Settings) -> InferenceEngine:
    artifact.verify(folder)
    model = InferenceEngine.load(folder, threads=settings.scoring.threads)
    model.probe()
    return model


def _measure(
    model: InferenceEngine,
    serving: InferenceEngine | None,
    rows: Sequence[Example],
    settings: Settings,
    *,
    judged_before: int,
) -> Measured:
    truth = np.array([row.truth.position for row in rows], dtype=np.int64)
    answers = _answers(model, rows, settings)
    return Measured(
        metrics=_evaluate(truth, answers, settings),
        people_rows=sum(row.truth_source is TruthSource.PEOPLE for row in rows),
        paired=None if serving is None else _pair(serving, rows, truth, answers, settings),
        judged_before=judged_before,
        latency=measure_latency(model, [row.text for row in rows], ceiling_ms=settings.gate.max_latency_ms),
    )


def _pair(
    serving: InferenceEngine, rows: Sequence[Example], truth: Integers, answers: Floats, settings: Settings
) -> Paired:
    of_champion = _answers(serving, rows, settings)
    before, now = of_champion.argmax(axis=1), answers.argmax(axis=1)
    slices = slices_of(rows)
    rng = np.random.default_rng(settings.gate.seed)
    return Paired(
        champion=serving.version,
        metrics=_evaluate(truth, of_champion, settings),
        comparison=compare(truth, before, now, resamples=settings.gate.resamples, rng=rng),
        challenger_slices=slice_accuracies(truth, now, slices),
        champion_slices=slice_accuracies(truth, before, slices),
    )


def _evaluate(truth: Integers, answers: Floats, settings: Settings) -> Metrics:
    return evaluate(truth, answers, abstain_below=settings.scoring.abstain_below)


def _answers(model: InferenceEngine, rows: Sequence[Example], settings: Settings) -> Floats:
    started = time.perf_counter()
    answers = model.predict([row.text for row in rows], batch_size=settings.scoring.batch_size).probabilities
    seconds = time.perf_counter() - started
    log.info("%s answered %s gate rows in %.0f s", model.version, f"{len(rows):,}", seconds)
    return answers


def measure_latency(
    model: InferenceEngine, texts: Sequence[str], *, ceiling_ms: float, clock: Callable[[], float] = time.perf_counter
) -> Latency:
    """Answer up to 200 real texts one at a time, after a short warm-up.

    Above the ceiling it is measured again, three times at most, and the best counts: what else this machine was doing
    is not the model's fault.
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


def _write_beside(settings: Settings, verdict: Verdict) -> None:
    """For people who look at the folder; the table is the truth."""
    write_text(_beside(settings, verdict), json.dumps(verdict.to_dict(), indent=1) + "\n", mode=READABLE)


def _beside(settings: Settings, verdict: Verdict) -> Path:
    return artifact.sibling(settings.models_dir, verdict.challenger, "verdict.json")
