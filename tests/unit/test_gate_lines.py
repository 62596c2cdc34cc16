"""The lines of the gate: what each refuses, and that none lets a gap pass."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from restar_lib.dataset.training_overlap import Leak, Leakage, TrainingSet
from restar_lib.domain import Side
from restar_lib.evaluation.behaviour.case_results import Behaviour, GroupResult
from restar_lib.evaluation.behaviour.cases import GROUPS
from restar_lib.evaluation.metrics import Metrics, evaluate
from restar_lib.evaluation.paired_tests import PairedComparison
from restar_lib.gate.criteria.against_champion import PairedMeasurements
from restar_lib.gate.criteria.challenger import Latency, Measurements, all_lines, artifact_refusal
from restar_lib.gate.isolated_probe import IsolatedProbe
from restar_lib.gate.remedies import remedy_of
from restar_lib.gate.slice_changes import SLICES, SliceChange
from restar_lib.gate.verdict import Verdict, VerdictLine, may_be_provisional, render, render_markdown
from restar_lib.settings import GateSettings

CONFIG = GateSettings()
SAME = tuple(
    SliceChange(slice=name, value=f"{name} {value}", rows=200, before=0.9, now=0.9, lost=8, gained=8)
    for name in SLICES
    for value in (1, 2)
)


def metrics(*, right: float = 0.92, rows: int = 2000, confidence: float = 0.92) -> Metrics:
    """A model that is right at the same rate in every class, on the natural mix."""
    truth = np.repeat([0, 1, 2], [rows * 15 // 100, rows // 10, rows * 75 // 100])
    position = np.concatenate([np.arange(count) / count for count in np.bincount(truth, minlength=3)])
    predicted = np.where(position < right, truth, (truth + 1) % 3)
    probabilities = np.full((len(truth), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(truth)), predicted] = confidence
    return evaluate(truth, probabilities, abstain_below=0.65)


def comparison(*, lower: float = -0.01, swap_p: float = 0.001) -> PairedComparison:
    """A comparison with the given lower end."""
    return PairedComparison(
        difference=lower + 0.02,
        lower=lower,
        upper=lower + 0.04,
        detectable=0.03,
        swap_p=swap_p,
        better_rows=40,
        worse_rows=30,
        mcnemar_p=0.28,
    )


def behaviour(**held: int) -> Behaviour:
    """So many cases of twenty hold in each group; sarcasm is hard."""
    groups = dict.fromkeys(GROUPS, 20) | {"negation": 15, "sarcasm": 0} | held
    found = [GroupResult(group=name, hard=name == "sarcasm", cases=20, passed=count) for name, count in groups.items()]
    return Behaviour(cases_hash="0" * 16, results=(), groups=tuple(found))


PAIRED = PairedMeasurements(
    champion="rs-0000000000", metrics=metrics(), comparison=comparison(), slices=SAME, behaviour=behaviour()
)
GOOD = Measurements(
    metrics=metrics(),
    people_rows=50,
    paired=PAIRED,
    behaviour=behaviour(),
    simulated=False,
    leakage=Leakage(test_rows=2000, learned_rows=4000, leaks=(), unread=()),
    judged_before=0,
    isolated_probe=IsolatedProbe(problem=None, seconds=1.0, megabytes=200),
    artifact_mb=180.0,
    latency=Latency(requests=200, mean_ms=12.0, p99_ms=30.0),
)

LEAKING = replace(
    GOOD,
    leakage=replace(
        GOOD.leakage,
        leaks=(
            Leak(whose="champion", side=Side.TRAIN, test_id="r9"),
            Leak(whose="champion", side=Side.TRAIN, test_id="r9"),
            Leak(whose="challenger", side=Side.VALIDATION, test_id="r9"),
        ),
    ),
)


def refusing(measured: Measurements, config: GateSettings = CONFIG) -> list[str]:
    """The names of the lines that do not hold."""
    return [line.name for line in all_lines(measured, config) if not line.passed]


def test_what_is_unfair_about_the_rows_is_said_and_refuses_nothing() -> None:
    """In the line of the comparison, with a champion and without one."""
    for measured in (GOOD, replace(GOOD, paired=None)):
        unfair = replace(measured, unfair=("rs-0000000000 learned from texts with their titles in front",))
        (line,) = (one for one in all_lines(unfair, CONFIG) if one.name == "comparison")
        assert line.detail.endswith("stars; rs-0000000000 learned from texts with their titles in front")
        assert refusing(unfair) == refusing(measured)


def test_a_good_challenger_passes_every_line() -> None:
    """With and without a champion."""
    assert refusing(GOOD) == []
    assert refusing(replace(GOOD, paired=None)) == []


def test_each_floor_refuses_by_itself() -> None:
    """The line has the name of the floor."""
    assert refusing(GOOD, CONFIG.model_copy(update={"min_accuracy": 0.95})) == ["accuracy"]
    assert refusing(GOOD, CONFIG.model_copy(update={"min_macro_f1": 0.95})) == ["macro_f1"]
    overconfident = replace(GOOD, metrics=metrics(confidence=0.999, right=0.86))
    assert refusing(overconfident, CONFIG.model_copy(update={"max_calibration_error": 0.1})) == ["calibration_error"]


def test_a_class_that_is_never_found_refuses() -> None:
    """High accuracy and macro-F1 do not excuse it."""
    good = metrics()
    blind = tuple(replace(one, recall=0.1) if one.sentiment == "neutral" else one for one in good.per_class)
    assert refusing(replace(GOOD, metrics=replace(good, per_class=blind))) == ["recall_neutral"]


def test_a_class_without_a_row_is_unknown_and_no_pass() -> None:
    """Only where nothing is asked of it does it not matter."""
    good = metrics()
    absent = tuple(replace(one, rows=0, recall=0.0) if one.sentiment == "neutral" else one for one in good.per_class)
    measured = replace(GOOD, metrics=replace(good, per_class=absent))
    assert refusing(measured) == ["recall_neutral"]
    assert refusing(measured, CONFIG.model_copy(update={"min_recall": 0.0})) == []


@pytest.mark.parametrize(
    ("policy", "lower", "passes"),
    [
        ("not_worse", -0.0299, True),
        ("not_worse", -0.03, False),
        ("not_worse", -0.05, False),
        ("better", 0.001, True),
        ("better", 0.0, False),
        ("better", -0.001, False),
    ],
)
def test_the_lower_end_of_the_interval_decides(policy: str, lower: float, passes: bool) -> None:
    """`not_worse` allows the margin, `better` asks for more than the gain; the limit itself is not enough."""
    measured = replace(GOOD, paired=replace(PAIRED, comparison=comparison(lower=lower)))
    config = CONFIG.model_copy(update={"policy": policy})
    assert refusing(measured, config) == ([] if passes else ["comparison"])


def test_too_few_rows_cannot_tell_and_refuse() -> None:
    """However good the difference looks."""
    measured = replace(GOOD, metrics=metrics(rows=900), paired=replace(PAIRED, comparison=comparison(lower=0.2)))
    (line,) = [line for line in all_lines(measured, CONFIG) if not line.passed]
    assert line.name == "comparison"
    assert "cannot tell: 900 test rows" in line.detail
    assert "smallest detectable difference 0.030" in line.detail


def test_the_verdict_says_whose_truth_it_rests_on() -> None:
    """Figures against stars and against people are not the same; with a champion and without."""
    for paired in (PAIRED, None):
        (line,) = [one for one in all_lines(replace(GOOD, paired=paired), CONFIG) if one.name == "comparison"]
        stars = GOOD.metrics.rows - GOOD.people_rows
        assert line.detail.endswith(f"truth: {GOOD.people_rows:,} rows from people, {stars:,} from stars")


def test_every_line_that_may_refuse_has_a_remedy() -> None:
    """Whoever reads a refusal is told what to do next."""
    for line in (*all_lines(GOOD, CONFIG), *artifact_refusal("gone")):
        assert remedy_of(line.name) != remedy_of("unknown"), line.name


def test_the_verdict_says_the_smallest_difference_it_could_have_seen() -> None:
    """And the counts behind McNemar."""
    (line,) = [line for line in all_lines(GOOD, CONFIG) if line.name == "comparison"]
    assert "smallest detectable difference 0.030" in line.detail
    assert line.numbers["detectable"] == 0.03
    assert "McNemar p = 0.280" in line.detail


def with_slices(slices: tuple[SliceChange, ...]) -> Measurements:
    """The good challenger, with other slices."""
    return replace(GOOD, paired=replace(PAIRED, slices=slices))


def changed(one: SliceChange, *, lost: int, gained: int) -> SliceChange:
    """The slice after losing and gaining so many rows."""
    return replace(one, lost=lost, gained=gained, now=one.before - (lost - gained) / one.rows)


def test_one_bad_slice_refuses_and_is_named() -> None:
    """The value that lost most stands in the line."""
    worse = tuple(changed(one, lost=30, gained=8) if one.value == "rating 2" else one for one in SAME)
    (line,) = [line for line in all_lines(with_slices(worse), CONFIG) if not line.passed]
    assert line.name == "slice_rating"
    assert "rating 2, accuracy -0.110 on 200 rows" in line.detail
    assert {row["value"]: row["outcome"] for row in line.table} == {"rating 1": "holds", "rating 2": "refuses"}


def test_a_drop_within_the_tolerance_or_within_chance_does_not_refuse() -> None:
    """Much lost on few rows is what equal models show somewhere among many slices; a little on many is allowed."""
    certain_but_small = tuple(replace(changed(one, lost=60, gained=0), rows=1000) for one in SAME)
    large_but_chance = tuple(replace(changed(one, lost=9, gained=3), rows=50) for one in SAME)
    assert refusing(with_slices(certain_but_small)) == []
    assert refusing(with_slices(large_but_chance)) == []
    assert refusing(with_slices((*large_but_chance[:-1], replace(large_but_chance[-1], lost=30)))) == ["slice_year"]


def test_a_small_slice_is_reported_but_not_judged() -> None:
    """Five rows say nothing."""
    measured = with_slices(tuple(replace(one, rows=5, lost=5, gained=0) for one in SAME))
    assert refusing(measured) == []
    assert "nothing to judge" in {line.name: line.detail for line in all_lines(measured, CONFIG)}["slice_length"]


@pytest.mark.parametrize("name", SLICES)
def test_a_missing_slice_is_an_error_and_no_pass(name: str) -> None:
    """A slice that nobody computed must not look like one that held."""
    assert refusing(with_slices(tuple(one for one in SAME if one.slice != name))) == [f"slice_{name}"]


def test_better_by_chance_alone_is_not_better() -> None:
    """Policy `better` also asks how often two equal models gain as much; `not_worse` does not."""
    lucky = replace(GOOD, paired=replace(PAIRED, comparison=comparison(lower=0.001, swap_p=0.04)))
    assert refusing(lucky, CONFIG.model_copy(update={"policy": "better"})) == ["comparison"]
    assert refusing(lucky) == []


def test_a_group_of_cases_under_its_floor_refuses_and_a_hard_one_does_not() -> None:
    """Half of the negations must hold by default; nobody has to see sarcasm."""
    worse = replace(GOOD, paired=None, behaviour=behaviour(negation=9))
    (line,) = [line for line in all_lines(worse, CONFIG) if not line.passed]
    assert (line.name, line.numbers["negation"]) == ("behaviour", 0.45)
    assert "negation 9 of 20 (floor 50 %)" in line.detail
    assert refusing(worse, CONFIG.model_copy(update={"behaviour_floors": {"negation": 0.4}})) == []


@pytest.mark.parametrize("name", GROUPS)
def test_a_missing_group_of_cases_is_an_error_and_no_pass(name: str) -> None:
    """Without its file or with hard cases alone, also where cases do not decide; and so is no judged case at all."""
    without = tuple(one for one in behaviour().groups if one.group != name)
    for measured in (GOOD, replace(GOOD, simulated=True)):
        for groups in (without, (*without, GroupResult(group=name, hard=True, cases=20, passed=20)), ()):
            fewer = replace(measured, paired=None, behaviour=replace(GOOD.behaviour, groups=groups))
            (line,) = [line for line in all_lines(fewer, CONFIG) if not line.passed]
            assert (line.name, name in line.detail) == ("behaviour", True)


def test_a_group_that_lost_too_much_against_the_champion_refuses() -> None:
    """Over its floor and still much worse than what serves."""
    measured = replace(GOOD, behaviour=behaviour(negation=11), paired=replace(PAIRED, behaviour=behaviour(negation=17)))
    assert refusing(measured) == ["behaviour_drop"]
    assert refusing(replace(measured, behaviour=behaviour(negation=12))) == []


def test_cases_decide_only_for_models_that_the_configuration_names() -> None:
    """Models of made-up reviews are told how they behave and are not refused for it, unless cases always decide."""
    simulated = replace(GOOD, simulated=True, behaviour=behaviour(plain=0, negation=0))
    assert refusing(simulated) == []
    assert "reported only" in {line.name: line.detail for line in all_lines(simulated, CONFIG)}["behaviour"]
    always, never = (CONFIG.model_copy(update={"behaviour": word}) for word in ("always", "never"))
    assert refusing(simulated, always) == ["behaviour", "behaviour_drop"]
    assert refusing(replace(simulated, simulated=False), never) == []


def test_a_gate_text_that_a_model_has_seen_refuses_first() -> None:
    """The figures on such rows are worthless, so this line stands before them."""
    lines = all_lines(LEAKING, CONFIG)
    assert [line.name for line in lines if not line.passed] == ["leakage"]
    assert "1 of 2,000 test rows" in lines[0].detail
    assert "2 in champion train, 1 in challenger validation" in lines[0].detail


def test_a_verdict_on_leaks_names_no_review() -> None:
    """It outlives the people who ask to be forgotten: numbers stay, ids would be a trace of theirs."""
    (line,) = [line for line in all_lines(LEAKING, CONFIG) if line.name == "leakage"]
    assert "r9" not in json.dumps(line.to_dict())
    assert line.table == (
        {"model": "champion", "side": "train", "rows": 2},
        {"model": "challenger", "side": "validation", "rows": 1},
    )


@pytest.mark.parametrize(("whose", "refused"), [("challenger", ["leakage"]), ("champion", [])])
def test_an_unknown_training_set_of_the_challenger_refuses(whose: str, refused: list[str]) -> None:
    """What cannot be checked is no pass; a champion that has seen the rows only makes it harder to follow."""
    unread = (TrainingSet(whose=whose, folder=Path("gone")),)
    assert refusing(replace(GOOD, leakage=replace(GOOD.leakage, unread=unread))) == refused


def test_a_folder_that_is_too_large_is_refused() -> None:
    """Every replica must hold it."""
    assert refusing(replace(GOOD, artifact_mb=601)) == ["size"]


def test_a_model_that_only_answers_where_it_was_trained_is_refused() -> None:
    """With the reason that the clean process gave."""
    lines = all_lines(replace(GOOD, isolated_probe=IsolatedProbe(problem="model.onnx is missing")), CONFIG)
    (line,) = [line for line in lines if not line.passed]
    assert (line.name, "model.onnx is missing" in line.detail) == ("clean_process", True)


def test_used_up_rows_ask_for_fresh_ones() -> None:
    """Twenty judgements are allowed, the twenty-first is refused."""
    assert refusing(replace(GOOD, judged_before=19)) == []
    assert refusing(replace(GOOD, judged_before=20)) == ["fresh_rows"]


def test_a_slow_model_is_refused() -> None:
    """The slowest of a hundred requests counts, not the mean."""
    assert refusing(replace(GOOD, latency=Latency(requests=200, mean_ms=20, p99_ms=301))) == ["latency"]


def line(name: str, *, passed: bool) -> VerdictLine:
    """A line with a name and an outcome."""
    return VerdictLine(name=name, passed=passed, detail=f"{name} detail", numbers={"value": 1.0})


def test_only_floors_may_be_missed_by_a_provisional_model() -> None:
    """And it has to say more than the commonest class does."""
    under = [line("accuracy", passed=False), line("recall_neutral", passed=False), line("artifact", passed=True)]
    assert may_be_provisional(under, beats_majority=True)
    assert not may_be_provisional(under, beats_majority=False)
    assert not may_be_provisional([*under, line("latency", passed=False)], beats_majority=True)
    assert not may_be_provisional([line("accuracy", passed=True)], beats_majority=True)


def test_names_from_reviews_are_no_markup_in_the_approval_form() -> None:
    """A category called like a link stays text."""
    hostile = VerdictLine(name="slice_category", passed=True, detail="[x](javascript:1) <b>", numbers={})
    verdict = Verdict(
        verdict_id=1,
        challenger="rs-1111111111",
        champion=None,
        snapshot_hash="abc",
        run_key=None,
        passed=True,
        provisional=False,
        lines=(hostile,),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert r"- ok \[x\](javascript:1) \<b\>" in render_markdown(verdict)


def test_a_verdict_reads_as_text_and_survives_json() -> None:
    """Every line with its mark and its numbers; the refusing ones are named at the end, with what to do."""
    verdict = Verdict(
        verdict_id=3,
        challenger="rs-1111111111",
        champion="rs-0000000000",
        snapshot_hash="abc",
        run_key=None,
        passed=False,
        provisional=False,
        lines=(line("accuracy", passed=True), line("latency", passed=False)),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert render(verdict).splitlines() == [
        "verdict 3: rs-1111111111 against rs-0000000000: REFUSED",
        "  ok accuracy  accuracy detail",
        "  NO latency   latency detail",
        f"  rs-0000000000 keeps serving; refused by latency. What to do about latency: {remedy_of('latency')}",
    ]
    assert verdict.headline == "refused: latency detail"
    assert render_markdown(verdict).splitlines()[2:4] == ["- **NO** latency detail", "- ok accuracy detail"]
    assert [VerdictLine.from_dict(one) for one in json.loads(json.dumps(verdict.to_dict()))["lines"]] == list(
        verdict.lines
    )
    assert verdict.number("accuracy", "value") == 1.0
