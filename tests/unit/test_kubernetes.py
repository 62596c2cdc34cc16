"""The Kubernetes files: they say what docker-compose.yaml says, and keep its rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from restar_lib.settings import PROJECT_ROOT, load

FOLDER = PROJECT_ROOT / "include" / "kubernetes"
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "restar.yaml").read_text()))
COMPOSE = yaml.safe_load((PROJECT_ROOT / "docker-compose.yaml").read_text())["services"]


def pods() -> Iterator[dict[str, Any]]:
    """The pod of every workload."""
    for one in OBJECTS:
        if one["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield one["spec"]["template"]["spec"]


def named(kind: str, name: str) -> dict[str, Any]:
    """One object."""
    return next(one for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == (kind, name))


def test_no_pod_runs_as_root_or_without_limits() -> None:
    """The same rules as under compose."""
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}
            assert not container["image"].endswith(":latest")
    assert VALUES["securityContexts"]["pod"]["runAsNonRoot"] is True
    for part in ("apiServer", "scheduler", "dagProcessor", "triggerer", "workers"):
        assert set(VALUES[part]["resources"]["limits"]) == {"cpu", "memory"}


def test_every_volume_and_secret_that_is_mounted_is_declared() -> None:
    """A typing error in a name would leave the pod waiting for ever."""
    for pod in pods():
        declared = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for box in pod["containers"] for mount in box["volumeMounts"]} == declared
    assert {mount["name"] for mount in VALUES["volumeMounts"]} == {volume["name"] for volume in VALUES["volumes"]}


def test_every_secret_is_made_by_the_page() -> None:
    """docs/kubernetes.md has a line for each."""
    page = (PROJECT_ROOT / "docs" / "kubernetes.md").read_text()
    names = {volume["secret"]["secretName"] for pod in pods() for volume in pod["volumes"] if "secret" in volume}
    names |= {value for key, value in VALUES.items() if key.endswith("SecretName")} | set(VALUES["data"].values())
    names.add(VALUES["redis"]["passwordSecretName"])
    assert [name for name in sorted(names) if f"create secret generic {name} " not in page] == []


def test_a_release_can_ask_every_replica() -> None:
    """As many names as replicas, all of the headless service; clients get ready ones alone."""
    replicas = named("StatefulSet", "serving")["spec"]["replicas"]
    told = {one["name"]: one["value"] for one in VALUES["env"]}
    expected = [f"http://serving-{number}.serving:8000" for number in range(replicas)]
    assert told["RESTAR_SERVING__URL"].split() == expected
    assert named("Service", "serving")["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in named("Service", "api")["spec"]


def test_the_settings_are_known_and_no_secret_stands_there() -> None:
    """The same variables as in compose, and files for secrets."""
    told = {one["name"]: one["value"] for one in VALUES["env"]}
    compose = COMPOSE["airflow-worker-1"]["environment"]
    ours = {name for name in compose if name.startswith("RESTAR_")}
    assert {name for name in told if name.startswith("RESTAR_")} == ours
    found = load(environment={name: value for name, value in told.items() if not name.endswith("_FILE")}).settings
    assert (found.profile, found.mail.recipients) == ("production", ("on-call@example.com",))
    assert VALUES["createUserJob"]["enabled"] is False


def test_airflow_is_configured_as_under_compose() -> None:
    """One truth in two files: what both name is the same."""
    compose = COMPOSE["airflow-worker-1"]["environment"]
    for section, keys in VALUES["config"].items():
        for key, value in keys.items():
            name = f"AIRFLOW__{section.upper()}__{key.upper()}"
            if name in compose and "${" not in compose[name]:
                assert str(value) == compose[name], name


def test_the_same_commands_migrate() -> None:
    """Schemas, roles, pointer: in the same order."""
    job = named("Job", "restar-migrate")["spec"]["template"]["spec"]["containers"][0]["command"][-1].splitlines()
    compose = COMPOSE["migrate"]["command"][-1].splitlines()
    assert [line.split('"')[0].split("--")[0] for line in job] == [
        line.split('"')[0].split("--")[0] for line in compose
    ]
