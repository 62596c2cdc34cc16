"""The verdict as data and as text: every line with its numbers, so that a person can check it.

Pure: it measures nothing and stores nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Self

from restar_lib.gate.remedies import remedy_of

Number = float | int | str | None

FLOORS: Final = frozenset(
    {"accuracy", "macro_f1", "recall_negative", "recall_neutral", "recall_positive", "calibration_error", "behaviour"}
)
"""The lines that a first model may miss and still serve as provisional."""
MOMENTARY: Final = frozenset({"artifact", "clean_process", "latency"})
"""The lines that depend on the state of this machine at this moment. None of them is a floor."""


@dataclass(frozen=True, kw_only=True)
class VerdictLine:
    """One thing that must hold."""

    name: str
    passed: bool
    detail: str
    numbers: Mapping[str, Number]
    table: tuple[Mapping[str, Number], ...] = ()
    """The details behind the line, for its page: every value of a slice, every group and failed behaviour case."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"numbers": dict(self.numbers), "table": [dict(row) for row in self.table]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; verdicts from before there were tables have none."""
        return cls(**{**content, "table": tuple(content.get("table", ()))})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The gate's answer about one challenger."""

    verdict_id: int
    challenger: str
    champion: str | None
    snapshot_hash: str
    run_key: str | None
    passed: bool
    provisional: bool
    """Under the floors, better than always predicting the commonest class, and the configuration allows it to serve."""
    lines: tuple[VerdictLine, ...]
    created_at: datetime

    @property
    def may_serve(self) -> bool:
        """Whether it may be released, as provisional or not."""
        return self.passed or self.provisional

    @property
    def refusing(self) -> tuple[VerdictLine, ...]:
        """The lines that did not hold; a provisional model has some too."""
        return tuple(line for line in self.lines if not line.passed)

    @property
    def refusal_is_momentary(self) -> bool:
        """Whether only the machine or the disk refused it: then judging again measures again."""
        return bool(self.refusing) and {line.name for line in self.refusing} <= MOMENTARY

    @property
    def word(self) -> str:
        """`passed`, `provisional` or `refused`."""
        if self.passed:
            return "passed"
        return "provisional" if self.provisional else "refused"

    @property
    def headline(self) -> str:
        """One sentence: the answer, what it rests on, and what refused it."""
        missed = "; ".join(line.detail for line in self.refusing)
        match self.word:
            case "passed":
                return f"passed all {len(self.lines)} lines; {self._figures}"
            case "provisional":
                return f"provisional, under the floors but better than the commonest class ({missed}); {self._figures}"
            case _:
                return f"refused: {missed}"

    def number(self, line: str, name: str) -> Number:
        """A number of a line; None where the line was not reached."""
        return next((found.numbers.get(name) for found in self.lines if found.name == line), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        lines = [line.to_dict() for line in self.lines]
        return asdict(self) | {"lines": lines, "created_at": self.created_at.isoformat(), "headline": self.headline}

    @property
    def _figures(self) -> str:
        wanted = [line for line in self.lines if line.name in {"accuracy", "macro_f1", "comparison"}]
        return ", ".join(line.detail for line in wanted)


def render(verdict: Verdict, *, withdrawal: str | None = None) -> str:
    """The verdict for a log, a mail or a terminal; `withdrawal` says who said no to the challenger before."""
    against = verdict.champion or "no champion"
    lines = [f"verdict {verdict.verdict_id}: {verdict.challenger} against {against}: {verdict.word.upper()}"]
    width = max((len(line.name) for line in verdict.lines), default=0)
    lines += [f"  {_mark(line.passed)} {line.name:<{width}}  {line.detail}" for line in verdict.lines]
    return "\n".join([*lines, f"  {_consequence(verdict)}", *([f"  {_asks_person(withdrawal)}"] if withdrawal else [])])


def render_markdown(verdict: Verdict, *, withdrawal: str | None = None) -> str:
    """The verdict as Airflow's approval form shows it: who said no before, the lines that say no in bold and first."""
    against = verdict.champion or "no champion"
    lines = sorted(verdict.lines, key=lambda line: line.passed)
    listed = [f"- {'ok' if line.passed else '**NO**'} {_escaped(line.detail)}" for line in lines]
    head = f"Verdict {verdict.verdict_id}, {verdict.challenger} against {against}: **{verdict.word}**"
    before = [f"**Withdrawn before**: {_escaped(withdrawal)}", ""] if withdrawal else []
    return "\n".join([*before, head, "", *listed, "", _escaped(_consequence(verdict))])


def may_be_provisional(lines: Sequence[VerdictLine], *, beats_majority: bool) -> bool:
    """Whether only floors refused, and the model is better than always predicting the commonest class."""
    refusing = {line.name for line in lines if not line.passed}
    return bool(refusing) and refusing <= FLOORS and beats_majority


def _escaped(text: str) -> str:
    # Names of categories come from reviews: they must not turn into links or markup.
    return re.sub(r"([\\`*_\[\]<>|#!])", r"\\\1", text)


def _asks_person(withdrawal: str) -> str:
    return f"withdrawn before: {withdrawal}. No policy releases it again, only a person may"


def _mark(passed: bool) -> str:
    return "ok" if passed else "NO"


def _consequence(verdict: Verdict) -> str:
    match verdict.word:
        case "passed":
            return "it may be released"
        case "provisional":
            return "it may be released as provisional, and every answer will say so"
        case _:
            stays = f"{verdict.champion} keeps serving" if verdict.champion else "nothing is released"
            first = verdict.refusing[0].name
            refused = ", ".join(line.name for line in verdict.refusing)
            return f"{stays}; refused by {refused}. What to do about {first}: {remedy_of(first)}"
