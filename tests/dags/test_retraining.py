"""The retraining runs for real, tiny: a frozen encoder, some dozens of reviews, the gate, the approval, the release.

One story on one database: refused, left unanswered, approved, nothing new, forced; then what people decided stands:
rolled back from, rejected, and released again by a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from psycopg import sql
from sqlalchemy import Engine

from restar_lib.artifacts.release_log import Release, history
from restar_lib.gate.verdict import Verdict
from restar_lib.gate.verdict_log import verdict_of
from restar_lib.store.database import engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres
from tests import shared_server
from tests.dags.conftest import AirflowHouse

TINY = {
    "RESTAR_ORCHESTRATION__RETRIES": "0",
    "RESTAR_DATASET__MAX_ROWS": "60",
    "RESTAR_DATASET__MAX_VALIDATION_ROWS": "30",
    "RESTAR_DATASET__MAX_TEST_ROWS": "40",
    "RESTAR_TRAINING__MIN_TRAIN_ROWS": "20",
    "RESTAR_TRAINING__MAX_TOKENS": "32",
    "RESTAR_EVALUATION__RESAMPLES": "100",
    "RESTAR_GATE__MIN_ROWS": "20",
    "RESTAR_GATE__MIN_ACCURACY": "0.0",
    "RESTAR_GATE__MIN_MACRO_F1": "0.0",
    "RESTAR_GATE__MAX_CALIBRATION_ERROR": "1.0",
    "RESTAR_GATE__MAX_LATENCY_MS": "10000",
    "RESTAR_GATE__ALLOW_PROVISIONAL": "false",
    # A second: the scheduler's sweep finds that the time is up.
    "RESTAR_RELEASE__APPROVAL_TIMEOUT_HOURS": "0.0003",
}


SCHEDULED = {"by_hand": False}


@dataclass(frozen=True)
class Told:
    """One run, its verdict, and the release log after it."""

    run: dict[str, Any]
    verdict: Verdict | None
    log: tuple[Release, ...]

    def states(self, *tasks: str) -> list[str]:
        """How these tasks ended."""
        return [self.run["tasks"][task]["state"] for task in tasks]


@pytest.fixture(scope="module")
def engine(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """One database for the whole story."""
    with postgres.connect("postgres") as connection:
        names = sql.Identifier("restar_story"), sql.Identifier(shared_server.OURS)
        connection.execute(sql.SQL("create database {} template {}").format(*names))
    made = engine_for(postgres.url("restar_story"))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def story(house: AirflowHouse, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """The five runs."""
    place = {
        "RESTAR_DATABASE__URL": engine.url.render_as_string(hide_password=False),
        "RESTAR_HOME": str(tmp_path_factory.mktemp("story")),
    }

    def retrain(conf: dict[str, Any], *, how: Mapping[str, Any] = MappingProxyType({}), **other: str) -> Told:
        environment = place | TINY | other
        run = house.ask("run", dag_id="retrain_sentiment", conf=conf, environment=environment, **how)
        return Told(run=run, verdict=verdict_of(engine, run_key=run["run_id"]), log=history(engine))

    def ingest() -> None:
        house.ask("run", dag_id="ingest_reviews", conf={"max_rows": 250}, environment=place | TINY)

    def roll_back() -> None:
        conf = {"reason": "it calls complaints praise"}
        house.ask("run", dag_id="roll_back", conf=conf, environment=place | TINY)

    ingest()
    told = {"refused": retrain({"approval": "auto"}, RESTAR_GATE__MIN_ACCURACY="1.0")}
    told["refused, by the schedule"] = retrain({}, how=SCHEDULED, RESTAR_GATE__MIN_ACCURACY="1.0")
    ingest()
    told["unanswered"] = retrain({"approval": "person"})
    told["approved"] = retrain({"approval": "person"}, how={"person": "ada"})
    told["nothing new"] = retrain({})
    told["forced"] = retrain({"approval": "auto", "force": True})
    ingest()
    told["second"] = retrain({"approval": "auto"})
    roll_back()
    told["rolled back, nothing new"] = retrain({}, how=SCHEDULED)
    told["rolled back, rejected"] = retrain(
        {"approval": "auto", "force": True}, how={"person": "ben", "answer": "Reject"}
    )
    told["rolled back, approved"] = retrain({"approval": "auto", "force": True}, how={"person": "cyd"})
    ingest()
    told["rejected"] = retrain({"approval": "person"}, how={"person": "ben", "answer": "Reject"})
    told["rejected, by the schedule"] = retrain({}, how=SCHEDULED)
    told["rejected, forced"] = retrain({"approval": "auto", "force": True})
    ingest()
    told["something new"] = retrain({"approval": "auto"}, how=SCHEDULED)
    return told


def test_a_refusal_is_a_completed_run_that_releases_nothing(story: dict[str, Told], house: AirflowHouse) -> None:
    """The run succeeds, the approval is not asked for, and the log names the line that refused."""
    told = story["refused"]
    assert told.run["state"] == "success"
    assert told.states("judge", "choose_approval", "approve", "release_challenger") == ["success", *["skipped"] * 3]
    assert told.verdict is not None
    assert [line.name for line in told.verdict.refusing] == ["accuracy"]
    assert told.log == ()
    assert "was refused, the champion keeps serving" in house.log.read_text()


def test_silence_does_not_promote(story: dict[str, Told]) -> None:
    """A challenger that passed waits for a person; when nobody answers in time, nothing is released."""
    told = story["unanswered"]
    assert told.verdict is not None
    assert told.verdict.passed
    assert told.states("choose_approval", "approve", "release_challenger") == ["success", "success", "skipped"]
    assert told.run["answers"]["approve"] is None
    assert told.log == ()
    assert told.run["state"] == "success"


def test_an_approved_challenger_is_released_in_the_persons_name(story: dict[str, Told]) -> None:
    """The log says who approved it and names the verdict: the one that was given before nobody answered."""
    told, verdict = story["approved"], story["unanswered"].verdict
    assert told.states("choose_approval", "approve", "release_challenger") == ["success"] * 3
    (release,) = told.log
    assert verdict is not None
    assert release.model_version == verdict.challenger
    assert (release.released_by, release.reason) == ("ada", f"verdict {verdict.verdict_id}")


def test_by_policy_nobody_is_asked_and_releasing_what_serves_adds_nothing(story: dict[str, Told]) -> None:
    """Forced on the same snapshot, training gives the same version again; it serves already."""
    told = story["forced"]
    assert told.states("choose_approval", "approve", "release_challenger") == ["success", "skipped", "success"]
    assert told.log == story["approved"].log


def test_nothing_is_trained_on_the_champions_own_snapshot(story: dict[str, Told]) -> None:
    """Where nothing is new since the champion, the run skips before the heavy task."""
    told = story["nothing new"]
    assert told.states("merge_labels", "freeze_snapshot", "train_challenger") == ["success", "skipped", "skipped"]
    assert told.run["state"] == "success"
    assert told.states("judge", "ask_people", "release_challenger") == ["skipped"] * 3
    assert told.verdict is None


def test_what_was_refused_is_not_trained_again_by_the_schedule(story: dict[str, Told], house: AirflowHouse) -> None:
    """With nothing new the same challenger would come back: the run skips before the heavy task and says why."""
    told = story["refused, by the schedule"]
    assert told.states("freeze_snapshot", "train_challenger", "judge") == ["skipped"] * 3
    assert f"{story['refused'].verdict.challenger} learned from, and the gate refused it" in house.log.read_text()  # type: ignore[union-attr]


def test_what_was_rolled_back_does_not_come_back_by_itself(story: dict[str, Told], house: AirflowHouse) -> None:
    """Nothing new: no training; forced by hand with policy `auto`: a person is asked, and told who withdrew it and why."""
    second = story["second"].verdict
    assert second is not None
    assert story["second"].log[-1].model_version == second.challenger
    assert story["rolled back, nothing new"].states("freeze_snapshot", "train_challenger") == ["skipped"] * 2
    first = story["approved"].log[-1].model_version
    told = story["rolled back, rejected"]
    assert told.states("judge", "approve", "release_challenger") == ["success", "success", "skipped"]
    assert told.log[-1].model_version == first
    assert "rolled back from" in house.log.read_text()
    assert "it calls complaints praise" in house.log.read_text()


def test_a_person_may_release_again_what_was_rolled_back(story: dict[str, Told]) -> None:
    """After somebody rejected it once more another person approves: it serves, and in that person's name."""
    last = story["rolled back, approved"].log[-1]
    assert (last.model_version, last.released_by) == (story["second"].log[-1].model_version, "cyd")


def test_a_rejection_stands_against_every_later_policy(story: dict[str, Told]) -> None:
    """What a person rejected is not trained again with nothing new, and not released when it is forced."""
    assert story["rejected"].states("approve", "release_challenger") == ["success", "skipped"]
    assert story["rejected, by the schedule"].states("freeze_snapshot", "train_challenger") == ["skipped"] * 2
    forced = story["rejected, forced"]
    assert forced.verdict is not None
    assert forced.verdict.challenger == story["rejected"].verdict.challenger  # type: ignore[union-attr]
    assert forced.states("approve", "release_challenger") == ["success", "skipped"]
    assert forced.log == story["rejected"].log


def test_something_new_is_trained_and_released_as_ever(story: dict[str, Told]) -> None:
    """A no to one version is no no to the next: its policy releases it."""
    told = story["something new"]
    assert told.states("train_challenger", "judge") == ["success"] * 2
    assert told.verdict is not None
    if told.verdict.may_serve:
        assert told.log[-1].model_version == told.verdict.challenger


def test_people_are_asked_about_doubted_stars_whatever_the_gate_said(
    story: dict[str, Told], house: AirflowHouse
) -> None:
    """A refused challenger's training asks too, or its log says why nobody is asked."""
    for name in ("refused", "approved", "forced"):
        told = story[name]
        (state,) = told.states("ask_people")
        assert state in {"success", "skipped"}
        if state == "success":
            answer = told.run["answers"]["ask_people"]
            assert 0 < answer["asked"] + answer["asked_before"] <= 5
    assert " reviews queued, reason disagreement: of " in house.log.read_text()


def test_every_challenger_has_its_report(story: dict[str, Told]) -> None:
    """Refused or not; the path goes on, and the page is there."""
    for told in (story["refused"], story["approved"]):
        assert told.states("evaluate") == ["success"]
        answer = told.run["answers"]["evaluate"]
        assert answer["version"] == told.run["answers"]["train_challenger"]["version"]
        home = Path(told.run["answers"]["train_challenger"]["folder"]).parent.parent
        assert (home / "reports" / answer["report"]).is_file()


def test_xcom_carries_ids_counts_and_paths(story: dict[str, Told]) -> None:
    """What the tasks hand on is small: no texts, no models."""
    answers = story["approved"].run["answers"]
    assert set(answers["train_challenger"]) == {"version", "folder", "snapshot_hash", "mlflow_run_id", "seconds"}
    assert Path(answers["train_challenger"]["folder"]).is_dir()
    assert max(len(str(answer)) for answer in answers.values()) < 4000
