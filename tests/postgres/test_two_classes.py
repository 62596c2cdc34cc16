"""A house whose reviews have one star or five: the gate, the comparison of two versions, and the doctor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from restar_lib.artifacts import release_log
from restar_lib.dataset.snapshot import Snapshot, freeze
from restar_lib.domain import ReleaseKind, Side
from restar_lib.gate.judge import judge
from restar_lib.gate.page import verdict_page
from restar_lib.gate.verdict import Verdict, render
from restar_lib.operation.checks import stored_state
from restar_lib.operation.checks.check import CheckContext
from restar_lib.operation.doctor import run_checks
from restar_lib.releases.release import reconcile
from restar_lib.settings import Settings
from restar_lib.store.tables import IngestRun, ReviewRow
from restar_lib.tracking.compare import side_by_side
from restar_lib.tracking.comparison_page import draw, lines
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = {1: "terrible", 3: "okay", 5: "excellent"}
NEVER = -100.0
TWO = ("negative", "positive")
SAID = "two classes: no review of the truth is neutral; macro-F1 is the mean of negative and positive"


def store(engine: Engine, ratings: list[int]) -> None:
    """So many reviews with these stars in turn, most of them on the test side."""
    with engine.begin() as connection:
        connection.execute(insert(IngestRun).values(ingest_run_id=1, source="test", run_key="test"))
        connection.execute(insert(ReviewRow), [_review(number, ratings) for number in range(200)])


def _review(number: int, ratings: list[int]) -> dict[str, object]:
    rating = ratings[number % len(ratings)]
    text = f"This {WORDS[rating]} thing number {number} came with a box and a cord of some length"
    return {
        "review_id": f"r{number:04}", "source": "test", "text": text, "rating": rating, "product_category": "Home",
        "reviewed_at": NOW - timedelta(days=number), "words": len(text.split()), "text_hash": f"hash {number}",
        "side": (Side.TEST, Side.TEST, Side.VALIDATION, Side.TRAIN)[number // 2 % 4], "ingest_run_id": 1,
    }  # fmt: skip


@pytest.fixture
def likes(engine: Engine, smoke: Settings) -> Snapshot:
    """Reviews of one star and of five."""
    store(engine, [5, 1, 5])
    return freeze(engine, smoke, now=NOW)


def model(settings: Settings, snapshot: Snapshot, *, leaning: float = 0.0) -> Path:
    """A sealed model of two classes; `leaning` towards positive."""
    options = {"snapshot_hash": snapshot.snapshot_hash, "learned": TWO, "simulated": False}
    return sealed_tiny_model(settings.models_dir, bias=(0.0, NEVER, leaning), **options)


def asked(engine: Engine, settings: Settings, snapshot: Snapshot, folder: Path, champion: Path | None) -> Verdict:
    """The gate's answer with the usual floor of each recall, which the profile of tests does without."""
    floors = settings.gate.model_copy(update={"min_recall": 0.3})
    settings = settings.model_copy(update={"gate": floors})
    return judge(engine, settings, challenger_folder=folder, champion_folder=champion, snapshot=snapshot)


def test_a_good_model_of_two_classes_passes(engine: Engine, smoke: Settings, likes: Snapshot) -> None:
    """Its verdict says so where its figures stand, in the log and on the page; alone and against a champion."""
    champion = model(smoke, likes, leaning=9.0)
    for before in (None, champion):
        verdict = asked(engine, smoke, likes, model(smoke, likes), before)
        assert verdict.passed, verdict.headline
        assert verdict.number("macro_f1", "value") == 1.0
        assert verdict.number("recall_neutral", "value") is None
        assert SAID in render(verdict)
        html = verdict_page(smoke, verdict).html.read_text()
        assert SAID in html
        assert "4 cases that expect an absent class, and are not counted" in html


def test_the_floors_stay_for_the_two(engine: Engine, smoke: Settings, likes: Snapshot) -> None:
    """A model that calls everything positive misses the recall of negative."""
    refused = {line.name for line in asked(engine, smoke, likes, model(smoke, likes, leaning=99.0), None).refusing}
    assert "recall_negative" in refused
    assert "recall_neutral" not in refused


def test_neutral_reviews_in_the_truth_bring_the_third_class_back(engine: Engine, smoke: Settings) -> None:
    """The same model on test rows of which some are neutral: its recall of them is asked, and refuses it."""
    store(engine, [5, 1, 3])
    snapshot = freeze(engine, smoke, now=NOW)
    verdict = asked(engine, smoke, snapshot, model(smoke, snapshot), None)
    assert verdict.number("recall_neutral", "value") == 0.0
    assert "recall_neutral" in {line.name for line in verdict.refusing}
    assert "two classes" not in render(verdict)


def test_two_versions_of_two_classes_are_compared_by_two(engine: Engine, smoke: Settings, likes: Snapshot) -> None:
    """No figure of the third class on the page, and the sentence that says why."""
    found = side_by_side(smoke, model(smoke, likes, leaning=99.0).name, model(smoke, likes).name, engine=engine)
    html = draw(found)
    assert found.absent == ("neutral",)
    assert "recall negative" in html
    assert "recall neutral" not in html
    assert f"{SAID[0].upper()}{SAID[1:]}." in html
    assert not any("recall neutral" in line for line in lines(found))


def test_the_doctor_says_what_the_champion_has_learned(engine: Engine, smoke: Settings, likes: Snapshot) -> None:
    """Whoever wonders why neutral is never said finds it there."""
    version = model(smoke, likes).name
    change = release_log.ChampionChange(
        model_version=version, kind=ReleaseKind.RELEASE, provisional=False, released_by="test", reason="a test",
        released_at=NOW,
    )  # fmt: skip
    release_log.append(engine, change, expected_previous=None)
    reconcile(engine, smoke)
    context = CheckContext(settings=smoke, embedded=False, engine=engine)
    said = {check.detail for check in run_checks(context, [stored_state.champion])}
    assert f"{version} is as sealed and answers its probe; it has learned negative and positive alone" in said
