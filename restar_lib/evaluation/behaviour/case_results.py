"""How a model answers the behaviour cases: which hold, and what share of each group does.

`run_cases` asks a loaded model once for every text and judges each case by itself; what share is enough is decided by
`gate.criteria.behaviour_criteria`. The score of a text is P(positive) - P(negative), from -1 to 1. Whether the model
abstains does not matter: the most probable sentiment counts. Needs ONNX Runtime through the engine, nothing else.
Called by the gate and by reports.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from restar_lib.domain import SENTIMENTS
from restar_lib.evaluation.behaviour.cases import Case, Kind, cases_hash, load_cases
from restar_lib.inference.engine import InferenceEngine

Floats = NDArray[np.float64]
Answers = Mapping[str, Floats]
"""Probabilities [3] by text."""
SCORES: Final = np.array([-1.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One case and how it went."""

    case: Case
    passed: bool
    answered: str
    """What the model said, for people."""
    wanted: str
    """The expected answer."""
    counted: bool = True
    """False where it expects a class that is absent: then it is reported, and in no group."""


@dataclass(frozen=True, kw_only=True)
class GroupResult:
    """The cases of one group that are equally hard."""

    group: str
    hard: bool
    """Reported, but not judged."""
    cases: int
    passed: int

    @property
    def rate(self) -> float:
        """Share of the cases that hold."""
        return self.passed / self.cases


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Every case, and the groups, in the order of the files."""

    cases_hash: str
    results: tuple[CaseResult, ...]
    groups: tuple[GroupResult, ...]

    @property
    def judged(self) -> tuple[GroupResult, ...]:
        """The groups that may refuse a model."""
        return tuple(group for group in self.groups if not group.hard)

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """The cases that do not hold."""
        return tuple(result for result in self.results if result.counted and not result.passed)

    @property
    def uncounted(self) -> tuple[CaseResult, ...]:
        """The cases that expect an absent class."""
        return tuple(result for result in self.results if not result.counted)


def run_cases(
    engine: InferenceEngine, cases: Sequence[Case] | None = None, *, absent: Collection[str] = ()
) -> Behaviour:
    """Ask a model for every text of the cases (the packaged ones by default) and judge each case.

    A case that only an `absent` class would answer (`evaluation.absent_classes`) is not counted. Raises
    `ConfigurationError` where the packaged cases cannot be read.
    """
    asked = load_cases() if cases is None else tuple(cases)
    texts = list(dict.fromkeys(text for case in asked for text in case.texts))
    probabilities = engine.predict(texts).probabilities
    answers = dict(zip(texts, probabilities, strict=True))
    results = tuple(replace(judged(case, answers), counted=not _expects(case, absent)) for case in asked)
    return Behaviour(cases_hash=cases_hash(asked), results=results, groups=_groups(results))


def judged(case: Case, answers: Answers) -> CaseResult:
    """Whether one case holds, given the probabilities of its texts."""
    match case.kind:
        case Kind.MINIMUM:
            return _minimum(case, answers)
        case Kind.INVARIANCE:
            return _invariance(case, answers)
        case Kind.DIRECTIONAL:
            return _directional(case, answers)


def _minimum(case: Case, answers: Answers) -> CaseResult:
    said = _sentiment(answers[case.text])
    return CaseResult(
        case=case, passed=said in case.wanted, answered=_said(answers[case.text]), wanted=" or ".join(case.wanted)
    )


def _invariance(case: Case, answers: Answers) -> CaseResult:
    # As CheckList's `inv`: another answer counts where the first one's probability fell by more than the tolerance.
    first = answers[case.text]
    fell = {other: float(first.max() - answers[other][first.argmax()]) for other in case.others}
    changed = [other for other in case.others if answers[other].argmax() != first.argmax() and fell[other] > case.step]
    worst = max(changed or case.others, key=lambda other: fell[other])
    return CaseResult(
        case=case,
        passed=not changed,
        answered=f"{_said(first)}, then {_said(answers[worst])} for: {worst}",
        wanted="the same answer",
    )


def _directional(case: Case, answers: Answers) -> CaseResult:
    (other,) = case.others
    here, there = (float(answers[text] @ SCORES) for text in (case.text, other))
    return CaseResult(
        case=case,
        passed=case.direction * (here - there) >= case.step,
        answered=f"score {here:+.2f}, against {there:+.2f} for: {other}",
        wanted=f"a score {'higher' if case.direction > 0 else 'lower'} by {case.step:g}",
    )


def _expects(case: Case, absent: Collection[str]) -> bool:
    """Whether nothing but an absent class would be right."""
    return bool(case.wanted) and set(case.wanted) <= set(absent)


def _groups(results: Sequence[CaseResult]) -> tuple[GroupResult, ...]:
    counted = [result for result in results if result.counted]
    keys = dict.fromkeys((result.case.group, result.case.hard) for result in counted)
    return tuple(_group(group, hard, counted) for group, hard in keys)


def _group(group: str, hard: bool, results: Sequence[CaseResult]) -> GroupResult:
    of_group = [result for result in results if (result.case.group, result.case.hard) == (group, hard)]
    passed = sum(result.passed for result in of_group)
    return GroupResult(group=group, hard=hard, cases=len(of_group), passed=passed)


def _sentiment(probabilities: Floats) -> str:
    return SENTIMENTS[int(probabilities.argmax())].value


def _said(probabilities: Floats) -> str:
    return f"{_sentiment(probabilities)} {probabilities.max():.2f}"
