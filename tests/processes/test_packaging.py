"""What production is made of: docker-compose.yaml, the Dockerfile, and what they take for granted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from restar_lib.settings import PROJECT_ROOT, load

COMPOSE_FILE = PROJECT_ROOT / "docker-compose.yaml"
COMPOSE_TEXT = COMPOSE_FILE.read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (PROJECT_ROOT / "Dockerfile").read_text()
EXAMPLE = (PROJECT_ROOT / "include" / "production" / "env.example").read_text()
TOOLS = Path(sys.executable).parent
SENSITIVE = re.compile(r"PASSWORD|SECRET|TOKEN|FERNET|(?<!OTLP_)KEY|DATABASE__URL|BROKER_URL|CONN$")


def on_every_service() -> pytest.MarkDecorator:
    """One test for each service, named after it."""
    return pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def tool(name: str, *arguments: str | Path) -> str:
    """What a checker says; empty where it finds nothing."""
    done = subprocess.run([TOOLS / name, *arguments], capture_output=True, text=True, check=False, cwd=PROJECT_ROOT)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def told(service: dict[str, Any]) -> dict[str, str]:
    """The environment of a service."""
    environment: dict[str, str] = service.get("environment", {})
    return environment


def answered(value: str) -> str:
    """A value of the compose file once a person has answered its questions."""
    answers = {
        "RESTAR_SOURCE__KIND": "files", "RESTAR_SOURCE__NAME": "shop", "RESTAR_SOURCE__PATH": "/reviews",
        "RESTAR_START_DATE": "2026-12-01T00:00:00+00:00", "RESTAR_AIRFLOW_URL": "https://airflow.example.com",
        "RESTAR_MAIL_SENDER": "restar@example.com", "RESTAR_ON_CALL": "one@example.com, two@example.com",
    }  # fmt: skip
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda match: answers.get(match[1], ""), value)


def test_compose_follows_its_schema() -> None:
    """The specification's own schema, which comes with check-jsonschema."""
    assert tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE_FILE) == ""


def test_the_dockerfile_passes_its_linter() -> None:
    """Hadolint, with shellcheck inside."""
    assert tool("hadolint", "Dockerfile") == ""


def test_every_service_of_the_design_is_there() -> None:
    """DESIGN section 11, two workers and two replicas."""
    assert set(SERVICES) >= {
        "postgres", "redis", "migrate", "airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
        "airflow-worker-1", "airflow-worker-2", "serving-1", "serving-2", "mlflow", "prometheus", "grafana", "mail-relay",
    }  # fmt: skip
    assert SERVICES["airflow-worker-1"]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"


@on_every_service()
def test_a_service_is_watched_limited_and_started_again(service: dict[str, Any]) -> None:
    """Health check, limits of processor, memory and processes, a restart policy, logs that do not fill the disk."""
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    ends_by_itself = service["restart"].startswith("on-failure")
    assert ends_by_itself or (service["restart"] == "unless-stopped" and service["healthcheck"]["test"])
    assert service["logging"]["options"]["max-size"]


@on_every_service()
def test_no_secret_stands_in_the_environment(service: dict[str, Any]) -> None:
    """A secret is a file; what names it ends in _FILE, or in _CMD for Airflow."""
    for name, value in told(service).items():
        if SENSITIVE.search(name):
            assert "/run/secrets/" in value, f"{name}: give the file of the secret"
            assert name.endswith(("_FILE", "_CMD")), f"{name} would hold the secret itself"


@on_every_service()
def test_a_service_gets_the_secrets_that_it_reads_and_no_others(service: dict[str, Any]) -> None:
    """Whoever breaks into one service has its secrets alone."""
    reads = set(re.findall(r"/run/secrets/(\w+)", yaml.safe_dump(service)))
    given = set(service.get("secrets", []))
    if service is SERVICES["postgres"]:  # its script reads the URLs of the roles that it makes
        reads |= {"restar_database_url", "airflow_database_url", "mlflow_database_url"}
    assert given == reads


def test_no_password_has_a_default() -> None:
    """Neither in a URL nor as the default of a variable."""
    assert re.findall(r"://[^/\s:@$]*:[^@\s$]+@", COMPOSE_TEXT) == []
    defaults = dict(re.findall(r"\$\{(\w+):?-([^}]*)\}", COMPOSE_TEXT))
    assert [name for name, value in defaults.items() if SENSITIVE.search(name) and value] == []


def test_every_secret_is_a_file_that_the_script_writes(tmp_path: Path) -> None:
    """`scripts/secrets` and docker-compose.yaml name the same ones."""
    subprocess.run([PROJECT_ROOT / "scripts" / "secrets", tmp_path / "secrets"], check=True, capture_output=True)
    written = {path.name for path in (tmp_path / "secrets").iterdir()}
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == written


@on_every_service()
def test_an_image_is_ours_or_pinned_to_a_version(service: dict[str, Any]) -> None:
    """Never `latest`, never a bare name."""
    image = service["image"]
    ours = image.startswith("restar-") and "${RESTAR_VERSION:?" in image
    assert ours or re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?[\w.-]*", image), image


def test_base_images_are_pinned_and_nothing_runs_as_root() -> None:
    """Every stage that becomes an image ends as a numbered user, so that Kubernetes can check it, too."""
    stages = {name: (base, body) for base, name, body in re.findall(
        r"^FROM (\S+) AS ([\w-]+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )}  # fmt: skip
    outside = [base for base, _ in stages.values() if base not in stages]
    assert all(re.search(r":\d+\.\d+", base) for base in outside)
    for target in ("airflow", "serving", "mail-relay"):
        user = re.findall(r"^USER (\d+):\d+$", stages[target][1], re.MULTILINE)
        assert user, f"{target} must end as a user with a number"
        assert user[-1] != "0"
    built = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert built == {"airflow", "serving", "mail-relay"}


@on_every_service()
def test_what_is_published_is_published_on_loopback(service: dict[str, Any]) -> None:
    """The world comes through a proxy with TLS; a service that has no login cannot be opened by a variable either."""
    for port in service.get("ports", []):
        assert port.startswith(("127.0.0.1:", "${RESTAR_BIND:-127.0.0.1}:")), port


def test_what_remembers_is_on_no_network_with_a_way_out() -> None:
    """PostgreSQL, Redis and the replicas."""
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name in ("postgres", "redis", "serving-1", "serving-2"):
        assert SERVICES[name]["networks"] == ["inside"]


def test_volumes_are_named_and_mounted_files_exist() -> None:
    """State lies in named volumes alone, and every path of the project that is mounted is there."""
    mounts = [mount.rsplit(":ro", 1)[0] for service in SERVICES.values() for mount in service.get("volumes", [])]
    sources = {re.sub(r"^\$\{\w+:-(\w+)\}", r"\1", mount).split(":")[0] for mount in mounts}
    paths = {source for source in sources if source.startswith("./")}
    assert sources - paths == set(COMPOSE["volumes"])
    assert all((PROJECT_ROOT / path).exists() for path in paths)


def test_serving_can_change_nothing() -> None:
    """Read-only image, read-only state."""
    for name in ("serving-1", "serving-2"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["volumes"] == ["restar-state:/var/lib/restar:ro"]
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])


def test_every_question_is_in_the_example_and_every_line_of_it_is_asked() -> None:
    """A variable that must be answered stands in env.example; a line there that nobody reads would be a trap."""
    asked = set(re.findall(r"\$\{(\w+):\?", COMPOSE_TEXT))
    offered = set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))
    assert asked <= offered
    assert offered <= set(re.findall(r"\$\{(\w+)[:}?-]", COMPOSE_TEXT))


@pytest.mark.parametrize("name", ["airflow-worker-1", "serving-1", "metrics", "mlflow"])
def test_the_configuration_that_containers_get_is_valid(name: str, tmp_path: Path) -> None:
    """Every key that compose sets exists and takes the value that a person would answer."""
    secret = tmp_path / "secret"
    secret.write_text("postgresql+psycopg://restar:x@postgres/restar")
    environment = {key: answered(value) for key, value in told(SERVICES[name]).items()}
    found = load(environment=environment | {key: str(secret) for key in environment if key.endswith("_FILE")}).settings
    assert (found.profile, str(found.home)) == ("production", "/var/lib/restar")
    if name == "airflow-worker-1":
        assert found.mail.recipients == ("one@example.com", "two@example.com")
        assert found.serving.url.split() == ["http://serving-1:8000", "http://serving-2:8000"]


def test_a_training_is_not_handed_out_twice() -> None:
    """Redis gives a task to another worker once it was invisible for so long: longer than a training may last."""
    config = load(environment={"RESTAR_PROFILE": "production"}).settings
    visible = int(told(SERVICES["airflow-worker-1"])["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"])
    assert visible > 60 * config.orchestration.training_timeout_minutes


def test_the_images_are_made_of_what_is_named_alone() -> None:
    """The build context holds everything that the Dockerfile copies, and no secret, state or environment file."""
    lines = [line for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    allowed = [line[1:] for line in lines if line.startswith("!")]
    sources = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    ]
    for source in sources:
        assert (PROJECT_ROOT / source).exists(), source
        assert any(Path(source).match(entry) or source.split("/")[0] == entry for entry in allowed), source
    assert not {"secrets", ".env", "var", ".git"} & {entry.split("/")[0] for entry in allowed}


def test_secrets_and_answers_are_never_committed() -> None:
    """Git ignores the folder of secrets and the file of answers."""
    ignored = (PROJECT_ROOT / ".gitignore").read_text().split()
    assert {"secrets/", ".env"} <= set(ignored)
