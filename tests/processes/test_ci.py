"""CI runs what people run, and an audit that could not be made is not called a clean one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from restar_lib.settings import PROJECT_ROOT

WORKFLOW = PROJECT_ROOT / ".github" / "workflows" / "ci.yml"


def commands() -> list[str]:
    """Every command line of the workflow."""
    jobs: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def test_the_workflow_is_one() -> None:
    """By the schema that the checker brings along."""
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*checker, str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_make_targets_and_nothing_else() -> None:
    """What fails there fails here with the same words; both ways of running CI check and test."""
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {command.partition(" ")[0] for command in commands()} == {"make"}
    named = {command.removeprefix("make ") for command in commands()}
    assert {"check", "test", "compose"} <= named <= targets
    assert {"make check", "make test"} <= set((PROJECT_ROOT / ".ci" / "run").read_text().splitlines())


def audit(tmp_path: Path, *answers: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the audit with these answers in the place of a registry's; the last one is given again and again."""
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    (tmp_path / "pip_audit.py").write_text(
        "import json, pathlib\n"
        "here = pathlib.Path(__file__).parent\n"
        "answers = json.loads((here / 'answers.json').read_text())\n"
        "(here / 'answers.json').write_text(json.dumps(answers[1:] or answers))\n"
        "print(json.dumps(answers[0]))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    script = [sys.executable, str(PROJECT_ROOT / "scripts" / "audit")]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)


CLEAN = {"dependencies": [{"name": "typer", "version": "1", "vulns": []}]}
SKIPPED = {"dependencies": [{"name": "typer", "skip_reason": "nobody knows"}]}
BAD = {"dependencies": [{"name": "typer", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}]}


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ((CLEAN,), 0, ""),
        ((SKIPPED,), 0, "audit: no advisories can be had from here"),
        (({},), 0, "audit: no advisories can be had from here"),
        ((CLEAN, BAD), 1, "audit: typer 1 has PYSEC-1, mended in 2"),
    ],
)
def test_the_audit_says_what_it_found_or_that_it_could_not_look(
    tmp_path: Path, answers: tuple[dict[str, Any], ...], code: int, said: str
) -> None:
    """A vulnerability fails the check; no answer is one clear line and no failure."""
    done = audit(tmp_path, *answers)
    assert (done.returncode, done.stdout.startswith(said)) == (code, True), done.stderr
    assert bool(done.stdout) == bool(said)


def test_the_script_of_the_composition_is_shell_and_names_what_is_there() -> None:
    """It parses; it answers every question of the composition; the services and programs that it calls are there."""
    script = PROJECT_ROOT / "scripts" / "compose"
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    composition = (PROJECT_ROOT / "docker-compose.yaml").read_text()
    questions = set(re.findall(r"\$\{(\w+):\?", composition))
    answered = {line.partition("=")[0] for line in text.partition("<< ANSWERS\n")[2].splitlines() if "=" in line}
    assert questions <= answered
    services = yaml.safe_load(composition)["services"]
    assert set(re.findall(r"exec --no-TTY ([\w-]+)", text)) <= set(services)


def test_the_script_of_the_composition_leaves_an_installation_alone(tmp_path: Path) -> None:
    """Where somebody has answered already, it stops before it touches anything."""
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "compose"
    script.write_text((PROJECT_ROOT / "scripts" / "compose").read_text())
    (tmp_path / ".env").write_text("RESTAR_VERSION=1\n")
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "another checkout" in done.stderr
    assert (tmp_path / ".env").read_text() == "RESTAR_VERSION=1\n"


STAND_IN = """#!/usr/bin/env bash
echo "$COMPOSE_PROJECT_NAME: ${0##*/} $*" >> "$CALLS"
exit "$([ "${0##*/}" = "$FAILS" ] && echo 1 || echo 0)"
"""
"""Writes down how it was called, and fails where it is told to."""


def calls_of_the_composition(tmp_path: Path, *, fails: str = "nothing") -> tuple[int, list[str]]:
    """Exit code and calls of `scripts/compose`, with stand-ins for Docker, curl and the turn."""
    (tmp_path / "scripts").mkdir()
    for name in ("compose", "secrets"):
        shutil.copy(PROJECT_ROOT / "scripts" / name, tmp_path / "scripts" / name)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("docker", "curl", "turn"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHON": str(programs / "turn"),
        "CALLS": str(tmp_path / "calls"),
        "FAILS": fails,
    }
    done = subprocess.run(
        [tmp_path / "scripts" / "compose"], env=environment, capture_output=True, text=True, check=False
    )
    assert not (tmp_path / ".env").exists()
    return done.returncode, (tmp_path / "calls").read_text().splitlines()


def test_the_script_of_the_composition_removes_nothing_of_an_installation(tmp_path: Path) -> None:
    """Every call of Docker is about a project of another name than that of docker-compose.yaml, the last one removes it."""
    code, calls = calls_of_the_composition(tmp_path)
    projects = {call.partition(":")[0] for call in calls}
    assert code == 0
    assert len(projects) == 1
    assert projects.isdisjoint({"", yaml.safe_load((PROJECT_ROOT / "docker-compose.yaml").read_text())["name"]})
    said = [call.partition(": ")[2] for call in calls]
    assert said[0] == "docker compose build"
    assert said[1].startswith("docker compose up --detach --wait")
    assert said[2].startswith("turn scripts/production")
    assert said[-1] == "docker compose down --volumes"


def test_a_turn_that_fails_shows_the_logs_and_is_removed(tmp_path: Path) -> None:
    """The exit code is that of the failure, whatever removing says."""
    code, calls = calls_of_the_composition(tmp_path, fails="turn")
    said = [call.partition(": ")[2] for call in calls]
    assert code == 1
    assert said[-2].startswith("docker compose logs")
    assert said[-1] == "docker compose down --volumes"


def test_the_mail_server_of_a_try_follows_the_schema_and_is_where_the_script_says() -> None:
    """It listens on the port that the answers name, in the network of the relay."""
    path = PROJECT_ROOT / "include" / "production" / "mail-server.yaml"
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*checker, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    service = yaml.safe_load(path.read_text())["services"]["mail-server"]
    script = (PROJECT_ROOT / "scripts" / "compose").read_text()
    assert service["network_mode"] == "service:mail-relay"
    assert f"SMTP_PORT={service['environment']['RESTAR_EMBEDDED__MAIL_PORT']}\n" in script
