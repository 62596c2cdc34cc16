"""Who may do what: our roles in the real FAB login of a real Airflow, over real HTTP."""

from __future__ import annotations

import httpx
import pytest

from tests.production.conftest import PASSWORD, PEOPLE, AirflowWithRoles, register

DAG = "/api/v2/dags/retrain_sentiment"
OTHER_DAG = "/api/v2/dags/ingest_reviews"
RUNS = f"{DAG}/dagRuns"
EVERYBODY = frozenset(PEOPLE)
LEADS, OPERATORS, ADMINS = frozenset({"leo"}), frozenset({"olga"}), frozenset({"ann"})
MATRIX = {
    # What is asked -> who may.
    ("GET", "/ui/auth/menus"): EVERYBODY,
    ("GET", "/api/v2/plugins"): EVERYBODY,
    ("GET", "/restar/static/desk.js"): EVERYBODY,
    ("GET", "/restar/desk/"): frozenset({"lara", "leo", "ann"}),
    ("POST", "/restar/desk/claim"): frozenset({"lara", "leo", "ann"}),
    ("GET", "/restar/reports/"): EVERYBODY - {"lara"},
    ("GET", "/api/v2/dags"): EVERYBODY - {"lara"},
    ("GET", DAG): EVERYBODY - {"lara"},
    ("GET", OTHER_DAG): OPERATORS | ADMINS,
    ("GET", f"{RUNS}/nothing"): EVERYBODY - {"lara"},
    ("GET", f"{OTHER_DAG}/dagRuns/nothing"): OPERATORS | ADMINS,
    ("GET", f"{RUNS}/nothing/taskInstances/judge/logs/1"): OPERATORS | ADMINS,
    ("GET", f"{OTHER_DAG}/dagRuns/nothing/taskInstances/read_and_store/logs/1"): OPERATORS | ADMINS,
    ("GET", "/api/v2/dagSources/ingest_reviews"): OPERATORS | ADMINS,
    ("GET", "/api/v2/importErrors"): OPERATORS | ADMINS,
    ("GET", "/api/v2/eventLogs"): OPERATORS | ADMINS,
    ("POST", RUNS): OPERATORS | ADMINS,
    ("POST", f"{OTHER_DAG}/dagRuns"): OPERATORS | ADMINS,
    ("POST", f"{DAG}/clearTaskInstances"): OPERATORS | ADMINS,
    ("PATCH", f"{RUNS}/nothing/taskInstances/approve/-1/hitlDetails"): EVERYBODY - {"lara"},
    ("GET", "/api/v2/dags/~/dagRuns/~/hitlDetails"): EVERYBODY - {"lara"},
    ("DELETE", f"{RUNS}/nothing"): ADMINS,
    ("DELETE", "/api/v2/dags/no_such_dag"): ADMINS,
    ("GET", "/api/v2/connections"): ADMINS,
    ("GET", "/api/v2/variables"): ADMINS,
    ("GET", "/api/v2/config"): frozenset(),  # it holds secrets: `[api] expose_config` stays off
    ("GET", "/auth/fab/v1/users"): ADMINS,
    ("GET", "/auth/fab/v1/roles"): ADMINS,
}
BODIES: dict[str, object] = {
    RUNS: {"logical_date": None, "conf": {"mode": "no such mode"}},
    f"{OTHER_DAG}/dagRuns": {"logical_date": None, "conf": {"max_rows": -1}},
    f"{DAG}/clearTaskInstances": {"dry_run": True, "dag_run_id": "nothing"},
    f"{RUNS}/nothing/taskInstances/approve/-1/hitlDetails": {"chosen_options": ["Approve"]},
}
"""Bodies that let the permission be seen and nothing happen."""


@pytest.mark.parametrize(("method", "path"), MATRIX)
def test_each_role_may_exactly_this(airflow_with_roles: AirflowWithRoles, method: str, path: str) -> None:
    """Those who may are answered (or told what is wrong with their question), all others get 403."""
    answers = {
        person: airflow_with_roles.ask(person, method, path, BODIES.get(path, {})).status_code for person in PEOPLE
    }
    assert not {status for status in answers.values() if status >= 500}, answers
    assert {person for person, status in answers.items() if status not in {401, 403}} == MATRIX[(method, path)], answers


def test_a_lead_sees_the_retraining_alone(airflow_with_roles: AirflowWithRoles) -> None:
    """The list of DAGs is cut to the one that waits for his answers."""
    (only,) = airflow_with_roles.ask("leo", "GET", "/api/v2/dags").json()["dags"]
    assert only["dag_id"] == "retrain_sentiment"
    assert len(airflow_with_roles.ask("olga", "GET", "/api/v2/dags").json()["dags"]) > 5


def test_the_navigation_shows_a_labeler_nothing_of_airflow(airflow_with_roles: AirflowWithRoles) -> None:
    """No menu of Airflow's is hers; a lead has the Required Actions, an operator the DAGs."""
    menus = {
        person: set(airflow_with_roles.ask(person, "GET", "/ui/auth/menus").json()["authorized_menu_items"])
        for person in PEOPLE
    }
    assert menus["lara"] == set()
    assert menus["leo"] == {"Required Actions"}
    assert {"Dags", "Required Actions"} <= menus["olga"]
    assert "Connections" not in menus["olga"]


def test_the_labelers_name_is_the_one_that_she_logs_in_with(airflow_with_roles: AirflowWithRoles) -> None:
    """What a person answers is stored under the name of the account."""
    assert "lara" in airflow_with_roles.ask("lara", "GET", "/restar/desk/").text


def test_a_stranger_gets_nowhere(airflow_with_roles: AirflowWithRoles) -> None:
    """Without a login nothing answers but the login itself; nobody can register, a wrong password opens nothing."""
    for path in ("/restar/desk/", "/restar/reports/", "/api/v2/dags"):
        assert httpx.get(f"{airflow_with_roles.airflow.url}{path}", timeout=60).status_code == 401
    wrong = httpx.post(
        f"{airflow_with_roles.airflow.url}/auth/token", json={"username": "ann", "password": "admin"}, timeout=60
    )
    assert wrong.status_code == 401
    assert httpx.get(f"{airflow_with_roles.airflow.url}/auth/register/form", timeout=60).status_code == 404


def test_init_again_changes_nothing_and_takes_back_what_was_clicked_together(
    airflow_with_roles: AirflowWithRoles,
) -> None:
    """A permission that a role got in the UI is gone after the next start; the administrator keeps his password."""
    assert "changed: 0" in airflow_with_roles.init()
    surplus = {"actions": [{"action": {"name": "can_read"}, "resource": {"name": "Connections"}}], "name": "Labeler"}
    airflow_with_roles.ask("ann", "PATCH", "/auth/fab/v1/roles/Labeler", surplus).raise_for_status()
    assert "changed: 0" not in airflow_with_roles.init()
    assert "changed: 0" in airflow_with_roles.init()
    register(airflow_with_roles, "lena", "Labeler")
    assert airflow_with_roles.ask("lena", "GET", "/api/v2/connections").status_code == 403
    assert airflow_with_roles.ask("lena", "GET", "/restar/desk/").status_code == 200
    body = {"username": "ann", "password": PASSWORD}
    assert httpx.post(f"{airflow_with_roles.airflow.url}/auth/token", json=body, timeout=60).status_code == 201
