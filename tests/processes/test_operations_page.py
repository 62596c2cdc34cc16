"""The run-book is fresh: every DAG, every alert, every command and every time of retention stands in it."""

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
import yaml
from typer.main import get_command

from restar_lib.cli import app
from restar_lib.monitoring.alerts.alert_log import AlertKind
from restar_lib.settings import PROJECT_ROOT, HousekeepingSettings

PAGE = (PROJECT_ROOT / "docs" / "operations.md").read_text()
WATCHING = (PROJECT_ROOT / "docs" / "watching.md").read_text()
RULES = PROJECT_ROOT / "include" / "prometheus" / "alerts.yml"


def commands(group: click.Command, *before: str) -> Iterator[str]:
    """All commands, with the names of their groups."""
    if isinstance(group, click.Group) or hasattr(group, "commands"):
        for name, command in group.commands.items():  # type: ignore[attr-defined]
            yield from commands(command, *before, name)
    else:
        yield " ".join(before)


def test_every_dag_says_what_its_docstring_says() -> None:
    """Run `scripts/run_book` and commit the page."""
    script = [sys.executable, str(PROJECT_ROOT / "scripts" / "run_book"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((PROJECT_ROOT / "dags").glob("*.py")), ids=lambda path: path.stem)
def test_every_dag_has_its_section(path: object) -> None:
    """By its name, with when it runs, why a re-run is safe, and what to do when it fails."""
    name = getattr(path, "stem", "")
    _, found, rest = PAGE.partition(f"### {name}: ")
    assert found, f"{name} is missing: run `scripts/run_book`"
    section = rest.partition("\n### ")[0]
    assert all(heading in section for heading in ("**When**", "**Again**", "**When it fails**"))


@pytest.mark.parametrize("kind", AlertKind)
def test_every_alert_is_named_and_leads_to_what_to_do(kind: AlertKind) -> None:
    """A section of `watching.md`, and a line here that leads to it."""
    assert f"## Alert: {kind.value}\n" in WATCHING, "add the section to docs/watching.md"
    assert f"[{kind.value}](watching.md#alert-{kind.value})" in PAGE, "add a line to docs/operations.md"


def test_every_alert_of_prometheus_is_explained() -> None:
    """And none that is gone."""
    rules = yaml.safe_load(RULES.read_text())["groups"]
    named = {rule["alert"] for group in rules for rule in group["rules"] if "alert" in rule}
    table = PAGE.partition("### From Prometheus")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| ([A-Z]\w+) \|", table, re.MULTILINE)) == named


def test_every_command_is_listed() -> None:
    """And every command that is named is one."""
    table = PAGE.partition("## Commands")[2]
    listed = {
        name
        for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall("`restar (.*?)`", cell)
    }
    assert listed == set(commands(get_command(app)))
    named = set(re.findall(r"restar ([a-z][a-z-]+)", PAGE)) - {"where"}
    assert named <= {one.split()[0] for one in listed}


def test_every_time_of_retention_is_said() -> None:
    """A key of section `housekeeping` that nobody knows of surprises somebody."""
    assert [key for key in HousekeepingSettings.model_fields if f"housekeeping.{key}" not in PAGE] == []
