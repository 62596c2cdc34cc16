"""Which earlier models a training builds on: the champion that it starts from, the versions that it is averaged with.

Only models with the same encoder, window and use of titles qualify. A model that is built on one of simulated reviews
is marked as simulated too. It neither averages (`ensemble`) nor moves a head (`increment`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.domain import SENTIMENTS, Example, Sentiment, Side, TruthSource
from restar_lib.errors import ArtifactError, SnapshotError
from restar_lib.inference.engine import ModelInfo
from restar_lib.settings import Settings
from restar_lib.training.encoder import Encoder
from restar_lib.training.ensemble import head_shape, last_versions
from restar_lib.training.network import SentimentModel, load_weights

FROZEN: Final = frozenset({"head", "increment"})
"""Modes that leave the encoder as it was: their heads have an exact average."""


def starts_from_champion(settings: Settings) -> bool:
    """Whether the configured training goes on from a champion's weights."""
    return settings.training.start_from == "champion" or settings.training.mode == "increment"


def load_champion_weights(model: SentimentModel, champion: Path, *, encoder: Encoder) -> ModelInfo:
    """Give `model` the champion's weights. Raises `ArtifactError` where it is of another encoder, or shape."""
    info = ModelInfo.read(champion)
    if info.encoder_sha256 != encoder.sha256:
        raise ArtifactError(
            f"{champion.name} grew from encoder {info.encoder}, which is not the configured {encoder.name} (or other "
            "weights of that name): set training.start_from to encoder and training.mode to another than increment"
        )
    load_weights(model, champion)
    return info


def champion_training_rows(champion: Path | None, settings: Settings, snapshot: Snapshot) -> Sequence[Example]:
    """What the champion learned from, for an increment.

    Raises `SnapshotError` where there is none, where its snapshot is gone, or where its window or titles differ from
    the configured ones.
    """
    if champion is None:
        raise SnapshotError("training.mode = increment moves a champion's head, and there is none: train one by `head`")
    info, folder = ModelInfo.read(champion), settings.snapshots_dir / ModelInfo.read(champion).snapshot_hash
    if _reading(info) != _configured(settings, snapshot):
        raise SnapshotError(
            f"training.mode = increment: {champion.name} reads other windows or titles than are configured; train by "
            "`head` once"
        )
    if not folder.is_dir():
        raise SnapshotError(
            f"training.mode = increment: the snapshot {folder.name} of the champion {champion.name} is gone, so nobody "
            "knows what is new to it; train by `head` once"
        )
    return load(folder).examples(Side.TRAIN)


@dataclass(frozen=True, kw_only=True)
class TrainedClasses:
    """Which sentiments a training has seen, in their order."""

    learned: tuple[Sentiment, ...]
    """All that its rows had."""
    rated: tuple[Sentiment, ...]
    """Those that the stars among them stand for; where there are no stars, all of them."""


def classes_of_training(train: Sequence[Example], settings: Settings, champion: Path | None) -> TrainedClasses:
    """The classes that the challenger knows: those of its rows, and where it only moves a head the champion's too."""
    before = ModelInfo.read(champion) if champion and settings.training.mode == "increment" else None
    of_rows = {row.truth for row in train}
    of_stars = {row.truth for row in train if row.truth_source is TruthSource.STARS} or of_rows
    return TrainedClasses(
        learned=_ordered(of_rows, before.learned if before else ()),
        rated=_ordered(of_stars, before.rated if before else ()),
    )


def _ordered(known: Collection[Sentiment], also: Collection[str]) -> tuple[Sentiment, ...]:
    return tuple(sentiment for sentiment in SENTIMENTS if sentiment in known or sentiment.value in also)


def ensemble_members(
    model: SentimentModel,
    settings: Settings,
    snapshot: Snapshot,
    *,
    encoder: Encoder,
    classes: Collection[str],
    withdrawn: Collection[str] = (),
) -> tuple[Path, ...]:
    """The versions that the training is averaged with, the newest last; none where `training.ensemble` is 1.

    No version that is `withdrawn`: one that was rolled back from, or that serving refused. None that learned other
    classes than these `classes`: one that knows no neutral reviews would keep the average from saying neutral.
    """

    def fits(folder: Path, info: ModelInfo) -> bool:
        same_kind = (info.mode in FROZEN) == (settings.training.mode in FROZEN)
        same_reviews = info.simulated == (settings.simulated_notice is not None)
        reads_alike = _reading(info) == _configured(settings, snapshot)
        same_classes = set(info.learned) == set(classes)
        alike = same_kind and same_reviews and same_classes and reads_alike
        return alike and head_shape(folder) == tuple(model.head.weight.shape)

    return last_versions(
        settings.models_dir,
        count=settings.training.ensemble - 1,
        encoder_sha256=encoder.sha256,
        but=snapshot.snapshot_hash,
        withdrawn=withdrawn,
        fits=fits,
    )


def _reading(info: ModelInfo) -> tuple[int, str, bool]:
    return info.max_tokens, info.long_texts, info.reads_titles


def _configured(settings: Settings, snapshot: Snapshot) -> tuple[int, str, bool]:
    return settings.training.max_tokens, settings.training.long_texts, snapshot.titles
