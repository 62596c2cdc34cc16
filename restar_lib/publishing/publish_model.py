"""A sealed model, published: every file as it was sealed, a card with its metrics, and the gate's verdict.

The weights go out as safetensors and ONNX, never pickled. A model that was refused, or serves as provisional, may be
published and says so in its first line. It changes nothing in the registry.
"""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import Engine

from restar_lib.artifacts import sealed_folder
from restar_lib.errors import ArtifactError
from restar_lib.gate.verdict_log import latest_verdict
from restar_lib.inference.engine import ModelInfo
from restar_lib.publishing.cards import model_card
from restar_lib.publishing.target import Content, PushResult, target
from restar_lib.releases.release import current
from restar_lib.settings import Settings

CARD, VERDICT = "README.md", "verdict.json"


def champion(engine: Engine) -> str:
    """The version that serves. Raises `ArtifactError` where none does."""
    release = current(engine)
    if release is None:
        raise ArtifactError("no model serves yet: name the version to push, or release one first")
    return release.model_version


def content(engine: Engine, settings: Settings, version: str) -> Content:
    """All files of a published model. Raises `ArtifactError` where a sealed file is not what its manifest says."""
    folder = sealed_folder.locate(settings.models_dir, version)
    sealed = sealed_folder.verify(folder)
    verdict = latest_verdict(engine, challenger=version)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    card = model_card(version, ModelInfo.read(folder), metrics, verdict)
    files: dict[str, bytes | Path] = {name: folder / name for name in [*sorted(sealed), sealed_folder.MANIFEST]}
    if verdict is not None:
        files[VERDICT] = json.dumps(verdict.to_dict(), indent=1, sort_keys=True).encode() + b"\n"
    return {CARD: card.encode(), **files}


def push(
    engine: Engine, settings: Settings, version: str, *, repository: str = "", folder: Path | None = None
) -> PushResult:
    """Publish a model: to `folder`, to `repository` on the hub, or by default below the state folder."""
    to = target(settings, kind="model", repository=repository, folder=folder)
    return to.push(content(engine, settings, version), name=version)
