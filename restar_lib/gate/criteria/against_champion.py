"""The lines against the champion: macro-F1 on the same rows, and what each slice of them lost.

Pure functions of what was measured. The lower end of the interval of the difference decides; policy `better` asks the
exact test as well (docs/decisions/0015).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from restar_lib.evaluation.behaviour.case_results import Behaviour
from restar_lib.evaluation.metrics import Metrics
from restar_lib.evaluation.paired_tests import PairedComparison
from restar_lib.gate.slice_changes import SLICES, SliceChange
from restar_lib.gate.verdict import VerdictLine
from restar_lib.settings import GateSettings

SWAP_LEVEL: Final = 0.025
"""Policy `better`: equal models show such a gain less often than this (one-sided)."""
SLICE_LEVEL: Final = 0.05
"""For all slices together: how often chance alone may make any of them drop so far (shared out, Bonferroni)."""


@dataclass(frozen=True, kw_only=True)
class PairedMeasurements:
    """The challenger beside the champion on the same rows."""

    champion: str
    metrics: Metrics
    """The champion's."""
    comparison: PairedComparison
    slices: tuple[SliceChange, ...]
    behaviour: Behaviour
    """The champion's."""


def comparison_line(
    metrics: Metrics,
    paired: PairedMeasurements | None,
    config: GateSettings,
    *,
    people_rows: int,
    unfair: Sequence[str] = (),
) -> VerdictLine:
    """Against the champion: the lower end of the interval of the macro-F1 difference decides.

    What is `unfair` about these rows does not decide, but the line names it for the person who approves.
    """
    said = "".join(f"; {one}" for one in unfair)
    if paired is None:
        return VerdictLine(
            name="comparison",
            passed=True,
            detail=f"no champion to compare with on {metrics.rows:,} test rows: the floors alone decide; "
            + _whose_truth(metrics.rows, people_rows)
            + said,
            numbers={"rows": metrics.rows, "people_rows": people_rows},
        )
    found = paired.comparison
    enough = metrics.rows >= config.min_rows
    numbers = {
        "rows": metrics.rows,
        "people_rows": people_rows,
        "champion_macro_f1": paired.metrics.macro_f1,
        "champion_accuracy": paired.metrics.accuracy,
        "difference": found.difference,
        "lower": found.lower,
        "upper": found.upper,
        "threshold": threshold_of(config),
        "policy": config.policy,
        "detectable": found.detectable,
        "swap_p": found.swap_p,
        "better_rows": found.better_rows,
        "worse_rows": found.worse_rows,
        "mcnemar_p": found.mcnemar_p,
    }
    detail = _comparison_detail(paired, config) if enough else _too_few(metrics.rows, config)
    detail += (
        f"; smallest detectable difference {found.detectable:.3f}; {_whose_truth(metrics.rows, people_rows)}{said}"
    )
    return VerdictLine(name="comparison", passed=enough and holds(found, config), detail=detail, numbers=numbers)


def threshold_of(config: GateSettings) -> float:
    """What the lower end must be above."""
    return -config.margin if config.policy == "not_worse" else config.min_gain


def holds(found: PairedComparison, config: GateSettings) -> bool:
    """Whether a difference is enough for the policy; `better` by chance alone is not better."""
    above = found.lower > threshold_of(config)
    return above and (config.policy == "not_worse" or found.swap_p <= SWAP_LEVEL)


def slice_lines(paired: PairedMeasurements | None, config: GateSettings) -> Iterator[VerdictLine]:
    """For each slice: the worst drop of accuracy among the values with enough rows, beyond tolerance and chance."""
    judged = [one for one in paired.slices if one.rows >= config.slice_min_rows] if paired else []
    for name in SLICES:
        if paired is None:
            yield VerdictLine(name=f"slice_{name}", passed=True, detail="no champion to drop from", numbers={})
        else:
            of_slice = [one for one in paired.slices if one.slice == name]
            yield _slice_line(name, of_slice, config, level=SLICE_LEVEL / max(1, len(judged)))


def refuses(change: SliceChange, config: GateSettings, *, level: float) -> bool:
    """Whether a value of a slice lost more than its tolerance, and more than chance takes."""
    return change.rows >= config.slice_min_rows and change.drop > config.slice_tolerance and change.chance <= level


def _comparison_detail(paired: PairedMeasurements, config: GateSettings) -> str:
    found, threshold = paired.comparison, threshold_of(config)
    above = "above" if found.lower > threshold else "not above"
    chance = f", equal models gain as much with p = {found.swap_p:.4f}" if config.policy == "better" else ""
    return (
        f"macro-F1 {found.difference:+.3f} against {paired.champion} ({paired.metrics.macro_f1:.3f}), at least "
        f"{found.lower:+.3f} with 95 % confidence ({above} {threshold:+g}, policy {config.policy}{chance}); only the "
        f"new one is right on {found.better_rows}, only the old one on {found.worse_rows} "
        f"(McNemar p = {found.mcnemar_p:.3f})"
    )


def _whose_truth(rows: int, people_rows: int) -> str:
    return f"truth: {people_rows:,} rows from people, {rows - people_rows:,} from stars"


def _too_few(rows: int, config: GateSettings) -> str:
    return f"cannot tell: {rows:,} test rows, at least {config.min_rows:,} are needed to compare (gate.min_rows)"


def _slice_line(name: str, changes: Sequence[SliceChange], config: GateSettings, *, level: float) -> VerdictLine:
    line = f"slice_{name}"
    if not changes:
        return VerdictLine(name=line, passed=False, detail=f"slice {name} is missing: nobody computed it", numbers={})
    judged = [one for one in changes if one.rows >= config.slice_min_rows]
    judged_first = sorted(changes, key=lambda one: one.rows < config.slice_min_rows)
    table = tuple(_row(one, config, level=level) for one in judged_first)
    if not judged:
        detail = f"none of {len(changes)} values of {name} has {config.slice_min_rows} rows: nothing to judge"
        return VerdictLine(
            name=line, passed=True, detail=detail, numbers={"values": len(changes), "judged": 0}, table=table
        )
    worst = max(judged, key=lambda one: (refuses(one, config, level=level), one.drop))
    return VerdictLine(
        name=line,
        passed=not refuses(worst, config, level=level),
        detail=f"worst of {len(judged)} values of {name}: {worst.value}, accuracy {-worst.drop:+z.3f} on "
        f"{worst.rows:,} rows ({_judgement(worst, config, level=level)})",
        numbers={
            "values": len(changes),
            "judged": len(judged),
            "worst": worst.value,
            "drop": worst.drop,
            "chance": worst.chance,
            "tolerance": config.slice_tolerance,
        },
        table=table,
    )


def _judgement(change: SliceChange, config: GateSettings, *, level: float) -> str:
    if change.drop <= config.slice_tolerance:
        return f"at most {config.slice_tolerance:g} may be lost"
    beyond = "more than" if change.chance <= level else "within"
    p = f"p = {change.chance:.4f}" if change.chance >= 0.0001 else "p < 0.0001"
    return f"more than {config.slice_tolerance:g} lost, {beyond} chance: {p}, limit {level:.4f}"


def _row(change: SliceChange, config: GateSettings, *, level: float) -> dict[str, float | int | str]:
    if change.rows < config.slice_min_rows:
        outcome = "too few rows"
    else:
        outcome = "refuses" if refuses(change, config, level=level) else "holds"
    return {
        "value": change.value,
        "rows": change.rows,
        "champion": change.before,
        "challenger": change.now,
        "change": -change.drop,
        "chance": change.chance,
        "outcome": outcome,
    }
