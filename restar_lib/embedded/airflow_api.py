"""The few calls of Airflow's REST API that the runner needs: trigger a DAG, look at runs and tasks.

Logs in with a user's password, logs in again when the token has expired, and waits out a restart of the API server or
of the database behind it. A run is triggered under an id that we choose, so that asking once more starts no second one.
Airflow's JSON is turned into our own dataclasses here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import httpx
from tenacity import retry, retry_if_exception, stop_after_delay, wait_exponential

AWAY_SECONDS = 300.0
"""How long an API server or its database may be away: longer than the supervisor's longest pause before a restart."""
FINISHED = frozenset({"success", "failed"})


def _passes(error: BaseException) -> bool:
    """Whether waiting may help: nobody answers, or somebody behind the server is away."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.TransportError)


@dataclass(frozen=True, kw_only=True)
class DagRun:
    """One run of a DAG."""

    dag_id: str
    run_id: str
    state: str
    queued_at: datetime

    @property
    def finished(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in FINISHED


@dataclass(frozen=True, kw_only=True)
class Task:
    """The newest try of one task in a run."""

    task_id: str
    state: str
    try_number: int
    started: datetime | None


@dataclass
class AirflowApi:
    """A client for one Airflow."""

    base_url: str
    user: str
    password: str
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=self.base_url, timeout=30)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def dag_ids(self) -> set[str]:
        """DAGs that are parsed and can be triggered."""
        return {row["dag_id"] for row in self._get("/api/v2/dags", limit=100)["dags"]}

    def import_errors(self) -> list[str]:
        """DAG files that do not parse, with the error."""
        rows = self._get("/api/v2/importErrors")["import_errors"]
        return [f"{row['filename']}: {row['stack_trace']}" for row in rows]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> DagRun:
        """Start a run by hand, as the form in the UI does."""
        run_id = f"manual__{datetime.now(UTC).isoformat()}_{token_hex(4)}"
        wanted = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        try:
            return _dag_run(self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=wanted))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
            return self.run(dag_id, run_id)  # the first request got through, only its answer did not

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """The run as it stands now."""
        return _dag_run(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str) -> list[DagRun]:
        """The newest runs of a DAG, newest first."""
        rows = self._get(f"/api/v2/dags/{dag_id}/dagRuns", order_by="-run_after", limit=20)["dag_runs"]
        return [_dag_run(row) for row in rows]

    def tasks(self, dag_id: str, run_id: str) -> list[Task]:
        """Tasks of a run."""
        rows = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return [
            Task(
                task_id=row["task_id"], state=row["state"] or "waiting", try_number=row["try_number"],
                started=_moment(row["start_date"]),
            )
            for row in rows
        ]  # fmt: skip

    def status_of(self, url: str) -> int:
        """What a page of this Airflow answers to us; no other host ever gets our token."""
        if not url.startswith(f"{self.base_url}/"):
            raise ValueError(f"{url} is no page of {self.base_url}")
        if "Authorization" not in self._client.headers:
            self._log_in()
        return self._client.get(url, follow_redirects=False).status_code

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._call("GET", path, params=query)

    @retry(
        retry=retry_if_exception(_passes),
        wait=wait_exponential(max=5),
        stop=stop_after_delay(AWAY_SECONDS),
        reraise=True,
    )
    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if "Authorization" not in self._client.headers:
            self._log_in()
        response = self._client.request(method, path, **options)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            response = self._client.request(method, path, **options)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _log_in(self) -> None:
        response = self._client.post("/auth/token", json={"username": self.user, "password": self.password})
        response.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"


def _dag_run(row: dict[str, Any]) -> DagRun:
    return DagRun(
        dag_id=row["dag_id"],
        run_id=row["dag_run_id"],
        state=row["state"],
        queued_at=datetime.fromisoformat(row["queued_at"] or row["run_after"]),
    )


def _moment(raw: str | None) -> datetime | None:
    return datetime.fromisoformat(raw) if raw else None
