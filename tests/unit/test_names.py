"""One word, one thing: names of classes, modules and rooms, and the page that names them."""

import ast
import importlib.util
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from restar_lib.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "restar_lib"
ARCHITECTURE = PROJECT_ROOT / "docs" / "architecture.md"
SAME_IN_EVERY_ROOM = {"__init__", "page"}
"""A room's own text, and the page that a room draws."""
MOST_FILES = 14
"""About a dozen at one level of a room; more means rooms inside (DESIGN section 4)."""
MOST_LINES = 350


def modules(root: Path) -> Iterator[Path]:
    """Every module of a package but the migrations, which are numbered steps and no names."""
    return (path for path in sorted(root.rglob("*.py")) if "migrations" not in path.parts)


def repeated(places: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Names that stand in more than one place."""
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


def repeated_classes(root: Path) -> dict[str, list[str]]:
    """Public classes of one name, with the modules that define them."""
    places = defaultdict(list)
    for path in modules(root):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(root)))
    return repeated(places)


def repeated_modules(root: Path) -> dict[str, list[str]]:
    """Modules of one name in different rooms."""
    places = defaultdict(list)
    for path in modules(root):
        if path.stem not in SAME_IN_EVERY_ROOM:
            places[path.stem].append(str(path.relative_to(root)))
    return repeated(places)


def test_one_class_name_stands_for_one_thing() -> None:
    """Two public classes never share a name: give the newer one the name of what it is."""
    assert repeated_classes(PACKAGE) == {}


def test_one_module_name_stands_for_one_thing() -> None:
    """Two modules in different rooms never share a name, but for those of `SAME_IN_EVERY_ROOM`."""
    assert repeated_modules(PACKAGE) == {}


def test_a_repeated_name_is_found(tmp_path: Path) -> None:
    """The two tests above would fail where a name came twice."""
    for room in ("ingest", "gate"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "report.py").write_text("class Answer: ...\nclass _Private: ...\n")
        (tmp_path / room / "page.py").write_text("")
    assert repeated_classes(tmp_path) == {"Answer": ["gate/report.py", "ingest/report.py"]}
    assert repeated_modules(tmp_path) == {"report": ["gate/report.py", "ingest/report.py"]}


@pytest.mark.parametrize("room", sorted({path.parent for path in modules(PACKAGE)}), ids=lambda path: path.name)
def test_a_room_is_small_enough_to_look_over(room: Path) -> None:
    """A room with more than about a dozen files gets rooms inside."""
    assert len([path for path in room.glob("*.py") if path.stem != "__init__"]) <= MOST_FILES


def test_a_file_is_small_enough_to_read() -> None:
    """A file that outgrows this is two files."""
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in modules(PACKAGE)}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_every_module_and_room_says_what_it_is_for() -> None:
    """A module opens with a docstring; a room's says what goes in and what comes out."""
    silent = [str(path) for path in modules(PACKAGE) if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent.parent == PACKAGE and path.parent.name not in {"cli", "settings", "orchestration"}:
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            assert re.search(r"\bIn:\s", text), path
            assert re.search(r"\bOut:\s", text), path


def named_in_the_architecture() -> list[str]:
    """What the page names, as `path` or `path:name`: files, folders with a slash behind, and what a file defines."""
    named = []
    for path, names in re.findall(r"`([a-z_/]+(?:\.py|/))`((?:: |, )`[A-Za-z_.]+`(?:, `[A-Za-z_.]+`(?!:))*)?", _page()):
        named.append(path)
        if names.startswith(": ") and path.endswith(".py"):
            named += [f"{path}:{name}" for name in re.findall(r"`([A-Za-z_.]+)`", names) if not name.endswith(".py")]
    return sorted(set(named))


def _page() -> str:
    """The page without its pictures and without the paths that lie outside the package."""
    return re.sub(r"```.*?```|`(?:dags|include|restar_lib)/[^`]*`", "", ARCHITECTURE.read_text(), flags=re.DOTALL)


def test_the_architecture_page_names_what_it_walks_through() -> None:
    """The walk of one review names at least a step of every part of the loop."""
    assert len(named_in_the_architecture()) >= 90


@pytest.mark.parametrize("name", named_in_the_architecture())
def test_a_name_of_the_architecture_page_is_there(name: str) -> None:
    """Mend docs/architecture.md when a module or a function moves."""
    assert found(name), f"restar_lib/{name} is named in docs/architecture.md and is not there"


def found(name: str) -> bool:
    """Whether a file or folder is there, and defines what stands behind the colon; it is read, not imported."""
    path, _, inside = name.partition(":")
    if not (PACKAGE / path).exists():
        return False
    return not inside or defines(ast.parse((PACKAGE / path).read_text()), inside.split("."))


def defines(tree: ast.AST, names: list[str]) -> bool:
    """Whether a module or class body defines `names`, one inside the other."""
    for node in ast.iter_child_nodes(tree):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        own = {getattr(node, "name", None), *(getattr(target, "id", None) for target in targets)}
        if names[0] in own:
            return len(names) == 1 or defines(node, names[1:])
    return False


def layers() -> list[str]:
    """The layers of the import contract, the ground first."""
    contracts = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["type"] == "layers"]
    assert "ignore_imports" not in contract
    return [str(layer) for layer in reversed(contract["layers"])]


def test_every_room_has_its_place_in_the_contract() -> None:
    """A new room is put into the list in pyproject.toml, and into the picture of docs/architecture.md."""
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert set(layers()) == rooms - {"__init__"}
    picture = ARCHITECTURE.read_text()
    assert [room for room in layers() if not re.search(rf"\b{room}\b", picture)] == []


def test_the_names_of_the_contract_can_be_imported() -> None:
    """The contract speaks of packages that are there."""
    for room in layers():
        assert importlib.util.find_spec(f"restar_lib.{room}") is not None
