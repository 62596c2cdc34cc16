"""The lines of the behaviour cases: a floor for each group, and no large drop against the champion.

Pure functions of what was measured. Hard groups are reported and never refuse a model; nor does any group where the
configuration says that the cases do not decide for such a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from restar_lib.evaluation.behaviour.case_results import Behaviour, CaseResult, GroupResult
from restar_lib.evaluation.behaviour.cases import GROUPS
from restar_lib.gate.criteria.against_champion import PairedMeasurements
from restar_lib.gate.verdict import VerdictLine
from restar_lib.settings import GateSettings

Row = Mapping[str, float | int | str]


def behaviour_lines(
    found: Behaviour, paired: PairedMeasurements | None, config: GateSettings, *, simulated: bool
) -> Iterator[VerdictLine]:
    """`behaviour`: every group reaches its floor. `behaviour_drop`: none lost too much against the champion."""
    judged = decides(config, simulated=simulated)
    yield _floor_line(found, config, judged=judged)
    yield _drop_line(found, paired, config, judged=judged)


def decides(config: GateSettings, *, simulated: bool) -> bool:
    """Whether the cases may refuse this model."""
    return config.behaviour == "always" or (config.behaviour == "real" and not simulated)


def floor_of(group: str, config: GateSettings) -> float:
    """The share of a group's cases that must hold."""
    return config.behaviour_floors.get(group, config.behaviour_floor)


def _floor_line(found: Behaviour, config: GateSettings, *, judged: bool) -> VerdictLine:
    under = [group for group in found.judged if group.rate < floor_of(group.group, config)]
    held, cases = sum(one.passed for one in found.judged), sum(one.cases for one in found.judged)
    known = {one.group for one in found.judged} | {one.case.group for one in found.uncounted}
    missing = [group for group in GROUPS if group not in known]
    if missing:  # a group without judged cases must not count as one that held
        verdict = f"no judged case in: {', '.join(missing)}"
    else:
        verdict = _under(under, config) if under else f"all {len(found.judged)} groups reach their floors"
    return VerdictLine(
        name="behaviour",
        passed=not missing and not (judged and under),
        detail=f"{held} of {cases} behaviour cases hold; {verdict}{_uncounted(found)}{_unless(config, judged=judged)}",
        numbers={
            **{group.group: group.rate for group in found.judged},
            "held": held,
            "cases": cases,
            "cases_hash": found.cases_hash,
            "judged": int(judged),
        },
        table=(*(_group_row(group, config) for group in found.groups), *_case_rows(found)),
    )


def _drop_line(
    found: Behaviour, paired: PairedMeasurements | None, config: GateSettings, *, judged: bool
) -> VerdictLine:
    if paired is None:
        return VerdictLine(name="behaviour_drop", passed=True, detail="no champion to drop from", numbers={})
    before = {group.group: group for group in paired.behaviour.judged}
    drops = {one.group: before[one.group].rate - one.rate for one in found.judged if one.group in before}
    if not drops:
        return VerdictLine(name="behaviour_drop", passed=False, detail="no group to compare: cases missing", numbers={})
    group = max(drops, key=lambda name: drops[name])
    dropped = drops[group] > config.behaviour_tolerance
    now = next(one for one in found.judged if one.group == group)
    return VerdictLine(
        name="behaviour_drop",
        passed=not (judged and dropped),
        detail=f"worst change of a group: {group}, {_count(now)} after {_count(before[group])} "
        f"({'more than' if dropped else 'at most'} {100 * config.behaviour_tolerance:.0f} points may be lost)"
        f"{_unless(config, judged=judged)}",
        numbers={"worst": group, "drop": drops[group], "tolerance": config.behaviour_tolerance},
        table=tuple(
            {
                "group": one.group,
                "champion": before[one.group].rate,
                "challenger": one.rate,
                "change": -drops[one.group],
            }
            for one in found.judged
            if one.group in drops
        ),
    )


def _under(groups: list[GroupResult], config: GateSettings) -> str:
    named = (f"{one.group} {_count(one)} (floor {100 * floor_of(one.group, config):.0f} %)" for one in groups)
    return f"under the floor: {', '.join(named)}"


def _uncounted(found: Behaviour) -> str:
    if not found.uncounted:
        return ""
    wanted = " or ".join(sorted({one.wanted for one in found.uncounted}))
    return f"; {len(found.uncounted)} more expect {wanted}, which is absent here, and are not counted"


def _unless(config: GateSettings, *, judged: bool) -> str:
    if judged:
        return ""
    why = "reported only: it learned from simulated reviews" if config.behaviour == "real" else "reported only"
    return f" ({why})"


def _count(group: GroupResult) -> str:
    return f"{group.passed} of {group.cases}"


def _group_row(group: GroupResult, config: GateSettings) -> Row:
    floor: float | str = "hard: reported" if group.hard else floor_of(group.group, config)
    return {"group": group.group, "cases": group.cases, "held": group.passed, "share": group.rate, "floor": floor}


def _case_rows(found: Behaviour) -> Iterator[Row]:
    """The cases that do not hold, and those that are not counted whether they hold or not."""
    yield from (_case_row(one) for one in found.failures)
    yield from ({**_case_row(one), "outcome": "not counted"} for one in found.uncounted)


def _case_row(result: CaseResult) -> Row:
    case = result.case
    return {
        "group": case.group,
        "case": case.name,
        "kind": case.kind.value,
        "text": case.text,
        "wanted": result.wanted,
        "answered": result.answered,
    }
