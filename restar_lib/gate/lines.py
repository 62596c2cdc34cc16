"""The lines of a verdict, each a pure function of what was measured (DESIGN section 8).

Every line says its numbers whether it passes or not. Nothing is measured here, and there is no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from restar_lib.evaluation.metrics import Metrics, SliceAccuracy
from restar_lib.gate.statistics import Comparison
from restar_lib.gate.verdict import VerdictLine
from restar_lib.settings import Gate

SLICES: Final = ("category", "length", "rating")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One request at a time, on this machine's CPU."""

    requests: int
    mean_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The challenger beside the champion on the same rows."""

    champion: str
    metrics: Metrics
    """The champion's."""
    comparison: Comparison
    challenger_slices: tuple[SliceAccuracy, ...]
    champion_slices: tuple[SliceAccuracy, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that the lines look at."""

    metrics: Metrics
    """The challenger's."""
    people_rows: int
    """Gate rows whose truth comes from people; the others have their stars."""
    paired: Paired | None
    """None without a champion."""
    judged_before: int
    """Earlier verdicts on at least half of these rows."""
    latency: Latency


def all_lines(measured: Measured, config: Gate) -> tuple[VerdictLine, ...]:
    """Every line, in the order in which a person reads them."""
    return (
        *floor_lines(measured.metrics, config),
        comparison_line(measured, config),
        *slice_lines(measured.paired, config),
        freshness_line(measured, config),
        VerdictLine(name="artifact", passed=True, detail="whole, loads, and answers its probe", numbers={}),
        latency_line(measured.latency, config),
    )


def artifact_refusal(reason: str) -> tuple[VerdictLine, ...]:
    """The only line where the challenger cannot be asked at all."""
    return (VerdictLine(name="artifact", passed=False, detail=reason, numbers={}),)


def floor_lines(metrics: Metrics, config: Gate) -> Iterator[VerdictLine]:
    """What a model must reach whatever served before it; the majority baseline stands beside each figure."""
    yield _floor("accuracy", metrics.accuracy, config.min_accuracy, majority=metrics.majority_accuracy)
    yield _floor("macro_f1", metrics.macro_f1, config.min_macro_f1, majority=metrics.majority_macro_f1)
    for one in metrics.per_class:
        yield _recall(one.sentiment, one.recall, one.rows, config.min_recall)
    limit = config.max_calibration_error
    yield VerdictLine(
        name="calibration_error",
        passed=metrics.ece <= limit,
        detail=f"calibration error {metrics.ece:.3f} ({_at_most(metrics.ece, limit)} {limit:g})",
        numbers={"value": metrics.ece, "limit": limit},
    )


def comparison_line(measured: Measured, config: Gate) -> VerdictLine:
    """Against the champion: the lower end of the interval of the macro-F1 difference decides."""
    rows, paired = measured.metrics.rows, measured.paired
    if paired is None:
        return VerdictLine(
            name="comparison",
            passed=True,
            detail=f"no champion to compare with on {rows:,} gate rows: the floors alone decide",
            numbers={"rows": rows, "people_rows": measured.people_rows},
        )
    found = paired.comparison
    threshold = -config.margin if config.policy == "not_worse" else config.min_gain
    enough = rows >= config.min_rows
    numbers = {
        "rows": rows,
        "people_rows": measured.people_rows,
        "champion_macro_f1": paired.metrics.macro_f1,
        "champion_accuracy": paired.metrics.accuracy,
        "difference": found.difference,
        "lower": found.lower,
        "threshold": threshold,
        "detectable": found.detectable,
        "better_rows": found.better_rows,
        "worse_rows": found.worse_rows,
        "mcnemar_p": found.mcnemar_p,
    }
    detail = _comparison_detail(paired, config, threshold) if enough else _too_few(rows, config)
    return VerdictLine(name="comparison", passed=enough and found.lower > threshold, detail=detail, numbers=numbers)


def slice_lines(paired: Paired | None, config: Gate) -> Iterator[VerdictLine]:
    """For category, length and rating: the worst drop of accuracy among the values with enough rows."""
    for name in SLICES:
        if paired is None:
            yield VerdictLine(name=f"slice_{name}", passed=True, detail="no champion to drop from", numbers={})
        else:
            yield _slice_line(name, paired, config)


def freshness_line(measured: Measured, config: Gate) -> VerdictLine:
    """Rows that judge again and again are learned by selection, so they are used up after a while."""
    times, limit = measured.judged_before + 1, config.max_judgements
    fresh = times <= limit
    detail = f"these rows judge for the {_ordinal(times)} time (at most {limit})"
    remedy = "" if fresh else "; ingest newer reviews, so that fresh rows judge"
    return VerdictLine(
        name="fresh_rows", passed=fresh, detail=detail + remedy, numbers={"times": times, "limit": limit}
    )


def latency_line(latency: Latency, config: Gate) -> VerdictLine:
    """99 of 100 requests of one review must be answered within the ceiling, here and now."""
    limit = config.max_latency_ms
    return VerdictLine(
        name="latency",
        passed=latency.p99_ms <= limit,
        detail=f"p99 {latency.p99_ms:.1f} ms, mean {latency.mean_ms:.1f} ms over {latency.requests} requests "
        f"({_at_most(latency.p99_ms, limit)} {limit:g})",
        numbers={"p99_ms": latency.p99_ms, "mean_ms": latency.mean_ms, "limit": limit, "requests": latency.requests},
    )


def _floor(name: str, value: float, floor: float, *, majority: float) -> VerdictLine:
    word = name.replace("_", "-").replace("f1", "F1")
    return VerdictLine(
        name=name,
        passed=value >= floor,
        detail=f"{word} {value:.3f} ({_at_least(value, floor)} {floor:g}; commonest class {majority:.3f})",
        numbers={"value": value, "floor": floor, "majority": majority},
    )


def _recall(sentiment: str, recall: float, rows: int, floor: float) -> VerdictLine:
    # Without a row of this class its recall is unknown: that is no pass, unless nothing is asked of it.
    found = f"recall of {sentiment} {recall:.3f}" if rows else f"recall of {sentiment} unknown"
    return VerdictLine(
        name=f"recall_{sentiment}",
        passed=floor == 0 or (rows > 0 and recall >= floor),
        detail=f"{found} on {rows:,} rows ({_at_least(recall, floor)} {floor:g})",
        numbers={"value": recall, "floor": floor, "rows": rows},
    )


def _comparison_detail(paired: Paired, config: Gate, threshold: float) -> str:
    found = paired.comparison
    above = "above" if found.lower > threshold else "not above"
    return (
        f"macro-F1 {found.difference:+.3f} against {paired.champion} ({paired.metrics.macro_f1:.3f}), at least "
        f"{found.lower:+.3f} with 95 % confidence ({above} {threshold:+g}, policy {config.policy}); only the new one "
        f"is right on {found.better_rows}, only the old one on {found.worse_rows} (McNemar p = {found.mcnemar_p:.3f}); "
        f"smallest detectable difference {found.detectable:.3f}"
    )


def _too_few(rows: int, config: Gate) -> str:
    return f"cannot tell: {rows:,} gate rows, at least {config.min_rows:,} are needed to compare (gate.min_rows)"


def _slice_line(name: str, paired: Paired, config: Gate) -> VerdictLine:
    before, now = _of_slice(name, paired.champion_slices), _of_slice(name, paired.challenger_slices)
    if not now or now.keys() != before.keys():
        return VerdictLine(name=f"slice_{name}", passed=False, detail=f"slice {name} is missing", numbers={})
    judged = [value for value in now if now[value].rows >= config.slice_min_rows]
    if not judged:
        detail = f"none of {len(now)} values of {name} has {config.slice_min_rows} rows: nothing to judge"
        return VerdictLine(name=f"slice_{name}", passed=True, detail=detail, numbers={"values": len(now), "judged": 0})
    drop, value = max((before[value].accuracy - now[value].accuracy, value) for value in judged)
    dropped = drop > config.slice_tolerance
    return VerdictLine(
        name=f"slice_{name}",
        passed=not dropped,
        detail=f"worst of {len(judged)} values of {name}: {value}, accuracy {-drop:+.3f} on {now[value].rows:,} rows "
        f"({'more than' if dropped else 'at most'} {config.slice_tolerance:g} may be lost)",
        numbers={
            "values": len(now),
            "judged": len(judged),
            "worst": value,
            "drop": drop,
            "tolerance": config.slice_tolerance,
        },
    )


def _of_slice(name: str, slices: Sequence[SliceAccuracy]) -> Mapping[str, SliceAccuracy]:
    return {one.value: one for one in slices if one.slice == name}


def _at_least(value: float, floor: float) -> str:
    return "at least" if value >= floor else "under"


def _at_most(value: float, limit: float) -> str:
    return "at most" if value <= limit else "above"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
