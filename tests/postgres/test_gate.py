"""The gate on the real database: one verdict per question, and what it may and may not let through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, insert, select

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.release_log import ChampionChange, append
from restar_lib.cli.trainings import verdicts
from restar_lib.dataset.snapshot import Snapshot, freeze
from restar_lib.domain import ReleaseKind, Side
from restar_lib.errors import ArtifactError, ConfigurationError
from restar_lib.evaluation.behaviour.cases import load_cases
from restar_lib.gate.judge import judge
from restar_lib.gate.verdict import Verdict, render
from restar_lib.gate.verdict_log import is_provisional, latest_verdict, times_used, verdict_of
from restar_lib.settings import Settings
from restar_lib.store.tables import IngestRun, ReviewRow, VerdictReview, VerdictRow
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = {1: "terrible", 3: "okay", 5: "excellent"}
BETTER, WORSE, HOPELESS = (0.0, 0.0, 0.0), (0.0, 0.0, 3.0), (0.0, 0.0, 99.0)
"""Biases: right on every clear text; unsure ones become positive; everything is positive."""


@dataclass(frozen=True)
class House:
    """What the gate works with."""

    engine: Engine
    settings: Settings
    snapshot: Snapshot

    def model(self, bias: tuple[float, float, float], *, temperature: float = 1.0, **options: object) -> Path:
        """A sealed model."""
        learned = {"snapshot_hash": self.snapshot.snapshot_hash} | options
        return sealed_tiny_model(self.settings.models_dir, bias=bias, temperature=temperature, **learned)

    def judge(self, challenger: Path, champion: Path | None = None, **gate_keys: object) -> Verdict:
        """Ask the gate, with some of its keys changed."""
        settings = self.settings.model_copy(update={"gate": self.settings.gate.model_copy(update=gate_keys)})
        return judge(
            self.engine, settings, challenger_folder=challenger, champion_folder=champion, snapshot=self.snapshot
        )

    def count(self, table: type[VerdictRow | VerdictReview]) -> int:
        """Rows of a table."""
        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.fixture
def house(engine: Engine, smoke: Settings) -> House:
    """120 test rows (and a few for training), whose stars a tiny model can find."""
    with engine.begin() as connection:
        run = connection.execute(
            insert(IngestRun).values(source="test", run_key="test").returning(IngestRun.ingest_run_id)
        ).scalar_one()
        connection.execute(insert(ReviewRow), list(_reviews(run)))
    return House(engine, smoke, freeze(engine, smoke, now=NOW))


def _reviews(run: int) -> Iterator[dict[str, object]]:
    sides = [Side.TEST] * 120 + [Side.VALIDATION] * 30 + [Side.TRAIN] * 60
    for number, side in enumerate(sides):
        rating = (5, 5, 5, 1, 3)[number % 5]
        text = f"This {WORDS[rating]} thing number {number} came with a box and a cord of some length"
        yield {
            "review_id": f"r{number:04}",
            "source": "test",
            "text": text,
            "rating": rating,
            "product_category": ("Kitchen", "Garden")[number % 2],
            "reviewed_at": NOW - timedelta(days=number),
            "words": len(text.split()),
            "text_hash": f"hash {number}",
            "side": side,
            "ingest_run_id": run,
        }


def names(verdict: Verdict) -> set[str]:
    """The lines that refused."""
    return {line.name for line in verdict.refusing}


def test_a_good_first_model_passes_on_the_floors_alone(house: House) -> None:
    """Without a champion there is nothing to compare with, and the verdict says so."""
    verdict = house.judge(house.model(BETTER))
    assert (verdict.passed, verdict.provisional, verdict.champion) == (True, False, None)
    assert verdict.number("accuracy", "value") == 1.0
    assert verdict.number("accuracy", "majority") == pytest.approx(0.6)
    assert "no champion" in render(verdict)


def test_the_same_question_is_answered_once(house: House) -> None:
    """Asked again, also by others at the same time, the stored verdict comes back and no row is doubled."""
    challenger, champion = house.model(BETTER), house.model(WORSE)
    with ThreadPoolExecutor(3) as pool:
        verdicts = list(pool.map(lambda _: house.judge(challenger, champion), range(3)))
    assert {verdict.verdict_id for verdict in verdicts} == {verdicts[0].verdict_id}
    assert house.judge(challenger, champion).lines == verdicts[0].lines
    assert (house.count(VerdictRow), house.count(VerdictReview)) == (1, 120)


def test_other_rules_are_another_question(house: House) -> None:
    """An operator who lowers a floor gets a new answer about the same challenger; the old verdict stays."""
    challenger = house.model(BETTER)
    strict = house.judge(challenger, max_calibration_error=0.0001)
    lenient = house.judge(challenger, max_calibration_error=0.9)
    assert (strict.passed, lenient.passed) == (False, True)
    assert house.count(VerdictRow) == 2


def test_without_a_champion_the_question_is_also_asked_once(house: House) -> None:
    """A missing champion equals a missing champion."""
    challenger = house.model(BETTER)
    assert house.judge(challenger).verdict_id == house.judge(challenger).verdict_id
    assert house.count(VerdictRow) == 1


def test_a_worse_challenger_is_refused_with_its_numbers(house: House) -> None:
    """A refusal is a stored answer with every line."""
    verdict = house.judge(house.model(HOPELESS), house.model(BETTER), slice_min_rows=20)
    assert (verdict.passed, verdict.provisional) == (False, False)
    assert {"macro_f1", "comparison", "slice_rating"} <= names(verdict)
    assert verdict.number("comparison", "better_rows") == 0
    assert verdict.number("comparison", "worse_rows") == 48
    stored = latest_verdict(house.engine, challenger=verdict.challenger)
    assert stored == verdict
    beside = sealed_folder.sibling(house.settings.models_dir, verdict.challenger, "verdict.json")
    assert json.loads(beside.read_text())["headline"] == verdict.headline


def test_too_few_rows_refuse_even_a_better_challenger(house: House) -> None:
    """Not being able to tell is no pass."""
    verdict = house.judge(house.model(BETTER), house.model(HOPELESS), min_rows=121)
    assert names(verdict) == {"comparison"}
    assert "cannot tell: 120 test rows" in verdict.headline


def test_a_first_model_under_the_floors_may_be_provisional(house: House) -> None:
    """Only where the configuration lets it, and never as passed."""
    first, second = house.model(BETTER), house.model(BETTER, temperature=1.1)
    allowed = house.judge(first, max_calibration_error=0.001, allow_provisional=True)
    assert (allowed.passed, allowed.provisional, names(allowed)) == (False, True, {"calibration_error"})
    assert "PROVISIONAL" in render(allowed)
    forbidden = house.judge(second, max_calibration_error=0.001, allow_provisional=False)
    assert not forbidden.may_serve


def test_a_model_no_better_than_the_commonest_class_is_never_provisional(house: House) -> None:
    """It would say "positive" to everything."""
    assert not house.judge(house.model(HOPELESS), allow_provisional=True, min_accuracy=0.9).may_serve


def test_a_later_model_under_the_floors_is_refused(house: House) -> None:
    """A champion that reached the floors is not given up for one that does not."""
    verdict = house.judge(house.model(BETTER), house.model(WORSE), max_calibration_error=0.001, allow_provisional=True)
    assert (verdict.may_serve, names(verdict)) == (False, {"calibration_error"})


@pytest.mark.parametrize(("challenger", "follows"), [(BETTER, True), (HOPELESS, False)])
def test_only_one_that_is_not_worse_follows_a_provisional_champion(
    house: House, challenger: tuple[float, float, float], *, follows: bool
) -> None:
    """Under the floors itself, it is marked as provisional too; a worse one is refused."""
    champion = house.model(WORSE)
    first = ChampionChange(
        model_version=champion.name, kind=ReleaseKind.RELEASE, provisional=True, released_by="test", reason="first",
        released_at=NOW,
    )  # fmt: skip
    append(house.engine, first, expected_previous=None)
    verdict = house.judge(house.model(challenger), champion, max_calibration_error=0.001, allow_provisional=True)
    assert (verdict.passed, verdict.provisional) == (False, follows)


@pytest.mark.parametrize("name", ["model.onnx", "probe.json", "manifest.json"])
def test_a_damaged_challenger_is_refused_with_the_file(house: House, name: str) -> None:
    """One line, naming what is wrong; it may not serve provisionally either."""
    challenger = house.model(BETTER)
    (challenger / name).unlink()
    verdict = house.judge(challenger, allow_provisional=True)
    assert (names(verdict), verdict.may_serve) == ({"artifact"}, False)
    assert f"{name} is missing" in verdict.headline


def test_a_refusal_of_the_disk_is_no_last_word(house: House) -> None:
    """The folder is restored, and the same question is measured again; a model that nobody asked used no row up."""
    challenger = house.model(BETTER)
    whole = (challenger / "model.onnx").read_bytes()
    (challenger / "model.onnx").unlink()
    refused = house.judge(challenger)
    assert house.count(VerdictReview) == 0
    (challenger / "model.onnx").write_bytes(whole)
    passed = house.judge(challenger)
    assert (refused.word, passed.word) == ("refused", "passed")
    assert passed.verdict_id == refused.verdict_id
    assert (house.count(VerdictRow), house.count(VerdictReview)) == (1, 120)


def test_a_refusal_of_the_clock_is_measured_again(house: House) -> None:
    """A busy machine says nothing about a model; whatever a floor refused too stays as it was said."""
    challenger = house.model(BETTER)
    slow = house.judge(challenger, max_latency_ms=1e-6)
    assert names(slow) == {"latency"}
    assert slow.refusal_is_momentary
    again = house.judge(challenger, max_latency_ms=1e-6)
    assert (again.verdict_id, again.created_at > slow.created_at) == (slow.verdict_id, True)
    assert again.number("fresh_rows", "times") == slow.number("fresh_rows", "times")
    both = house.judge(challenger, max_latency_ms=1e-6, max_calibration_error=0.0001)
    assert not both.refusal_is_momentary
    assert house.judge(challenger, max_latency_ms=1e-6, max_calibration_error=0.0001) == both


def test_a_damaged_champion_is_an_error_and_no_verdict(house: House) -> None:
    """Somebody has to repair what serves; nothing is judged against it."""
    champion = house.model(WORSE)
    (champion / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=rf"{champion.name}.*model\.onnx is missing"):
        house.judge(house.model(BETTER), champion)
    assert house.count(VerdictRow) == 0


def test_rows_that_judged_too_often_ask_for_fresh_ones(house: House) -> None:
    """Each verdict on at least half of these rows counts, and the configured number of them is the end."""
    for number in range(3):
        verdict = house.judge(house.model(BETTER, temperature=1 + number / 10), max_judgements=2)
        assert verdict.passed is (number < 2)
    assert names(verdict) == {"fresh_rows"}
    rows = [row.review_id for row in house.snapshot.examples(Side.TEST)]
    assert times_used(house.engine, rows) == 3
    assert times_used(house.engine, [*rows[:60], *(f"new {n}" for n in range(60))]) == 3
    assert times_used(house.engine, [*rows[:59], *(f"new {n}" for n in range(61))]) == 0


def test_a_verdict_is_found_by_the_run_that_asked_last(house: House) -> None:
    """What a summary shows for a run, also for one that goes on where another was killed."""
    challenger = house.model(BETTER)

    def asked_by(run_key: str) -> Verdict:
        return judge(
            house.engine,
            house.settings,
            challenger_folder=challenger,
            champion_folder=None,
            snapshot=house.snapshot,
            run_key=run_key,
        )

    verdict = asked_by("manual__1")
    assert verdict_of(house.engine, run_key="manual__1") == verdict
    assert verdict_of(house.engine, run_key="manual__2") is None
    asked_by("manual__2")
    found = verdict_of(house.engine, run_key="manual__2")
    assert found is not None
    assert found.verdict_id == verdict.verdict_id


def test_a_version_that_no_verdict_passed_counts_as_provisional(house: House) -> None:
    """A person may release it, and it is marked."""
    good, bad = house.model(BETTER), house.model(HOPELESS)
    assert is_provisional(house.engine, version=good.name)
    house.judge(good)
    house.judge(bad)
    assert not is_provisional(house.engine, version=good.name)
    assert is_provisional(house.engine, version=bad.name)


def test_a_verdict_is_a_page_among_the_reports(house: House) -> None:
    """What refused it first stands on top, and the first failed cases stand in it."""
    verdict = house.judge(house.model(HOPELESS), house.model(BETTER), behaviour="always")
    page = house.settings.reports_dir / "verdicts" / f"{verdict.challenger}-verdict-{verdict.verdict_id}.html"
    assert f"<h1>Refused by: {verdict.refusing[0].name.capitalize()}" in page.read_text().replace(
        "Macro-F1", "Macro_f1"
    )
    assert "behaviour" in names(verdict)
    assert "cases that do not hold" in page.read_text()


def test_other_behaviour_cases_are_another_question(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules that a verdict rests on include what the cases ask."""
    challenger = house.model(BETTER)
    first = house.judge(challenger)
    fewer = load_cases()[:-1]
    monkeypatch.setattr("restar_lib.gate.judge.load_cases", lambda: fewer)
    assert house.judge(challenger).verdict_id != first.verdict_id


def test_a_group_without_cases_is_an_error_and_no_verdict(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file must not make the gate easier; not even where cases decide nothing, as in these tests."""
    fewer = [case for case in load_cases() if case.group != "emoji"]
    monkeypatch.setattr("restar_lib.gate.judge.load_cases", lambda: fewer)
    with pytest.raises(ConfigurationError, match="emoji"):
        house.judge(house.model(BETTER))


def test_a_model_that_learned_elsewhere_is_refused(house: House) -> None:
    """Nobody can tell whether its training set holds the test rows."""
    assert names(house.judge(house.model(BETTER, snapshot_hash="f" * 16))) == {"leakage"}


def test_a_floor_for_a_group_without_cases_is_a_wrong_configuration(house: House) -> None:
    """A misspelt group must not be judged by another floor in silence."""
    with pytest.raises(ConfigurationError, match="negatoin"):
        house.judge(house.model(BETTER), behaviour_floors={"negatoin": 0.9})


def test_verdicts_are_listed_in_the_terminal(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Newest first, with what refused; one version line by line."""
    good, bad = house.judge(house.model(BETTER)), house.judge(house.model(HOPELESS))
    monkeypatch.setattr("restar_lib.store.database.engine", lambda: house.engine)
    monkeypatch.setattr("restar_lib.cli.trainings.settings", lambda: house.settings)
    verdicts(version=None, limit=20)
    newest, older = capsys.readouterr().out.splitlines()
    assert bad.challenger in newest
    assert "macro_f1" in newest
    assert good.challenger in older
    verdicts(version=good.challenger, limit=20)
    assert "ok accuracy" in capsys.readouterr().out
    unjudged = house.model(BETTER, temperature=1.5).name
    verdicts(version=unjudged, limit=20)
    assert capsys.readouterr().out == f"no verdict on {unjudged} yet\n"
    with pytest.raises(ArtifactError, match="there is no sealed model 'rs-zzz'"):
        verdicts(version="rs-zzz", limit=20)
