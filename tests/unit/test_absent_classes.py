"""Two classes alone: a class that neither the truth nor the training has is left out of every figure, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import Sentiment, Side, TruthSource
from restar_lib.evaluation.behaviour.case_results import Behaviour, run_cases
from restar_lib.evaluation.behaviour.cases import Case, Kind, load_cases
from restar_lib.evaluation.metrics import Metrics, evaluate
from restar_lib.evaluation.report.evaluate import evaluate_version
from restar_lib.evaluation.report.page import draw
from restar_lib.evaluation.report.report_text import summary
from restar_lib.evaluation.report_contents import MAJORITY, EvaluationReport
from restar_lib.gate import page
from restar_lib.gate.criteria.behaviour_criteria import behaviour_lines
from restar_lib.gate.criteria.challenger import floor_lines
from restar_lib.gate.verdict import Verdict, VerdictLine
from restar_lib.inference.engine import InferenceEngine, ModelInfo
from restar_lib.publishing.cards import model_card
from restar_lib.settings import GateSettings, Settings
from restar_lib.settings import load as load_settings
from restar_lib.tracking.mlflow_content import evaluation_metrics
from restar_lib.tracking.mlflow_plots import pictures
from tests.tiny_model import make_tiny_model, sealed_tiny_model
from tests.unit.test_evaluation_report import NOW, example

TWO = ("negative", "positive")
WORDS = "two classes: no review of the truth is neutral; macro-F1 is the mean of negative and positive"
CONFIG = GateSettings()


def measured(truth: list[int], said: list[int], *, rated: tuple[str, ...] = TWO) -> Metrics:
    """Figures of a model that is sure of every answer."""
    probabilities = np.full((len(said), 3), 0.01)
    probabilities[np.arange(len(said)), said] = 0.98
    return evaluate(np.array(truth), probabilities, abstain_below=0.65, rated=rated)


LIKES = measured([0] * 40 + [2] * 60, [0] * 36 + [2] * 64)


def test_an_absent_class_has_no_figures_and_the_others_have_theirs() -> None:
    """Not a recall of 0, and no share in macro-F1, the baseline's neither."""
    negative, neutral, positive = LIKES.per_class
    assert LIKES.absent == ("neutral",)
    assert (neutral.rows, neutral.precision, neutral.recall, neutral.f1) == (0, None, None, None)
    assert negative.f1 is not None
    assert positive.f1 is not None
    assert LIKES.macro_f1 == pytest.approx((negative.f1 + positive.f1) / 2)
    assert (LIKES.majority_accuracy, LIKES.majority_macro_f1) == (0.6, pytest.approx(0.375))


@pytest.mark.parametrize(
    ("truth", "rated", "absent"),
    [
        ([0, 2], TWO, ("neutral",)),
        ([0, 1, 2], TWO, ()),
        ([0, 2], ("negative", "neutral", "positive"), ()),
        ([2, 2], TWO, ("neutral",)),
    ],
)
def test_the_truth_and_the_training_decide_together(
    truth: list[int], rated: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    """One neutral review in the truth, or one of three stars in the training, and three classes count."""
    assert measured(truth, truth, rated=rated).absent == absent


def lines(found: Metrics) -> dict[str, VerdictLine]:
    """The floors, by name."""
    return {line.name: line for line in floor_lines(found, CONFIG)}


def test_the_gate_asks_nothing_of_an_absent_class_and_says_so() -> None:
    """Beside macro-F1 and in the line of its recall; no number is made up."""
    found = lines(LIKES)
    assert found["macro_f1"].detail.endswith(f"; {WORDS}")
    assert found["recall_neutral"].passed
    assert "not asked: no test row is neutral, and no stars of the training are" in found["recall_neutral"].detail
    assert found["recall_neutral"].numbers.get("value") is None
    assert [name for name, line in found.items() if not line.passed] == []


def test_once_the_truth_has_a_neutral_review_its_recall_is_asked() -> None:
    """People say neutral, the model of two classes cannot: the floor refuses it, as one of three."""
    found = lines(measured([0] * 40 + [1] + [2] * 60, [0] * 40 + [2] * 61))
    assert found["recall_neutral"].detail == "recall of neutral 0.000 on 1 rows (under 0.3)"
    assert not found["recall_neutral"].passed
    assert "two classes" not in found["macro_f1"].detail


def test_where_stars_are_neutral_nobody_is_excused() -> None:
    """Where the stars of the training are and no test row is, the recall is unknown, which is no pass."""
    found = lines(measured([0, 2], [0, 2], rated=("negative", "neutral", "positive")))["recall_neutral"]
    assert (found.passed, found.detail) == (False, "recall of neutral unknown on 0 rows (under 0.3)")


def case(name: str, text: str, *wanted: str) -> Case:
    """A case of minimum functionality."""
    return Case(group="plain", name=name, kind=Kind.MINIMUM, hard=False, text=text, wanted=wanted)


CASES = (
    case("praise", "an excellent lamp", "positive"),
    case("so so", "an okay lamp", "neutral"),
    case("not bad", "an excellent okay lamp", "neutral", "positive"),
)


@pytest.fixture(scope="module")
def likes(tmp_path_factory: pytest.TempPathFactory) -> InferenceEngine:
    """A model that never says neutral."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    return InferenceEngine.load(make_tiny_model(folder, bias=(0, -100, 0), learned=TWO, simulated=False))


def test_a_case_that_expects_an_absent_class_is_reported_and_not_counted(likes: InferenceEngine) -> None:
    """One that another answer fits as well counts on."""
    found = run_cases(likes, CASES, absent=("neutral",))
    assert [(one.cases, one.passed) for one in found.groups] == [(2, 2)]
    assert [one.case.name for one in found.uncounted] == ["so so"]
    assert found.failures == ()
    assert [(one.cases, one.passed) for one in run_cases(likes, CASES).groups] == [(3, 2)]


def behaviour(likes: InferenceEngine) -> Behaviour:
    """The packaged cases, as such a model is asked."""
    return run_cases(likes, load_cases(), absent=("neutral",))


def test_the_verdict_counts_the_cases_without_those(likes: InferenceEngine) -> None:
    """Its line says how many they are, its page lists them apart, and no group is missing for them."""
    found = behaviour(likes)
    line, _ = behaviour_lines(found, None, CONFIG, simulated=False)
    assert f"; {len(found.uncounted)} more expect neutral, which is absent here, and are not counted" in line.detail
    assert "no judged case in" not in line.detail
    assert line.numbers["cases"] == sum(not one.hard for one in load_cases()) - len(found.uncounted)
    verdict = Verdict(
        verdict_id=1, challenger="rs-1111111111", champion=None, snapshot_hash="a", run_key=None, passed=False,
        provisional=False, lines=(line,), created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    html = page.render(verdict, notice=None)
    assert f"{len(found.uncounted)} cases that expect an absent class, and are not counted" in html
    assert f"{len(found.failures)} cases that do not hold" in html


@pytest.fixture(scope="module")
def two(smoke: Settings) -> Snapshot:
    """Reviews of one star and of five alone, as a frozen snapshot."""
    sides = {
        side: [
            replace(row, truth=Sentiment.NEGATIVE if row.rating == 1 else Sentiment.POSITIVE)
            for row in (replace(example(number, side), truth_source=TruthSource.STARS) for number in range(150))
            if row.rating != 3
        ]
        for side in Side
    }
    return load(write_folder(smoke.snapshots_dir, sides, now=NOW))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The `smoke` profile with few resamples."""
    home = str(tmp_path_factory.mktemp("evaluation"))
    environment = {"RESTAR_PROFILE": "smoke", "RESTAR_HOME": home, "RESTAR_EVALUATION__RESAMPLES": "100"}
    return load_settings(environment=environment).settings


@pytest.fixture(scope="module")
def report(smoke: Settings, two: Snapshot) -> EvaluationReport:
    """Of a model that never says neutral, on them."""
    folder = sealed_tiny_model(
        smoke.models_dir, snapshot_hash=two.snapshot_hash, bias=(0, -100, 0), learned=TWO, simulated=False
    )
    return evaluate_version(smoke, folder=folder, snapshot=two, now=NOW)


def test_the_report_says_it_in_words_and_shows_two_classes(report: EvaluationReport) -> None:
    """On the page and in the terminal; the third class has neither a row nor a column there."""
    sentence = f"{WORDS[0].upper()}{WORDS[1:]}."
    html = draw(report)
    assert report.absent == ("neutral",)
    assert sentence in html
    assert any(sentence in line for line in summary(report))
    assert "said negative" in html
    assert "said neutral" not in html
    assert '<th scope="row">neutral</th>' not in html
    assert "behaviour cases hold, the hard ones and 4 that expect neutral apart" in html


def test_every_figure_of_the_report_is_that_of_two_classes(report: EvaluationReport) -> None:
    """Also of the baseline; MLflow gets no recall of the third class, and its pictures can be drawn."""
    majority = report.truth.system(MAJORITY)
    positive = majority.accuracy.value
    assert majority.macro_f1.value == pytest.approx(positive / (1 + positive))
    names = {one.key for one in evaluation_metrics(report)}
    assert "evaluation/recall_negative" in names
    assert not any("neutral" in name for name in names)
    assert next(name for name, _ in pictures(report)) == "plots/confusion.png"


def test_a_report_of_three_classes_is_as_before(smoke: Settings, two: Snapshot) -> None:
    """The same rows and a model that knows neutral: its recall is unknown, which the page says."""
    folder = sealed_tiny_model(smoke.models_dir, snapshot_hash=two.snapshot_hash)
    html = draw(evaluate_version(smoke, folder=folder, snapshot=two, now=NOW))
    assert "Two classes" not in html
    assert '<th scope="row">neutral</th><td class="n">0</td>' in html
    assert "unknown" in html


def test_the_card_says_what_it_has_learned(tmp_path: Path) -> None:
    """And a class without a row has no recall there."""
    info = ModelInfo.read(make_tiny_model(tmp_path / "model", learned=TWO))
    card = model_card("rs-1", info, {"train_rows": 100, "validation": LIKES.to_dict()}, None)
    assert "**It has learned negative and positive alone**" in card
    assert f"{WORDS[0].upper()}{WORDS[1:]}." in card
    assert "| recall, neutral | - | - |" in card
    three = ModelInfo.read(make_tiny_model(tmp_path / "three"))
    assert "alone**" not in model_card("rs-2", three, {}, None)
