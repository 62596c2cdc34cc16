"""An ensemble of the last k versions that costs nothing at serving time: one network with averaged weights.

Where all members share a frozen encoder, the mean of their heads answers with exactly the mean of their logits, because
a head is linear: a real ensemble in the size of one model. Where the encoders were trained too, it is a uniform soup
(Wortsman et al. 2022, "Model soups"): good only where the members began at the same weights, and no ensemble in the
strict sense. Every member counts with its calibrated logits (divided by its own temperature).

A version that is an ensemble itself keeps the head that it was trained with in a file of its own (`save_own_head`), so
that the next training averages the last k trainings and not averages of averages; the weights of a soup are not stored
twice, so there the share of older trainings decreases. Trains nothing, judges nothing, and looks at no database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from restar_lib.artifacts import sealed_folder
from restar_lib.errors import ArtifactError
from restar_lib.inference.engine import ModelInfo
from restar_lib.training.encoder import WEIGHTS
from restar_lib.training.network import SentimentModel

OWN_HEAD: Final = "own_head.safetensors"
"""Optional file of a model folder: the head before it was averaged, already divided by its temperature."""
HEAD: Final = "head."

Weights = Mapping[str, Tensor]


class AveragedWeights(StrEnum):
    """What the average of some networks is."""

    EXACT = "exact"
    """One frozen encoder: the logits are the mean of the members' logits."""
    SOUP = "soup"
    """Trained encoders: a uniform soup."""


def last_versions(
    models_dir: Path,
    *,
    count: int,
    encoder_sha256: str,
    but: str,
    withdrawn: Collection[str] = (),
    fits: Callable[[Path, ModelInfo], bool] = lambda _folder, _info: True,
) -> tuple[Path, ...]:
    """Up to `count` sealed folders to average with, the newest last.

    Only versions of the same encoder, that the gate let pass (also as provisional), and that were not trained on the
    snapshot `but`: the snapshot of this training, so that a second try finds the same members. Nor those `withdrawn`
    from service, whose faults would come back through the average. `fits` is a further condition.
    """
    found = []
    for version in sealed_folder.versions(models_dir):
        if version in withdrawn:
            continue
        info = ModelInfo.read(models_dir / version)
        related = info.encoder_sha256 == encoder_sha256 and info.snapshot_hash != but
        if related and _may_serve(models_dir, version) and fits(models_dir / version, info):
            found.append((info.created_at, version))
    return tuple(models_dir / version for _, version in sorted(found)[-count:]) if count > 0 else ()


def head_shape(folder: Path) -> tuple[int, ...]:
    """The shape of a version's head, [3, features]; empty where its weights cannot be read."""
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as weights:
            return tuple(weights.get_slice("head.weight").get_shape())
    except (OSError, SafetensorError):
        return ()


def average_weights(
    folders: Sequence[Path], into: SentimentModel, *, own_temperature: float | None = None
) -> AveragedWeights:
    """Put the mean of the models in `folders` into `into`, which has the temperature 1 afterwards, or nearly so.

    With `own_temperature` the present weights of `into` are one more member: the challenger that was just trained.
    Fit the temperature again afterwards. Raises `ArtifactError` where a folder's weights do not fit `into`.
    """
    members = [_member(folder, into) for folder in folders]
    if own_temperature is not None:
        members.append(_cooled(into.state_dict(), own_temperature))
    if not members:
        raise ValueError("nothing to average: no folder, and no temperature of the model's own weights")
    shared = all(_same_encoder(members[0], member) for member in members[1:])
    heads = [_own_head(folder, member) if shared else member for folder, member in zip(folders, members, strict=False)]
    heads += members[len(folders) :]
    mean = {name: _mean([one[name] for one in (heads if name.startswith(HEAD) else members)]) for name in members[0]}
    into.load_state_dict(mean)
    return AveragedWeights.EXACT if shared else AveragedWeights.SOUP


def save_own_head(model: SentimentModel, folder: Path, *, temperature: float) -> None:
    """Write the head that was trained, before `average_weights` replaces it, into the folder that is being made."""
    cooled = _cooled(model.state_dict(), temperature)
    save_file({name: cooled[name].contiguous() for name in cooled if name.startswith(HEAD)}, folder / OWN_HEAD)
    (folder / OWN_HEAD).chmod(0o644)


def _may_serve(models_dir: Path, version: str) -> bool:
    file = sealed_folder.sibling(models_dir, version, "verdict.json")
    if not file.is_file():
        return False
    verdict = json.loads(file.read_text(encoding="utf-8"))
    return bool(verdict.get("passed") or verdict.get("provisional"))


def _member(folder: Path, like: SentimentModel) -> Weights:
    weights = _read(folder / WEIGHTS)
    expected = {name: tensor.shape for name, tensor in like.state_dict().items()}
    if {name: tensor.shape for name, tensor in weights.items()} != expected:
        raise ArtifactError(f"{folder / WEIGHTS} is of another shape than this model: they cannot be averaged")
    return _cooled(weights, ModelInfo.read(folder).temperature)


def _own_head(folder: Path, member: Weights) -> Weights:
    return _read(folder / OWN_HEAD) if (folder / OWN_HEAD).is_file() else member


def _read(path: Path) -> Weights:
    try:
        weights: Weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from None
    return weights


def _cooled(weights: Weights, temperature: float) -> Weights:
    """Logits at temperature 1 mean the same for every member."""
    return {name: tensor / temperature if name.startswith(HEAD) else tensor for name, tensor in weights.items()}


def _same_encoder(one: Weights, other: Weights) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one if not name.startswith(HEAD))


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    if all(tensor is first or torch.equal(tensor, first) for tensor in tensors):
        return first.clone()  # to the bit, also where it holds whole numbers
    return torch.stack([tensor.double() for tensor in tensors]).mean(dim=0).to(first.dtype)
