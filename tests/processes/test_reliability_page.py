"""docs/reliability.md says what the last soak recorded, and its links lead somewhere."""

import re
import subprocess
import sys

import pytest

from restar_lib.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "reliability.md"


def test_the_tables_are_those_of_the_results() -> None:
    """Run scripts/reliability after a soak; a table that nobody measured has no place there."""
    if not (PROJECT_ROOT / "benchmarks" / "results" / "reliability.json").exists():
        pytest.skip("no soak was recorded yet: `make soak`")
    command = [sys.executable, str(PROJECT_ROOT / "scripts" / "reliability"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_file_that_the_page_names_exists() -> None:
    """Links and code paths."""
    text = PAGE.read_text()
    names = re.findall(r"\]\(([\w./-]+)\)", text)
    assert all((PAGE.parent / name).exists() for name in names)
    paths = re.findall(r"`((?:restar_lib|tests|scripts)/[\w./-]+)`", text)
    assert paths
    assert all((PROJECT_ROOT / path).exists() for path in paths)
