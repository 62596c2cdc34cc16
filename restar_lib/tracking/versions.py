"""Every model version and how it fared: what `restar runs` lists.

From the sealed folders, the table of verdicts and the release log, which are the truth; MLflow is not asked, so this
works where MLflow is away or was never set up. A version that was judged and whose folder housekeeping has deleted is
still listed, and so is one whose files cannot be read. Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.release_log import current
from restar_lib.errors import ArtifactError
from restar_lib.gate.verdict import Verdict
from restar_lib.gate.verdict_log import newest
from restar_lib.inference.engine import ModelInfo
from restar_lib.settings import Settings
from restar_lib.tracking import training_record

OWN_HEAD: Final = "own_head.safetensors"
"""As `training.ensemble.OWN_HEAD`, whose module loads torch: it lies in folders that were averaged, and in no other."""
VERDICTS: Final = 1000
"""So many of the newest are looked at."""


@dataclass(frozen=True, kw_only=True)
class VersionSummary:
    """One version in the table."""

    version: str
    at: datetime
    """When it was sealed; where the folder is gone, when it was judged."""
    accuracy: float | None
    """On the test rows of its newest verdict."""
    macro_f1: float | None
    verdict: str
    """`passed`, `provisional`, `refused`, or `-` where nobody has judged it."""
    is_champion: bool
    is_deleted: bool = False
    damage: str = ""
    """Why its files cannot be read; empty where they can."""
    mode: str = "-"
    """With the largest number of members where it is an ensemble."""
    encoder: str = "-"
    train_rows: int | None = None
    validation_macro_f1: float | None = None

    @property
    def remark(self) -> str:
        """Champion, deleted or damaged; empty for all others."""
        words = {
            "champion": self.is_champion,
            "deleted": self.is_deleted and not self.is_champion,
            f"damaged: {self.damage}": self.damage,
        }
        return ", ".join(word for word, applies in words.items() if applies)


def all_versions(engine: Engine, settings: Settings) -> tuple[VersionSummary, ...]:
    """All versions, the newest first."""
    serving = current(engine)
    champion = serving.model_version if serving else None
    verdicts: dict[str, Verdict] = {}
    for verdict in newest(engine, limit=VERDICTS):
        verdicts.setdefault(verdict.challenger, verdict)
    on_disk = sealed_folder.versions(settings.models_dir)
    found = [_on_disk(settings.models_dir / one, verdicts.get(one), champion) for one in on_disk]
    found += _deleted({one: verdict for one, verdict in verdicts.items() if one not in on_disk}, champion)
    return tuple(sorted(found, key=lambda one: one.at, reverse=True))


def _on_disk(folder: Path, verdict: Verdict | None, champion: str | None) -> VersionSummary:
    sealed_at = datetime.fromtimestamp((folder / sealed_folder.MANIFEST).stat().st_mtime, UTC)
    known = _known(folder.name, at=sealed_at, verdict=verdict, champion=champion)
    try:
        info, (rows, macro_f1) = ModelInfo.read(folder), _metrics(folder)
        mode = _mode(folder, info)
    except ArtifactError as error:
        return replace(known, damage=str(error))
    return replace(known, mode=mode, encoder=info.encoder, train_rows=rows, validation_macro_f1=macro_f1)


def _deleted(verdicts: Mapping[str, Verdict], champion: str | None) -> Iterator[VersionSummary]:
    for version, verdict in verdicts.items():
        yield replace(_known(version, at=verdict.created_at, verdict=verdict, champion=champion), is_deleted=True)


def _known(version: str, *, at: datetime, verdict: Verdict | None, champion: str | None) -> VersionSummary:
    """What the tables know, whatever is on disk."""
    return VersionSummary(
        version=version,
        at=at,
        accuracy=_figure(verdict, "accuracy"),
        macro_f1=_figure(verdict, "macro_f1"),
        verdict=verdict.word if verdict else "-",
        is_champion=version == champion,
    )


def _mode(folder: Path, info: ModelInfo) -> str:
    if not (folder / OWN_HEAD).is_file():
        return info.mode
    record = training_record.read(folder.parent, folder.name)
    members = record.settings.get("training", {}).get("ensemble", 1) if record else 1
    # The setting is a limit: a new installation has fewer versions of a kind.
    return f"{info.mode}, mean of {f'up to {members}' if members > 1 else 'several'}"


def _metrics(folder: Path) -> tuple[int | None, float | None]:
    """Training rows, and macro-F1 on the validation rows. Raises `ArtifactError` where the file is damaged."""
    path = folder / "metrics.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows, macro_f1 = content.get("train_rows"), content.get("validation", {}).get("macro_f1")
        return None if rows is None else int(rows), None if macro_f1 is None else float(macro_f1)
    except (OSError, AttributeError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from None


def _figure(verdict: Verdict | None, line: str) -> float | None:
    value = verdict.number(line, "value") if verdict else None
    return value if isinstance(value, float) else None
