"""Behaviour cases: small texts of our own that say how a model must behave, read from YAML and checked.

Three kinds, after CheckList (Ribeiro et al. 2020): minimum functionality (a text expresses a sentiment, or surely not
another one), invariance (variants of a text get the same answer) and directional (one text is more negative or more
positive than another). A file is one group; a group or a case that is `hard` is reported and never judged.

Pure but for reading the files: it asks no model (`evaluation.behaviour.case_results` does) and knows no threshold of
the gate. A file that cannot be understood is a `ConfigurationError` that names the file and the case.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from restar_lib.domain import SENTIMENTS
from restar_lib.errors import ConfigurationError
from restar_lib.settings import PROJECT_ROOT

FOLDER: Final = PROJECT_ROOT / "include" / "behaviour"
TOLERANCE: Final = 0.1
"""By how much the probability of the first answer may fall where a variant is answered otherwise (as CheckList)."""
LEAST_STEP: Final = 0.02
"""Smallest step of the score that counts as more negative or more positive."""
GROUPS: Final = (
    "brands", "case", "comparison", "contrast", "directional", "emoji", "intensity", "names", "negation", "plain",
    "typos",
)  # fmt: skip
"""The groups of which at least one case must be judged; sarcasm, the other one, is hard."""


class Kind(StrEnum):
    """What is asked of the answers."""

    MINIMUM = "minimum functionality"
    INVARIANCE = "invariance"
    DIRECTIONAL = "directional"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that must hold, whatever the model."""

    group: str
    name: str
    kind: Kind
    hard: bool
    text: str
    others: tuple[str, ...] = ()
    """Invariance: the variants. Directional: the one text that `text` is compared with."""
    wanted: tuple[str, ...] = ()
    """Minimum functionality: the sentiments that are right."""
    direction: int = 0
    """Directional: -1 where `text` is the more negative one, 1 where it is the more positive one."""
    step: float = 0.0
    """Directional: the least difference of the two scores. Invariance: the tolerance."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that a model is asked for."""
        return (self.text, *self.others)


def load_cases(folder: Path = FOLDER) -> tuple[Case, ...]:
    """Every case of the YAML files in `folder`, in the order of their files.

    Raises `ConfigurationError` where there is none, or one cannot be understood.
    """
    cases = tuple(case for path in sorted(folder.glob("*.yaml")) for case in _read(path))
    if not cases:
        raise ConfigurationError(f"{folder}: no behaviour case there; restore the folder's *.yaml")
    repeated = [key for key, count in Counter((case.group, case.name) for case in cases).items() if count > 1]
    if repeated:
        raise ConfigurationError(
            f"{folder}: two cases of group {repeated[0][0]} are named {repeated[0][1]!r}; rename one"
        )
    return cases


def refuse_missing_groups(cases: Sequence[Case]) -> None:
    """Raises `ConfigurationError` where a group has no judged case: it would count as passed without a test."""
    judged = {case.group for case in cases if not case.hard}
    missing = [group for group in GROUPS if group not in judged]
    if missing:
        raise ConfigurationError(
            f"no judged behaviour case in: {', '.join(missing)}; restore include/behaviour/{missing[0]}.yaml, or give "
            "it a case that is not hard (a floor of 0 in gate.behaviour_floors asks nothing of a group)"
        )


def cases_hash(cases: Sequence[Case]) -> str:
    """The first 16 hex digits of the SHA-256 of what the cases ask; comments and order of keys do not matter."""
    content = json.dumps([asdict(case) for case in cases], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


Text = Annotated[str, Field(min_length=1, max_length=2000)]
Wanted = Literal["negative", "neutral", "positive", "not negative", "not neutral", "not positive"]
_ASKED = ("expect", "same", "more_negative_than", "more_positive_than")


class _Written(BaseModel):
    """A case as it stands in a file: exactly one of the four questions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9 -]{2,79}$")
    text: Text
    hard: bool = False
    expect: Wanted | None = None
    same: tuple[Text, ...] | None = Field(default=None, min_length=1)
    more_negative_than: Text | None = None
    more_positive_than: Text | None = None
    tolerance: float = Field(default=TOLERANCE, ge=0, le=1)
    by: float = Field(default=LEAST_STEP, ge=0, le=2)

    @model_validator(mode="after")
    def _asks_one_thing(self) -> _Written:
        asked = [key for key in _ASKED if getattr(self, key) is not None]
        if len(asked) != 1:
            raise ValueError(f"expected exactly one of {', '.join(_ASKED)}; found {' and '.join(asked) or 'none'}")
        others = self.same or tuple(filter(None, (self.more_negative_than, self.more_positive_than)))
        if self.text in others or len(set(others)) != len(others):
            raise ValueError("the same text stands in it twice, so it asks nothing")
        return self

    def case(self, *, group: str, hard: bool) -> Case:
        """The case as the runner wants it."""
        base: dict[str, Any] = {"group": group, "name": self.name, "text": self.text, "hard": hard or self.hard}
        if self.expect is not None:
            return Case(kind=Kind.MINIMUM, wanted=_wanted(self.expect), **base)
        if self.same is not None:
            return Case(kind=Kind.INVARIANCE, others=self.same, step=self.tolerance, **base)
        other = self.more_negative_than or self.more_positive_than or ""
        direction = -1 if self.more_negative_than else 1
        return Case(kind=Kind.DIRECTIONAL, others=(other,), direction=direction, step=self.by, **base)


class _Head(BaseModel):
    """What stands above the cases of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str = Field(pattern=r"^[a-z][a-z_]{2,39}$")
    about: str = Field(min_length=1)
    hard: bool = False
    cases: tuple[dict[str, Any], ...] = Field(min_length=1)


def _read(path: Path) -> tuple[Case, ...]:
    import yaml

    try:
        head = _Head.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {_first(error)}") from None
    return tuple(
        _case(path, number, content, group=head.group, hard=head.hard) for number, content in enumerate(head.cases, 1)
    )


def _case(path: Path, number: int, content: dict[str, Any], *, group: str, hard: bool) -> Case:
    try:
        return _Written.model_validate(content).case(group=group, hard=hard)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: case {content.get('name', f'number {number}')!r}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    return f"{where}: {found['msg']}" if where else found["msg"]


def _wanted(expect: Wanted) -> tuple[str, ...]:
    name = expect.removeprefix("not ")
    return tuple(sentiment.value for sentiment in SENTIMENTS if (sentiment.value == name) == (expect == name))
