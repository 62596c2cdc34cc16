"""Behaviour cases: what the packaged ones cover, what holds, and that a file with a mistake is named."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restar_lib.errors import ConfigurationError
from restar_lib.evaluation.behaviour.case_results import judged, run_cases
from restar_lib.evaluation.behaviour.cases import GROUPS as JUDGED
from restar_lib.evaluation.behaviour.cases import Case, cases_hash, load_cases, refuse_missing_groups
from restar_lib.inference.engine import InferenceEngine
from restar_lib.settings import GateSettings
from tests.tiny_model import make_tiny_model

GROUPS = {
    "plain", "negation", "intensity", "contrast", "comparison", "sarcasm", "names", "brands", "typos", "case", "emoji",
    "directional",
}  # fmt: skip
NEGATIVE, NEUTRAL, POSITIVE = ([0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8])


def write(folder: Path, *cases: str, group: str = "negation", head: str = "") -> Path:
    """A folder with one file of cases."""
    folder.mkdir(exist_ok=True)
    listed = "\n".join(f"  - {case}" for case in cases)
    (folder / f"{group}.yaml").write_text(f"group: {group}\nabout: why\n{head}cases:\n{listed}\n", encoding="utf-8")
    return folder


def answered(case: Case, *probabilities: list[float]) -> bool:
    """Whether the case holds where its texts get these answers."""
    return judged(case, {text: np.array(row) for text, row in zip(case.texts, probabilities, strict=True)}).passed


def only(folder: Path) -> Case:
    """The only case of a folder."""
    (case,) = load_cases(folder)
    return case


def test_the_packaged_cases_cover_every_group_and_kind() -> None:
    """At least 150, sarcasm hard, every floor of the defaults about a group that there is."""
    cases = load_cases()
    assert len(cases) >= 150
    assert {case.group for case in cases} == GROUPS
    assert min(Counter(case.kind for case in cases).values()) >= 30
    assert all(case.hard for case in cases if case.group == "sarcasm")
    assert set(GateSettings().behaviour_floors) < GROUPS


def test_what_a_text_expresses_must_be_answered(tmp_path: Path) -> None:
    """Exactly, or just not one of the three."""
    exact = only(write(tmp_path / "a", "{name: one, text: A thing, expect: negative}"))
    but = only(write(tmp_path / "b", "{name: one, text: A thing, expect: not positive}"))
    assert [answered(exact, row) for row in (NEGATIVE, NEUTRAL, POSITIVE)] == [True, False, False]
    assert [answered(but, row) for row in (NEGATIVE, NEUTRAL, POSITIVE)] == [True, True, False]


def test_a_variant_must_get_the_same_answer_within_the_tolerance(tmp_path: Path) -> None:
    """Another answer counts where the first one lost more than the tolerance; being less sure of the same does not."""
    case = only(write(tmp_path, "{name: one, text: Anna likes it, same: [Omar likes it, Mei likes it]}"))
    unsure, other = [0.15, 0.35, 0.5], [0.1, 0.46, 0.44]
    assert answered(case, POSITIVE, POSITIVE, unsure)
    assert answered(case, unsure, unsure, other)
    assert not answered(case, POSITIVE, POSITIVE, other)


def test_one_text_must_be_more_negative_by_the_step(tmp_path: Path) -> None:
    """The score is P(positive) - P(negative)."""
    case = only(write(tmp_path, "{name: one, text: Terrible, more_negative_than: Poor, by: 0.2}"))
    assert answered(case, [0.5, 0.3, 0.2], [0.3, 0.5, 0.2])
    assert not answered(case, [0.5, 0.3, 0.2], [0.4, 0.4, 0.2])
    assert not answered(case, POSITIVE, NEGATIVE)


def test_a_model_is_asked_and_its_groups_are_counted(tmp_path: Path) -> None:
    """Hard cases are counted apart from the others of their group."""
    write(
        tmp_path,
        "{name: praise, text: an excellent lamp, expect: positive}",
        "{name: blame, text: a broken lamp, expect: negative}",
        "{name: denied, text: not an excellent lamp, expect: negative}",
        "{name: irony, text: an excellent paperweight, expect: negative, hard: true}",
    )
    found = run_cases(InferenceEngine.load(make_tiny_model(tmp_path / "model")), load_cases(tmp_path))
    assert [(one.group, one.hard, one.passed, one.cases) for one in found.groups] == [
        ("negation", False, 2, 3),
        ("negation", True, 0, 1),
    ]
    assert [one.case.name for one in found.failures] == ["denied", "irony"]
    assert found.failures[0].answered.startswith("positive 0.")


def test_other_cases_are_other_rules_and_a_comment_is_not(tmp_path: Path) -> None:
    """The hash that stands in a verdict's question."""
    case = "{name: one, text: A thing, expect: negative}"
    first = cases_hash(load_cases(write(tmp_path / "a", case)))
    assert cases_hash(load_cases(write(tmp_path / "b", case, head="# new\n"))) == first
    assert cases_hash(load_cases(write(tmp_path / "c", case.replace("negative", "neutral")))) != first


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("{name: one, text: A thing, expect: bad}", r"negation\.yaml.*'one'.*expect"),
        ("{name: one, text: A thing}", r"'one'.*exactly one of expect, same"),
        ("{name: one, text: A, expect: neutral, same: [B]}", r"'one'.*found expect and same"),
        ("{name: one, text: A, same: [A]}", r"'one'.*asks nothing"),
        ("{name: one, text: A, expects: neutral}", r"'one'.*expects"),
        ("{text: A, expect: neutral}", r"'number 1'.*name"),
        ("[a, b]", r"negation\.yaml.*cases\.0"),
        ("{name: one", r"negation\.yaml: cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_case(tmp_path: Path, case: str, words: str) -> None:
    """So that whoever edits the file finds it."""
    with pytest.raises(ConfigurationError, match=f"(?s){words}"):
        load_cases(write(tmp_path, case))


def test_two_cases_of_one_name_and_a_folder_without_any_are_refused(tmp_path: Path) -> None:
    """A verdict names cases, and no case at all is no pass."""
    with pytest.raises(ConfigurationError, match="no behaviour case"):
        load_cases(tmp_path)
    case = "{name: one, text: A thing, expect: negative}"
    with pytest.raises(ConfigurationError, match="'one'"):
        load_cases(write(tmp_path, case, case))


def test_a_group_without_a_judged_case_is_refused_by_name() -> None:
    """A file that is gone, a group that somebody marked hard, and no judged case at all."""
    cases = load_cases()
    refuse_missing_groups(cases)
    assert set(JUDGED) == GROUPS - {"sarcasm"}
    for fewer in (
        [case for case in cases if case.group != "negation"],
        [replace(case, hard=case.hard or case.group == "negation") for case in cases],
        [replace(case, hard=True) for case in cases],
    ):
        with pytest.raises(ConfigurationError, match=r"no judged behaviour case in: .*negation"):
            refuse_missing_groups(fewer)
