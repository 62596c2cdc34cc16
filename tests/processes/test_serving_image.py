"""The serving image without Docker: its packages and its files alone, and the API starts from them.

The packages are those of requirements/serving.txt, linked from this environment, where the same pins are installed. The
files are those that the Dockerfile's stage `serving` copies.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path

import httpx
import pytest
from packaging.markers import Marker

from restar_lib.artifacts.pointer import Pointer, write_pointer
from restar_lib.settings import PROJECT_ROOT
from tests.tiny_model import sealed_tiny_model

START = "from restar_lib.cli import main; main()"


def pinned(name: str = "serving") -> dict[str, str]:
    """Name and version of every package in a file of requirements, on this platform."""
    found = {}
    for line in (PROJECT_ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        requirement, _, marker = line.partition(" ; ")
        if requirement and not requirement.startswith("#") and (not marker or Marker(marker).evaluate()):
            package, _, version = requirement.partition("==")
            found[package] = version
    return found


def copied() -> list[str]:
    """What the stage `serving` copies from the project."""
    stage = (PROJECT_ROOT / "Dockerfile").read_text().split("FROM base AS serving\n")[1].split("\nFROM ")[0]
    lines = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*$", stage, re.MULTILINE)]
    return [source for line in lines for source in line]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's `/opt`: `restar` with the files, `venv` with the packages."""
    opt = tmp_path_factory.mktemp("opt")
    for source in copied():
        target = opt / "restar" / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT_ROOT / source).is_dir():
            shutil.copytree(PROJECT_ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT_ROOT / source, target)
    venv.create(opt / "venv", symlinks=True)
    site = next((opt / "venv" / "lib").glob("python3*/site-packages"))
    for name in pinned():
        link_distribution(name, site)
    write_project(site, opt / "restar")
    return opt


def link_distribution(name: str, site: Path) -> None:
    """Link one installed package, and nothing that it does not own, into `site`."""
    found = distribution(name)
    for entry in {Path(file).parts[0] for file in found.files or () if not str(file).startswith((".", "__"))}:
        if not (site / entry).exists():
            (site / entry).symlink_to(Path(str(found.locate_file(entry))))


def write_project(site: Path, root: Path) -> None:
    """What an editable install leaves: the project's metadata and the way to its files."""
    metadata = site / f"restar-{distribution('restar').version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: restar\nVersion: {distribution('restar').version}\n")
    (site / "restar.pth").write_text(f"{root}\n")


@contextmanager
def serving(image: Path, home: Path) -> Iterator[str]:
    """`restar serve` from the image; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"], "RESTAR_HOME": str(home), "RESTAR_PROFILE": "production",
        "RESTAR_SERVING__PORT": str(port), "RESTAR_SERVING__POLL_SECONDS": "0.1",
    }  # fmt: skip
    command = [image / "venv" / "bin" / "python", "-P", "-c", START, "serve"]
    process = subprocess.Popen(command, env=environment, cwd="/", stderr=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        sys.stderr.write(process.communicate(timeout=20)[1][-2000:])  # pytest shows it where the test fails


def answer_of(url: str) -> httpx.Response:
    """The first 200, within a minute."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.get(url, trust_env=False)
        except httpx.TransportError:
            answer = httpx.Response(503)
        if answer.status_code == 200 or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)


def test_the_pins_are_those_of_the_house() -> None:
    """What serves is what was tested: the same versions as run.txt, installed here."""
    assert pinned().items() <= pinned("run").items()
    assert {name: distribution(name).version for name in pinned()} == pinned()


def test_it_holds_no_airflow_no_training_and_no_database(image: Path) -> None:
    """Neither the packages nor our own code for them."""
    absent = ("airflow", "torch", "transformers", "mlflow", "evidently", "pandas", "sqlalchemy", "psycopg", "sklearn")
    code = f"import importlib.util as u; print([name for name in {absent!r} if u.find_spec(name)])"
    done = subprocess.run([image / "venv" / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    folders = {path.name for path in (image / "restar" / "restar_lib").iterdir() if path.is_dir()}
    assert folders == {"cli", "settings", "serving", "inference", "artifacts", "ingest", "languages"}


def test_the_api_starts_from_these_files_and_packages_alone(image: Path, tmp_path: Path) -> None:
    """Alive without a model, ready with one; it predicts, and Prometheus can read it."""
    version = sealed_tiny_model(tmp_path / "models").name
    with serving(image, tmp_path) as url:
        assert answer_of(f"{url}/health").status_code == 200
        assert httpx.get(f"{url}/ready").status_code == 503
        pointer = Pointer(
            release_id=1, model_version=version, folder=f"models/{version}", provisional=False,
            released_at=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        write_pointer(tmp_path / "serving" / "champion.json", pointer)
        assert answer_of(f"{url}/ready").json()["model_version"] == version
        assert httpx.post(f"{url}/predict", json={"text": "An excellent lamp"}).json()["sentiment"] == "positive"
        assert 'restar_predictions_total{sentiment="positive"} 1.0' in httpx.get(f"{url}/metrics").text


def test_a_package_that_is_not_pinned_is_not_linked(image: Path) -> None:
    """The test above would be worth nothing in an environment that has everything."""
    site = next((image / "venv" / "lib").glob("python3*/site-packages"))
    names = {path.name.split("-")[0].lower().replace("_", "-") for path in site.glob("*.dist-info")}
    assert names - {"restar"} == {name.lower() for name in pinned()}
