"""Reads docker-compose.yaml as Docker Compose does, as far as our file goes: anchors, `${...}`, secrets, dependencies.

What it does not understand it refuses by name, so that a new line in the file cannot be skipped silently. It runs
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<rest>[^}]*))?\})")
SECONDS = {"s": 1, "m": 60, "h": 3600}
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
_IMITATED = (
    "image", "command", "entrypoint", "environment", "volumes", "secrets", "tmpfs", "ports", "depends_on",
    "healthcheck", "restart", "hostname", "deploy", "cap_drop", "security_opt",
)  # fmt: skip
_PASSED_OVER = ("init", "logging", "shm_size", "build", "read_only", "networks", "stop_grace_period")
UNDERSTOOD = frozenset({*_IMITATED, *_PASSED_OVER})
"""Anything else is refused: somebody has to decide which of the two it belongs to."""


class Unreadable(Exception):
    """docker-compose.yaml or an answer in .env is not what it must be; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """Something of ours at a path inside the container."""

    source: str
    """A path, or the name of a volume."""
    target: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """How a container is asked whether it is well."""

    test: tuple[str, ...]
    interval: float
    timeout: float
    retries: int
    start_period: float


@dataclass(frozen=True, kw_only=True)
class Service:
    """One container."""

    name: str
    image: str
    target: str | None
    """Stage of our Dockerfile, where we build the image."""
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    secrets: tuple[str, ...]
    tmpfs: tuple[str, ...]
    ports: tuple[tuple[str, int, int], ...]
    """Published: address, port on this machine, port inside."""
    after: Mapping[str, str]
    """Other service -> what must hold of it first."""
    health: HealthCheck | None
    hostname: str
    stays: bool
    """Whether it is restarted when it ends well."""
    memory: int | None
    """Bytes at most."""


@dataclass(frozen=True, kw_only=True)
class Composition:
    """The whole file."""

    services: Mapping[str, Service]
    secrets: Mapping[str, str]
    """Name -> file, relative to docker-compose.yaml."""
    volumes: frozenset[str]


def read(path: Path, answers: Mapping[str, str], *, override: Path | None = None) -> Composition:
    """The composition with `answers` filled in and the environment that `override` adds. Raises `Unreadable`."""
    raw = _filled(yaml.safe_load(path.read_text(encoding="utf-8")), answers)
    if override is not None:
        _add_environment(raw, _filled(yaml.safe_load(override.read_text(encoding="utf-8")), answers), override)
    return Composition(
        services={name: _service(name, fields) for name, fields in raw["services"].items()},
        secrets={name: fields["file"] for name, fields in raw.get("secrets", {}).items()},
        volumes=frozenset(raw.get("volumes", {})),
    )


def read_answers(path: Path) -> dict[str, str]:
    """NAME=value lines of a .env file; empty answers are no answers, as for Compose's `:?`."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def fill(text: str, answers: Mapping[str, str]) -> str:
    """`text` with `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?complaint}` and `$$` resolved."""

    def value(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name, how, rest = found["name"], found["how"] or "", found["rest"] or ""
        known = answers.get(name)
        if known or (known is not None and not how.startswith(":")):
            return known
        if how.endswith("?"):
            raise Unreadable(f"{name} is missing in .env: {rest}")
        return rest if how.endswith("-") else ""

    return VARIABLE.sub(value, text)


def _add_environment(raw: dict[str, Any], added: Mapping[str, Any], override: Path) -> None:
    for name, fields in added["services"].items():
        if name not in raw["services"] or fields.keys() != {"environment"}:
            raise Unreadable(
                f"{override}: service {name}: only the environment of a known service can be added to here"
            )
        service = raw["services"][name]
        service["environment"] = service.get("environment", {}) | fields["environment"]


def _filled(node: Any, answers: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return fill(node, answers)
    if isinstance(node, list):
        return [_filled(item, answers) for item in node]
    if isinstance(node, dict):
        return {key: _filled(item, answers) for key, item in node.items() if not str(key).startswith("x-")}
    return node


def _service(name: str, fields: Mapping[str, Any]) -> Service:
    if unknown := fields.keys() - UNDERSTOOD:
        raise Unreadable(f"service {name}: {', '.join(sorted(unknown))} is not understood here")
    restart = fields.get("restart", "no")
    return Service(
        name=name,
        image=fields["image"],
        target=fields.get("build", {}).get("target"),
        entrypoint=_words(fields.get("entrypoint", [])),
        command=_words(fields.get("command", [])),
        environment={key: str(value) for key, value in fields.get("environment", {}).items()},
        mounts=tuple(_mount(text) for text in fields.get("volumes", [])),
        secrets=tuple(fields.get("secrets", [])),
        tmpfs=tuple(fields.get("tmpfs", [])),
        ports=tuple(_port(text) for text in fields.get("ports", [])),
        after=_after(fields.get("depends_on", {})),
        health=_health(fields.get("healthcheck", {"disable": True})),
        hostname=fields.get("hostname", name),
        stays=restart in {"always", "unless-stopped"},
        memory=_bytes(fields.get("deploy", {}).get("resources", {}).get("limits", {}).get("memory")),
    )


def _words(value: str | list[Any]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise Unreadable(f"write {value!r} as a list of words")
    return tuple(str(word) for word in value)


def _mount(text: str) -> Mount:
    source, target, *mode = text.split(":")
    return Mount(source=source, target=target, read_only=mode == ["ro"])


def _port(text: str) -> tuple[str, int, int]:
    address, published, inside = text.rsplit(":", 2)
    return address, int(published), int(inside)


def _after(value: list[str] | Mapping[str, Any]) -> dict[str, str]:
    if isinstance(value, list):
        return dict.fromkeys(value, "service_started")
    return {name: fields["condition"] for name, fields in value.items()}


def _health(fields: Mapping[str, Any]) -> HealthCheck | None:
    if fields.get("disable"):
        return None
    kind, *words = fields["test"]
    test = {"CMD": words, "CMD-SHELL": ["sh", "-c", *words]}[kind]
    return HealthCheck(
        test=tuple(test),
        interval=_seconds(fields["interval"]),
        timeout=_seconds(fields["timeout"]),
        retries=fields["retries"],
        start_period=_seconds(fields["start_period"]),
    )


def _seconds(text: str) -> float:
    return float(text[:-1]) * SECONDS[text[-1]]


def _bytes(text: str | None) -> int | None:
    return None if text is None else int(float(text[:-1]) * UNITS[text[-1].lower()])
