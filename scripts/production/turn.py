"""One whole turn of the loop on a running composition, as the people of an installation would do it, each with a role.

An administrator makes accounts; an operator starts the runs; a lead approves in Required Actions; a labeler answers at
the desk; the serving replicas are asked through the gateway all the while. Everything goes over the published ports.
The bulk of the labels comes from `restar label-demo`, so this is for simulated reviews.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from engine import Engine

PEOPLE = {"lara": "Labeler", "leo": "Lead", "olga": "Operator"}
HISTORY, PORTION = 8000, 1500
TEXT = "Great battery, but the screen cracked after two days and nobody answers my mails."
WAIT_SECONDS = 1800.0
Answer = dict[str, Any]


@dataclass
class Person:
    """Somebody with an account."""

    url: str
    name: str
    password: str
    _client: httpx.Client | None = None

    def ask(self, method: str, path: str, json: object = None) -> Answer:
        """One call in this person's name; he logs in again when the token has expired."""
        answer = self._logged_in().request(method, path, json=json)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._client = None
            answer = self._logged_in().request(method, path, json=json)
        if not answer.is_success:
            raise OSError(f"{self.name}: {method} {path} answered {answer.status_code}: {answer.text[:500]}")
        found: Answer = answer.json() if answer.content else {}
        return found

    def _logged_in(self) -> httpx.Client:
        if self._client is None:
            body = {"username": self.name, "password": self.password}
            token = httpx.post(f"{self.url}/auth/token", json=body, timeout=300).raise_for_status().json()
            headers = {"Authorization": f"Bearer {token['access_token']}", "X-Restar-Desk": "1"}
            self._client = httpx.Client(base_url=self.url, headers=headers, timeout=300)
        return self._client


@dataclass
class Caller:
    """Asks the API for predictions without a pause, until `stopping` is set."""

    url: str
    codes: Counter[int | str] = field(default_factory=Counter)
    versions: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Count what came back; a version is noted when it is another than before."""
        while not self.stopping.wait(0.1):
            try:
                answer = httpx.post(f"{self.url}/predict", json={"text": TEXT}, timeout=30)
            except httpx.TransportError as error:
                self.codes[type(error).__name__] += 1
                continue
            self.codes[answer.status_code] += 1
            version = answer.json().get("model_version") if answer.is_success else None
            if version and self.versions[-1:] != [version]:
                self.versions.append(version)


class Turn:
    """The steps, and what they took."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engine.home.mkdir(parents=True, exist_ok=True)
        self.airflow, self.gateway = engine.url("airflow-api"), engine.url("gateway")
        password = (engine.secrets / "airflow_admin_password").read_text(encoding="utf-8")
        self.admin = Person(self.airflow, "admin", password)
        self.people = self._people()
        self.workers: Counter[str] = Counter()
        self.steps: list[Answer] = []

    def run(self) -> int:
        """First model, then a turn with labels; 0 where both versions were released and nothing failed on the way."""
        olga = self.people["olga"]
        caller = Caller(self.gateway)
        if int(self.engine.query("select count(*) from release")) == 0:
            self._step("history", lambda: self._dag("ingest_reviews", {"max_rows": HISTORY}))
            self._step("the first model", lambda: self._retrain({"force": True}))
        self._step("both replicas answer", self._until_served)
        thread = threading.Thread(target=caller.run, daemon=True)
        thread.start()
        before = {run["dag_run_id"] for run in self._runs("score_reviews")}
        self._step("new reviews", lambda: self._dag("ingest_reviews", {"max_rows": PORTION}))
        self._step("scored by the asset's event", lambda: self._by_itself("score_reviews", before))
        self._step("watched", lambda: self._dag("watch_drift", {}))
        self._step("lara labels at the desk", self._label)
        self._step(
            "demo labelers",
            lambda: {"code": self.engine.execute("airflow-worker-1", ["restar", "label-demo"], quiet=True)},
        )
        self._step("retrained", lambda: self._retrain({"force": True}))
        time.sleep(10)
        caller.stopping.set()
        thread.join()
        released = olga.ask("GET", "/api/v2/dags/retrain_sentiment/dagRuns?limit=10")
        result = {
            "steps": self.steps,
            "tasks_by_worker": dict(self.workers),
            "predictions": {str(code): count for code, count in caller.codes.items()},
            "versions": caller.versions,
            "retrainings": len(released["dag_runs"]),
        }
        (self.engine.home / "turn.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
        print(json.dumps({key: value for key, value in result.items() if key != "steps"}, indent=1))
        return 0 if len(caller.versions) == 2 and set(caller.codes) == {200} else 1

    # --- steps

    def _retrain(self, conf: Answer) -> Answer:
        return self._approved(self._trigger("retrain_sentiment", conf))

    def _approved(self, run: str) -> Answer:
        olga, leo = self.people["olga"], self.people["leo"]
        path = f"/api/v2/dags/retrain_sentiment/dagRuns/{run}"

        def waiting() -> Answer | None:
            states = {
                task["task_id"]: task["state"] for task in olga.ask("GET", f"{path}/taskInstances")["task_instances"]
            }
            state = olga.ask("GET", path)["state"]
            return (
                {"state": state}
                if states.get("approve") == "awaiting_input" or state in {"failed", "success"}
                else None
            )

        self._until(waiting)
        approval = f"{path}/taskInstances/approve/-1/hitlDetails"
        question = leo.ask("GET", approval)
        leo.ask("PATCH", approval, {"chosen_options": ["Approve"], "params_input": {}})
        return {"asked": question["subject"]} | self._follow("retrain_sentiment", run)

    def _label(self) -> Answer:
        lara = self.people["lara"]
        answered = 0
        desk = lara.ask("POST", "/restar/desk/claim", {})
        while desk["review"] and answered < 5:
            review = desk["review"]
            said = httpx.post(f"{self.gateway}/predict", json={"text": review["text"]}, timeout=30).json()
            body = {"task_id": review["task_id"], "token": review["token"], "sentiment": said["sentiment"]}
            desk = lara.ask("POST", "/restar/desk/submit", body)
            answered += 1
        return {"answered": answered, "waiting": desk["waiting"]}

    def _until_served(self) -> Answer:
        def both() -> Answer | None:
            names = ("serving-1", "serving-2")
            check = ["/opt/restar/include/production/healthy", "http://127.0.0.1:8000/ready"]
            ready = [name for name in names if self.engine.execute(name, check, quiet=True) == 0]
            answer = httpx.post(f"{self.gateway}/predict", json={"text": TEXT}, timeout=30)
            return answer.json() if len(ready) == len(names) and answer.is_success else None

        return self._until(both)

    # --- how

    def _people(self) -> dict[str, Person]:
        path = self.engine.home / "people.json"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(json.dumps({name: secrets.token_urlsafe(18) for name in PEOPLE}), encoding="utf-8")
        passwords = json.loads(path.read_text(encoding="utf-8"))
        known = {user["username"] for user in self.admin.ask("GET", "/auth/fab/v1/users")["users"]}
        for name in PEOPLE.keys() - known:
            body = {
                "username": name, "first_name": name, "last_name": PEOPLE[name], "email": f"{name}@example.com",
                "password": passwords[name], "roles": [{"name": PEOPLE[name]}],
            }  # fmt: skip
            self.admin.ask("POST", "/auth/fab/v1/users", body)
        return {name: Person(self.airflow, name, passwords[name]) for name in PEOPLE}

    def _step(self, name: str, do: Callable[[], Answer]) -> Answer:
        began = time.monotonic()
        found = do()
        seconds = round(time.monotonic() - began, 1)
        self.steps.append({"step": name, "seconds": seconds} | found)
        print(f"{time.strftime('%H:%M:%S')} {name}: {seconds} s {json.dumps(found)[:600]}", flush=True)
        return found

    def _dag(self, dag_id: str, conf: Answer) -> Answer:
        return self._follow(dag_id, self._trigger(dag_id, conf))

    def _trigger(self, dag_id: str, conf: Answer) -> str:
        body = {"logical_date": None, "conf": conf}
        run_id: str = self.people["olga"].ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return run_id

    def _runs(self, dag_id: str) -> list[Answer]:
        found: list[Answer] = self.people["olga"].ask("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        return found

    def _by_itself(self, dag_id: str, before: set[str]) -> Answer:
        new = self._until(lambda: next((run for run in self._runs(dag_id) if run["dag_run_id"] not in before), None))
        return self._follow(dag_id, new["dag_run_id"])

    def _follow(self, dag_id: str, run_id: str) -> Answer:
        olga, path = self.people["olga"], f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"

        def ended() -> Answer | None:
            run = olga.ask("GET", path)
            return run if run["state"] in {"success", "failed"} else None

        state = self._until(ended)["state"]
        tasks = olga.ask("GET", f"{path}/taskInstances")["task_instances"]
        self.workers.update(task["hostname"] for task in tasks if task["hostname"])
        if state == "failed":
            raise OSError(f"{dag_id} {run_id} failed: {[(task['task_id'], task['state']) for task in tasks]}")
        return {task["task_id"]: f"{task['state']} on {task['hostname']} (try {task['try_number']})" for task in tasks}

    def _until(self, look: Callable[[], Answer | None]) -> Answer:
        deadline = time.monotonic() + WAIT_SECONDS
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise OSError(f"waited {WAIT_SECONDS:.0f} s in vain")
            time.sleep(2)
        return found
