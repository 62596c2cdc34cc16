"""The lines that judge the challenger by itself, and the order of all lines of a verdict (DESIGN section 8).

Each line is a pure function of what was measured, and gives its numbers whether it passes or not. There is no I/O. The
lines against a champion are in `gate.criteria.against_champion`, those of the behaviour cases in
`gate.criteria.behaviour_criteria`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from restar_lib.dataset.training_overlap import Leakage
from restar_lib.domain import Side
from restar_lib.evaluation.absent_classes import absent_in_words
from restar_lib.evaluation.behaviour.case_results import Behaviour
from restar_lib.evaluation.metrics import ClassMetrics, Metrics
from restar_lib.gate.criteria.against_champion import PairedMeasurements, comparison_line, slice_lines
from restar_lib.gate.criteria.behaviour_criteria import behaviour_lines
from restar_lib.gate.isolated_probe import IsolatedProbe
from restar_lib.gate.verdict import VerdictLine
from restar_lib.settings import GateSettings


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One request at a time, on this machine's CPU."""

    requests: int
    mean_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Everything that the lines look at."""

    metrics: Metrics
    """The challenger's."""
    people_rows: int
    """Test rows whose truth comes from people; the others have their stars."""
    paired: PairedMeasurements | None
    """None without a champion."""
    behaviour: Behaviour
    simulated: bool
    """The challenger learned from made-up reviews."""
    leakage: Leakage
    judged_before: int
    """Earlier verdicts on at least half of these rows."""
    isolated_probe: IsolatedProbe
    artifact_mb: float
    latency: Latency
    unfair: tuple[str, ...] = ()
    """What handicaps a model on these rows, in words."""


def all_lines(measured: Measurements, config: GateSettings) -> tuple[VerdictLine, ...]:
    """Every line, in the order in which a person reads them: what makes the others worthless comes first."""
    return (
        leakage_line(measured.leakage),
        *floor_lines(measured.metrics, config),
        comparison_line(
            measured.metrics, measured.paired, config, people_rows=measured.people_rows, unfair=measured.unfair
        ),
        *slice_lines(measured.paired, config),
        *behaviour_lines(measured.behaviour, measured.paired, config, simulated=measured.simulated),
        freshness_line(measured, config),
        VerdictLine(name="artifact", passed=True, detail="whole, loads, and answers its probe", numbers={}),
        isolated_probe_line(measured.isolated_probe),
        size_line(measured.artifact_mb, config),
        latency_line(measured.latency, config),
    )


def artifact_refusal(reason: str) -> tuple[VerdictLine, ...]:
    """The only line where the challenger cannot be loaded."""
    return (VerdictLine(name="artifact", passed=False, detail=reason, numbers={}),)


def leakage_line(found: Leakage) -> VerdictLine:
    """No test row may have the text of a row that a model learned from or was calibrated on."""
    unknown = [one for one in found.unread if one.whose == "challenger"]
    numbers = {"leaks": len(found.leaks), "gate_rows": found.test_rows, "learned_rows": found.learned_rows}
    return VerdictLine(
        name="leakage",
        passed=not found.leaks and not unknown,
        detail=_leakage_detail(found, unknown=bool(unknown)),
        numbers=numbers,
        table=tuple(
            {"model": whose, "side": side.value, "rows": rows} for (whose, side), rows in _leaks_by_side(found).items()
        ),
    )


def floor_lines(metrics: Metrics, config: GateSettings) -> Iterator[VerdictLine]:
    """What a model must reach whatever served before it; each line also gives the majority baseline.

    Nothing is asked of a class that neither the truth of these rows nor the stars of the training have.
    """
    yield _floor("accuracy", metrics.accuracy, config.min_accuracy, majority=metrics.majority_accuracy)
    words = f"; {absent_in_words(metrics.absent)}" if metrics.absent else ""
    yield _floor("macro_f1", metrics.macro_f1, config.min_macro_f1, majority=metrics.majority_macro_f1, said=words)
    for one in metrics.per_class:
        absent = one.sentiment in metrics.absent
        yield _not_asked(one.sentiment, config.min_recall) if absent else _recall(one, config.min_recall)
    limit = config.max_calibration_error
    yield VerdictLine(
        name="calibration_error",
        passed=metrics.ece <= limit,
        detail=f"calibration error {metrics.ece:.3f} ({_at_most(metrics.ece, limit)} {limit:g})",
        numbers={"value": metrics.ece, "limit": limit},
    )


def freshness_line(measured: Measurements, config: GateSettings) -> VerdictLine:
    """Each verdict selects models by its test rows, so the same rows may judge only a limited number of times."""
    times, limit = measured.judged_before + 1, config.max_judgements
    fresh = times <= limit
    detail = f"these rows judge for the {_ordinal(times)} time (at most {limit})"
    remedy = "" if fresh else "; ingest newer reviews, so that fresh rows judge"
    return VerdictLine(
        name="fresh_rows", passed=fresh, detail=detail + remedy, numbers={"times": times, "limit": limit}
    )


def isolated_probe_line(probe: IsolatedProbe) -> VerdictLine:
    """The artifact must answer its probe in a process that holds nothing of the training."""
    if probe.problem is not None:
        detail = f"does not answer its probe in a process of its own: {probe.problem}"
        return VerdictLine(name="clean_process", passed=False, detail=detail, numbers={})
    return VerdictLine(
        name="clean_process",
        passed=True,
        detail=f"answers its probe in a process of its own: {probe.seconds:.1f} s, {probe.megabytes} MB of memory",
        numbers={"seconds": probe.seconds, "memory_mb": probe.megabytes},
    )


def size_line(megabytes: float, config: GateSettings) -> VerdictLine:
    """A folder that every replica loads must stay within what they have."""
    limit = config.max_artifact_mb
    return VerdictLine(
        name="size",
        passed=megabytes <= limit,
        detail=f"artifact of {megabytes:.1f} MB ({_at_most(megabytes, limit)} {limit:g})",
        numbers={"megabytes": megabytes, "limit": limit},
    )


def latency_line(latency: Latency, config: GateSettings) -> VerdictLine:
    """99 of 100 requests of one review must be answered within the ceiling, here and now."""
    limit = config.max_latency_ms
    return VerdictLine(
        name="latency",
        passed=latency.p99_ms <= limit,
        detail=f"p99 {latency.p99_ms:.1f} ms, mean {latency.mean_ms:.1f} ms over {latency.requests} requests "
        f"({_at_most(latency.p99_ms, limit)} {limit:g})",
        numbers={"p99_ms": latency.p99_ms, "mean_ms": latency.mean_ms, "limit": limit, "requests": latency.requests},
    )


def _leakage_detail(found: Leakage, *, unknown: bool) -> str:
    if unknown:
        return "the challenger's training set is not on this disk: whether it has seen the test rows cannot be told"
    if found.leaks:
        where = ", ".join(f"{rows:,} in {whose} {side}" for (whose, side), rows in _leaks_by_side(found).items())
        return (
            f"{len({leak.test_id for leak in found.leaks}):,} of {found.test_rows:,} test rows have the text of a row "
            f"that a model has seen ({where}); freeze a snapshot whose test side neither of them has seen"
        )
    unread = " (the champion's training set is not on this disk)" if found.unread else ""
    by_review = "".join(
        f"; titles stand in front of the {one.whose}'s texts or of the gate's, not of both, so these were compared by "
        "review alone"
        for one in found.by_review
    )
    return (
        f"none of {found.test_rows:,} test texts among {found.learned_rows:,} that were learned from{unread}{by_review}"
    )


def _leaks_by_side(found: Leakage) -> Counter[tuple[str, Side]]:
    # Counts and no ids: a verdict stays when a person asks to be forgotten.
    return Counter((leak.whose, leak.side) for leak in found.leaks)


def _floor(name: str, value: float, floor: float, *, majority: float, said: str = "") -> VerdictLine:
    word = name.replace("_", "-").replace("f1", "F1")
    return VerdictLine(
        name=name,
        passed=value >= floor,
        detail=f"{word} {value:.3f} ({_at_least(value, floor)} {floor:g}; commonest class {majority:.3f}){said}",
        numbers={"value": value, "floor": floor, "majority": majority},
    )


def _recall(one: ClassMetrics, floor: float) -> VerdictLine:
    # Without a row of this class its recall is unknown: that is no pass, unless nothing is asked of it.
    recall = one.recall if one.rows else None
    found = f"{'unknown' if recall is None else f'{recall:.3f}'} on {one.rows:,} rows"
    passed = floor == 0 or (recall is not None and recall >= floor)
    return VerdictLine(
        name=f"recall_{one.sentiment}",
        passed=passed,
        detail=f"recall of {one.sentiment} {found} ({'at least' if passed else 'under'} {floor:g})",
        numbers={"value": recall, "floor": floor, "rows": one.rows},
    )


def _not_asked(sentiment: str, floor: float) -> VerdictLine:
    return VerdictLine(
        name=f"recall_{sentiment}",
        passed=True,
        detail=f"recall of {sentiment} not asked: no test row is {sentiment}, and no stars of the training are",
        numbers={"floor": floor, "rows": 0},
    )


def _at_least(value: float, floor: float) -> str:
    return "at least" if value >= floor else "under"


def _at_most(value: float, limit: float) -> str:
    return "at most" if value <= limit else "above"


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ..."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
