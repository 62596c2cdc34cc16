"""The behaviour cases in the report: which kinds of language the model copes with.

Cases and answers come from `evaluation.behaviour.case_results`; here they are counted by group, with an interval, and
some failures are shown.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from restar_lib.evaluation.behaviour.case_results import Behaviour, CaseResult, GroupResult, run_cases
from restar_lib.evaluation.intervals import wilson
from restar_lib.evaluation.report_contents import BehaviourGroup
from restar_lib.inference.engine import InferenceEngine

SHOWN: Final = 5
"""Failures of a group that are shown."""


def behaviour(model: InferenceEngine, *, absent: Collection[str]) -> tuple[BehaviourGroup, ...]:
    """Each group of cases, in the order of their files; those that expect an `absent` class are counted apart.

    Raises `ConfigurationError` where they cannot be read.
    """
    found = run_cases(model, absent=absent)
    return tuple(_group(one, found) for one in found.groups)


def _group(group: GroupResult, found: Behaviour) -> BehaviourGroup:
    failures = [one for one in found.failures if (one.case.group, one.case.hard) == (group.group, group.hard)]
    return BehaviourGroup(
        name=group.group.replace("_", " "),
        hard=group.hard,
        cases=group.cases,
        passed=group.passed,
        rate=wilson(group.passed, group.cases),
        failures=tuple(_line(one) for one in failures[:SHOWN]),
        uncounted=sum((one.case.group, one.case.hard) == (group.group, group.hard) for one in found.uncounted),
    )


def _line(result: CaseResult) -> str:
    return f"\u201c{result.case.text}\u201d: wanted {result.wanted}, answered {result.answered}"
