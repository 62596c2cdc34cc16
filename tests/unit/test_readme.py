"""The README tells the truth: its tree, its make targets, its commands."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from restar_lib.cli import app
from restar_lib.settings import PROJECT_ROOT

README = (PROJECT_ROOT / "README.md").read_text()
MAKEFILE = (PROJECT_ROOT / "Makefile").read_text()


def tree() -> list[Path]:
    """Paths of the annotated tree."""
    block = README.split("## Where things are")[1].split("```")[1]
    paths, parent = [], Path()
    for line in filter(str.strip, block.splitlines()):
        names = re.findall(r"[\w.-]+(?:/|\.py)", line.split("   ")[0] if line[0] != " " else line)
        inside = line.startswith(" ")
        if not inside:
            parent = Path(names[0])
        paths += [parent / name if inside else Path(name) for name in names[: None if line.count(".py") > 1 else 1]]
    return paths


@pytest.mark.parametrize("path", tree(), ids=str)
def test_every_path_of_the_tree_exists(path: Path) -> None:
    """Mend the README's tree when a folder moves."""
    assert (PROJECT_ROOT / path).exists()


def test_every_package_stands_in_the_tree() -> None:
    """A newcomer finds every room of `restar_lib`."""
    packages = {folder.parent.name for folder in (PROJECT_ROOT / "restar_lib").glob("*/__init__.py")}
    assert packages <= {path.name for path in tree()}


def test_every_make_target_of_the_readme_is_there() -> None:
    """`make something` in the README is a target of the Makefile."""
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert named <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def test_every_restar_command_of_the_readme_is_there() -> None:
    """`restar something` in the README is a command."""
    named = set(re.findall(r"`(?:\S*/)?restar ([a-z][a-z-]*)", README))
    assert named <= set(get_command(app).commands)


def test_links_lead_somewhere() -> None:
    """Relative links of the README and the decisions point at files."""
    for page in [PROJECT_ROOT / "README.md", *(PROJECT_ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
