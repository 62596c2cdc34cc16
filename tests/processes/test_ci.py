"""CI runs what people run, and an audit that could not be made is not called a clean one."""

import json
import os
import re
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
    answered = {line.partition("=")[0] for line in text.partition("'ANSWERS'\n")[2].splitlines() if "=" in line}
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
