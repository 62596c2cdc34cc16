"""From YAML and environment to `Settings`, and where each value came from; it alone reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import ValidationError

from restar_lib.errors import ConfigurationError
from restar_lib.settings.configuration import PROJECT_ROOT, Settings
from restar_lib.settings.list_values import as_list, takes_a_list
from restar_lib.settings.sections import Section

ENV_PREFIX = "RESTAR_"
EMBEDDED = "embedded.yaml"
FILE_SUFFIX = "_FILE"
SECRETS = frozenset({"database.url", "database.mlflow_url", "database.airflow_url", "webhook.url", "hub.token"})
"""Keys whose values stand in no message."""
HUB_VARIABLES = {"HF_ENDPOINT": "endpoint", "HF_TOKEN": "token"}
"""What the hub's own library reads, and the keys of section `hub` that it means."""
MERGED = frozenset({"source.fields", "gate.behaviour_floors"})
"""Mappings of which a later layer changes single entries; it replaces any other value as a whole."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Settings and, for each dotted key that is not a typed default, the layer that set it."""

    settings: Settings
    origins: Mapping[str, str]


def load(*, environment: Mapping[str, str], root: Path = PROJECT_ROOT) -> Loaded:
    """Read all layers. Raises `ConfigurationError` naming the key, the value and the allowed range."""
    home = Path(environment.get("RESTAR_HOME", root / "var"))
    profile = environment.get("RESTAR_PROFILE") or _remembered_profile(home)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in _layers(root=root, profile=profile, home=home, environment=environment):
        _merge(values, layer, origin=origin, origins=origins)
    values |= {"profile": profile, "home": home}
    try:
        return Loaded(settings=Settings.model_validate(values), origins=origins)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, origins)) from None


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return load(environment=os.environ).settings


def process_environment() -> dict[str, str]:
    """A copy of this process's environment, for starting a child with more in it."""
    return dict(os.environ)


def _layers(
    *, root: Path, profile: str, home: Path, environment: Mapping[str, str]
) -> list[tuple[str, dict[str, Any]]]:
    config = root / "include" / "config"
    names = ["default"] if profile == "default" else ["default", profile]
    files = [config / f"{name}.yaml" for name in names]
    if not files[-1].exists():
        known = ", ".join(sorted(path.stem for path in config.glob("*.yaml")))
        raise ConfigurationError(f"RESTAR_PROFILE={profile}: there is no such profile; known are: {known}")
    written = [home / name for name in (EMBEDDED, "drill.yaml")]
    layers = [(f"include/config/{path.name}", _read_yaml(path)) for path in files]
    layers += [(str(path), _without_profile(_read_yaml(path))) for path in written if path.exists()]
    return [*layers, ("environment", _from_environment(environment))]


def _remembered_profile(home: Path) -> str:
    """The profile that `make run` began this state with: terminals beside it need not repeat it."""
    embedded = home / EMBEDDED
    return str(_read_yaml(embedded).get("profile", "default")) if embedded.exists() else "default"


def _without_profile(layer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in layer.items() if key != "profile"}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: expected sections at the top level, found {type(content).__name__}")
    return content


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for name, key in HUB_VARIABLES.items():
        if environment.get(name):
            layer.setdefault("hub", {})[key] = environment[name]
    for name, raw in _with_secret_files(environment).items():
        section, separator, key = name.removeprefix(ENV_PREFIX).partition("__")
        if name.startswith(ENV_PREFIX) and separator:
            # A URL or a password is text even where YAML would read it as something else, and so is nothing at all.
            value = raw if not raw or f"{section}.{key}".lower() in SECRETS else _value_in(name, raw)
            layer.setdefault(section.lower(), {})[key.lower()] = value
    return layer


def _value_in(name: str, raw: str) -> Any:
    try:
        return yaml.safe_load(raw)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(
            f"{name}={raw}: not valid YAML ({problem}); a text with marks of YAML goes in quotes, a list in brackets: "
            "[ops@example.com]"
        ) from None


def _with_secret_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the content of each file that `RESTAR_<SECTION>__<KEY>_FILE` names, under `..._<KEY>`."""
    found: dict[str, str] = {}
    for name, value in environment.items():
        if not (name.startswith(ENV_PREFIX) and "__" in name and name.endswith(FILE_SUFFIX)):
            found[name] = value
            continue
        try:
            # A secret ends where its line ends: every editor adds that end.
            found[name.removesuffix(FILE_SUFFIX)] = Path(value).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{name}={value}: the file cannot be read ({error})") from None
    return found


def _merge(values: dict[str, Any], layer: dict[str, Any], *, origin: str, origins: dict[str, str]) -> None:
    for section, content in layer.items():
        if not isinstance(content, dict):
            raise ConfigurationError(f"{section} = {content!r} ({origin}): expected a section with keys")
        for key, value in content.items():
            dotted, known = f"{section}.{key}", values.setdefault(section, {})
            if dotted in MERGED and isinstance(value, dict):
                before = known.get(key, _default_of(section, key))
                known[key] = _merged(before, value) if isinstance(before, dict) else value
                origins[dotted] = f"{origin}, over {origins[dotted]}" if dotted in origins else origin
            else:
                known[key] = value
                origins[dotted] = origin


def _default_of(section: str, key: str) -> Any:
    kind = Settings.model_fields[section].annotation
    return kind.model_fields[key].default if isinstance(kind, type) and issubclass(kind, Section) else None


def _merged(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """`before` with the entries of `after`; in a list what is added comes first, and an empty one removes."""
    merged = dict(before)
    for name, value in after.items():
        known, added = merged.get(name), as_list(value)
        if isinstance(added, list | tuple) and not all(isinstance(one, str | int | float) for one in added):
            raise ConfigurationError(
                f"{name}: {added!r} is no list of names; a name with a colon, a comma or brackets needs quotes: "
                f'{{{name}: ["Rating: overall"]}}'
            )
        both = isinstance(known, list | tuple | str) and isinstance(added, list | tuple) and added
        merged[name] = list(dict.fromkeys([*added, *as_list(known)])) if both else value
    return merged


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors():
        dotted = ".".join(str(part) for part in problem["loc"])
        key = ".".join(str(part) for part in problem["loc"][:2])
        if problem["type"] == "extra_forbidden":
            lines.append(
                f"{dotted}: unknown key (from {origins.get(key, 'an unknown section')}); see `restar config show`"
            )
        else:
            value = "(a secret)" if key in SECRETS else repr(problem["input"])
            advice = _list_advice(problem["loc"])
            lines.append(f"{dotted} = {value} (from {origins.get(key, 'a default')}): {problem['msg']}{advice}")
    return "; ".join(lines)


def _list_advice(location: Sequence[int | str]) -> str:
    """How to write the value of a key that takes a list; empty for others."""
    annotation: Any = Settings
    for name in location[:2]:
        if not (isinstance(annotation, type) and issubclass(annotation, Section) and name in annotation.model_fields):
            return ""
        annotation = annotation.model_fields[str(name)].annotation
    if not takes_a_list(annotation):
        return ""
    written = "{text: [review]}" if get_origin(annotation) is dict else "[ops@example.com], ['123']"
    return f"; a list is written in brackets: {written}"
