"""What every DAG promises to the person on call; each message says how to keep the promise."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dags.conftest import DAGS, AirflowHouse

EXPECTED = {
    "housekeeping": ["tidy_up"],
    "ingest_reviews": ["read_and_store", "report_damaged_files"],
    "release": ["release_version"],
    "retrain_sentiment": [
        "approve",
        "ask_people",
        "choose_approval",
        "evaluate",
        "freeze_snapshot",
        "judge",
        "merge_labels",
        "release_challenger",
        "train_challenger",
    ],
    "roll_back": ["choose_target", "release_target"],
    "score_reviews": ["score_and_queue"],
    "send_alerts": ["send_what_waits"],
    "watch_drift": ["ask_for_retraining", "compare", "mail_alerts"],
}
TAGS = {"data", "training", "watch", "release", "upkeep"}


@pytest.fixture(scope="session")
def described(house: AirflowHouse) -> dict[str, Any]:
    """All DAGs, as Airflow parsed them."""
    answer: dict[str, Any] = house.ask("describe")
    assert answer["errors"] == {}, "a DAG file does not parse: run `python dags/<file>` and read the error"
    return dict(answer["dags"])


def test_every_dag_file_is_accounted_for(described: dict[str, Any]) -> None:
    """One DAG per file, named like it, with exactly the tasks that are listed here."""
    found = {dag_id: sorted(dag["tasks"]) for dag_id, dag in described.items()}
    assert found == EXPECTED, "name the DAG and its tasks in EXPECTED, and think of its policies"
    assert {dag["file"] for dag in described.values()} == {path.name for path in DAGS.glob("*.py")}
    assert all(dag["file"] == f"{dag_id}.py" for dag_id, dag in described.items()), "name the file like its DAG"


@pytest.mark.parametrize("dag_id", EXPECTED)
def test_a_dag_explains_itself(described: dict[str, Any], dag_id: str) -> None:
    """Its run-book says when it runs, why running it again is safe, and what to do when it fails."""
    dag = described[dag_id]
    for heading in ("**When**", "**Again**", "**When it fails**"):
        assert heading in dag["doc_md"], f"add a paragraph {heading} to the docstring of dags/{dag['file']}"
    assert dag["doc_md"].startswith("## "), "the docstring opens with a heading"
    assert dag["description"], "pass description= in one line: it is what the list of DAGs shows"
    assert "restar" in dag["tags"], "tag it `restar`"
    assert TAGS & set(dag["tags"]), f"tag it with one of {sorted(TAGS)}"


@pytest.mark.parametrize("dag_id", EXPECTED)
def test_a_dag_takes_the_arguments_of_all_dags(described: dict[str, Any], dag_id: str) -> None:
    """One run at a time, no catching up, an owner, retries with backoff, a timeout and a failure mail on every task."""
    dag = described[dag_id]
    assert (dag["catchup"], dag["max_active_runs"]) == (False, 1), "pass **dag_arguments(settings()) to @dag"
    for task_id, task in dag["tasks"].items():
        assert task["owner"] == "restar", f"{task_id}: do not override the owner"
        assert (task["retries"], task["backoff"]) == (1, 2.0), f"{task_id}: retries come from `orchestration`"
        assert task["timeout"], f"{task_id}: give it an execution_timeout"
        assert task["mails_failure"] == ["mail_failure"], f"{task_id}: keep on_failure_callback of `dag_arguments`"


@pytest.mark.parametrize("dag_id", EXPECTED)
def test_a_trigger_form_explains_its_fields(described: dict[str, Any], dag_id: str) -> None:
    """Every parameter has a type, a title and a description."""
    for name, param in described[dag_id]["params"].items():
        assert param["typed"], f"{name}: give the Param a type= or an enum="
        assert param["title"], f"{name}: give the Param a title="
        assert param["description"], f"{name}: give the Param a description="


def test_nothing_is_released_past_the_gate_and_the_approval(described: dict[str, Any]) -> None:
    """In the retraining, only what was judged and whose approval was chosen leads to the release."""
    tasks = described["retrain_sentiment"]["tasks"]
    upstream = {task_id for task_id, task in tasks.items() if "release_challenger" in task["downstream"]}
    assert upstream == {"judge", "choose_approval", "approve"}
    assert tasks["release_challenger"]["trigger_rule"] == "none_failed_min_one_success"


def test_a_report_that_fails_keeps_nobody_from_judging(described: dict[str, Any]) -> None:
    """The gate waits for the report, so that its latency is measured alone, and goes on where there is none."""
    tasks = described["retrain_sentiment"]["tasks"]
    upstream = {task_id for task_id, task in tasks.items() if "judge" in task["downstream"]}
    assert upstream == {"train_challenger", "evaluate"}
    assert tasks["judge"]["trigger_rule"] == "all_done_min_one_success"


def test_nothing_waits_for_the_questions_about_stars(described: dict[str, Any]) -> None:
    """They come after the gate, whose latency is measured alone, whatever it says; and no release comes after them."""
    tasks = described["retrain_sentiment"]["tasks"]
    upstream = {task_id for task_id, task in tasks.items() if "ask_people" in task["downstream"]}
    assert upstream == {"train_challenger", "judge"}
    assert tasks["ask_people"]["downstream"] == []
    assert tasks["ask_people"]["trigger_rule"] == "all_done_min_one_success"


def test_dags_talk_through_assets(described: dict[str, Any]) -> None:
    """Scoring follows the ingest; a retraining follows finished labels or drift; the others follow nothing."""
    listening = {dag_id: dag["assets"] for dag_id, dag in described.items() if dag["assets"]}
    assert listening == {"score_reviews": ["reviews"], "retrain_sentiment": ["drift", "labels"]}


@pytest.mark.parametrize(
    ("run_type", "assets", "who"),
    [
        ("asset_triggered", ["labels"], "LABELS"),
        ("asset_triggered", ["drift"], "DRIFT"),
        ("asset_triggered", ["labels", "drift"], "DRIFT"),
        ("scheduled", [], "SCHEDULE"),
        ("manual", [], "HAND"),
        ("backfill", [], "HAND"),
    ],
)
def test_a_run_knows_who_asked_for_it(house: AirflowHouse, run_type: str, assets: list[str], who: str) -> None:
    """Labels have to be enough, drift does not ask how many there are: the two must not be mixed up."""
    assert house.ask("asked", run_type=run_type, assets=assets) == who
