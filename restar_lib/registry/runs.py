"""Every model version and how it fared: what `restar runs` lists.

From the sealed folders, the table of verdicts and the release log, which are the truth; MLflow is not asked, so this
works where MLflow is away or was never set up. A version that was judged and whose folder housekeeping has deleted is
still listed. Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from restar_lib.gate import Verdict, newest
from restar_lib.registry import artifact, run_record
from restar_lib.registry.release_log import current
from restar_lib.scoring.engine import ModelInfo
from restar_lib.settings import Settings

OWN_HEAD: Final = "own_head.safetensors"
"""As `training.ensemble.OWN_HEAD`, whose module loads torch: it lies in folders that were averaged, and in no other."""
VERDICTS: Final = 1000
"""So many of the newest are looked at."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One version in the table."""

    version: str
    at: datetime
    """When it was sealed; where the folder is gone, when it was judged."""
    mode: str
    """With the largest number of members where it is an ensemble."""
    encoder: str
    train_rows: int | None
    validation_macro_f1: float | None
    accuracy: float | None
    """On the gate rows of its newest verdict."""
    macro_f1: float | None
    verdict: str
    """`passed`, `provisional`, `refused`, or `-` where nobody has judged it."""
    is_champion: bool
    is_deleted: bool

    @property
    def remark(self) -> str:
        """What sets it apart."""
        return "champion" if self.is_champion else "deleted" if self.is_deleted else ""


def runs(engine: Engine, settings: Settings) -> tuple[Run, ...]:
    """All versions, the newest first."""
    serving = current(engine)
    champion = serving.model_version if serving else None
    verdicts: dict[str, Verdict] = {}
    for verdict in newest(engine, limit=VERDICTS):
        verdicts.setdefault(verdict.challenger, verdict)
    on_disk = artifact.versions(settings.models_dir)
    found = [_on_disk(settings.models_dir / one, verdicts.get(one), champion) for one in on_disk]
    found += _deleted({one: verdict for one, verdict in verdicts.items() if one not in on_disk}, champion)
    return tuple(sorted(found, key=lambda run: run.at, reverse=True))


def _on_disk(folder: Path, verdict: Verdict | None, champion: str | None) -> Run:
    info, metrics = ModelInfo.read(folder), _metrics(folder)
    return Run(
        version=folder.name,
        at=datetime.fromtimestamp((folder / artifact.MANIFEST).stat().st_mtime, UTC),
        mode=_mode(folder, info),
        encoder=info.encoder,
        train_rows=metrics.get("train_rows"),
        validation_macro_f1=metrics.get("validation", {}).get("macro_f1"),
        accuracy=_figure(verdict, "accuracy"),
        macro_f1=_figure(verdict, "macro_f1"),
        verdict=verdict.word if verdict else "-",
        is_champion=folder.name == champion,
        is_deleted=False,
    )


def _deleted(verdicts: Mapping[str, Verdict], champion: str | None) -> Iterator[Run]:
    for version, verdict in verdicts.items():
        yield Run(
            version=version,
            at=verdict.created_at,
            mode="-",
            encoder="-",
            train_rows=None,
            validation_macro_f1=None,
            accuracy=_figure(verdict, "accuracy"),
            macro_f1=_figure(verdict, "macro_f1"),
            verdict=verdict.word,
            is_champion=version == champion,
            is_deleted=True,
        )


def _mode(folder: Path, info: ModelInfo) -> str:
    if not (folder / OWN_HEAD).is_file():
        return info.mode
    record = run_record.read(folder.parent, folder.name)
    members = record.settings.get("training", {}).get("ensemble", 1) if record else 1
    # The setting is a limit: a young house has fewer versions of a kind.
    return f"{info.mode}, mean of {f'up to {members}' if members > 1 else 'several'}"


def _metrics(folder: Path) -> Mapping[str, Any]:
    return dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))


def _figure(verdict: Verdict | None, line: str) -> float | None:
    value = verdict.number(line, "value") if verdict else None
    return value if isinstance(value, float) else None
