"""The network: a pre-trained encoder, mean pooling of its last layers, a linear head with three outputs.

Shared by all modes of training, the safetensors file and the ONNX export. It reads the texts of the snapshot, which
begin with titles only where `dataset.titles` is on. Pooling five layers instead of the last one is worth 3 points of
accuracy and 6 of macro-F1 on a frozen encoder (hair dryer reviews, 3,000 rows): the last layer of a sentence encoder
holds less of a text's tone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from restar_lib.domain import SENTIMENTS
from restar_lib.errors import ArtifactError
from restar_lib.feature_scaling import Features
from restar_lib.inference.engine import HEAD, Ids, ending_of, window
from restar_lib.inference.engine import tokens as whole_tokens
from restar_lib.training.encoder import WEIGHTS, Encoder

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Takes one line about the progress."""
BATCH: Final = 16
"""Rows of like length in one forward pass; larger ones are not faster on CPU."""
GPU_BATCH: Final = 128
"""On another device, which small batches would leave idle."""
PROGRESS_SECONDS: Final = 10.0
ATTENTION_DROPOUT: Final = ("attention_probs_dropout_prob", "attention_dropout")
"""What encoders call it: BERT and its like; DistilBERT, ModernBERT."""


def training_device() -> torch.device:
    """Where a training computes: on the first CUDA device that it sees (`CUDA_VISIBLE_DEVICES`), else on the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class SentimentModel(nn.Module):  # type: ignore[misc]  # torch is Any to mypy here (pyproject)
    """`input_ids` and `attention_mask` [batch, length] in, logits [batch, 3] out."""

    def __init__(self, encoder: nn.Module, *, width: int, pooled_layers: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooled_layers = pooled_layers
        self.head = nn.Linear(width * pooled_layers, len(SENTIMENTS))

    def features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Means over the tokens of each of the last layers, side by side: [batch, layers * width]."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        layers = torch.cat(states.hidden_states[-self.pooled_layers :], dim=-1)
        weights = attention_mask.unsqueeze(-1).to(layers.dtype)
        return (layers * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, not yet divided by the temperature."""
        logits: Tensor = self.head(self.features(input_ids, attention_mask))
        return logits


def load_model(encoder: Encoder, *, pooled_layers: int) -> SentimentModel:
    """The encoder with its pre-trained weights and a head of zeros, in evaluation mode."""
    transformers.utils.logging.disable_progress_bar()
    # Eager attention exports to plain ONNX operators, and at these lengths it is as fast as the fused one on CPU.
    network = AutoModel.from_pretrained(
        encoder.folder,
        config=_without_attention_dropout(AutoConfig.from_pretrained(encoder.folder)),
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="eager",
    )
    if getattr(network, "pooler", None) is not None:
        network.pooler = None  # not read here, and where an encoder comes without one it would be random weights
    layers = min(pooled_layers, network.config.num_hidden_layers + 1)
    model = SentimentModel(network, width=network.config.hidden_size, pooled_layers=layers)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    model.eval()
    return model


def _without_attention_dropout(config: PretrainedConfig) -> PretrainedConfig:
    """Drawing it takes a CPU a quarter of a training step at 128 tokens, half at 256; the other dropout stays."""
    for name in ATTENTION_DROPOUT:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    return config


def load_tokenizer(encoder: Encoder, *, max_tokens: int) -> PreTrainedTokenizerBase:
    """The encoder's fast tokenizer, cutting at the model's window."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(encoder.folder, use_fast=True)
    tokenizer.model_max_length = max_tokens
    return tokenizer


def save_weights(model: SentimentModel, folder: Path) -> None:
    """Write `model.safetensors`."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / WEIGHTS)
    # safetensors makes it owner-only, but the serving process may be another user's.
    (folder / WEIGHTS).chmod(0o644)


def load_weights(model: SentimentModel, folder: Path) -> None:
    """Take the weights of a trained model's folder. Raises `ArtifactError` where they do not fit this network."""
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError) as error:
        raise ArtifactError(
            f"{folder / WEIGHTS} does not fit the configured encoder; set training.start_from to encoder: {error}"
        ) from None


def tokens_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, long_texts: str = HEAD) -> list[Ids]:
    """What the network reads of each text, cut at the tokenizer's window as the engine cuts it."""
    backend = tokenizer.backend_tokenizer
    # Every call of the tokenizer itself leaves its own cutting and filling behind.
    backend.no_truncation()
    backend.no_padding()
    max_tokens, ending = tokenizer.model_max_length, ending_of(backend)
    return [
        window(ids, max_tokens=max_tokens, long_texts=long_texts, ending=ending) for ids in whole_tokens(backend, texts)
    ]


def features_of(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    long_texts: str = HEAD,
    device: torch.device | None = None,
    progress: Progress,
) -> Features:
    """The pooled features of every text, [n, layers * width], as exact as the network gives them.

    Computed on `device`, by default on `training_device()`; the network is on the CPU afterwards.
    """
    found: Features = np.empty((len(texts), model.head.in_features), dtype=np.float32)
    with _placed(model, device) as place:
        _run(model.features, tokenizer, texts, out=found, long_texts=long_texts, device=place, progress=progress)
    return found


def logits_of(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    long_texts: str = HEAD,
    device: torch.device | None = None,
    progress: Progress,
) -> NDArray[np.float64]:
    """The logits of every text, [n, 3]; computed where `features_of` computes."""
    found = np.empty((len(texts), model.head.out_features), dtype=np.float64)
    with _placed(model, device) as place:
        _run(model, tokenizer, texts, out=found, long_texts=long_texts, device=place, progress=progress)
    return found


@contextmanager
def _placed(model: SentimentModel, device: torch.device | None) -> Iterator[torch.device]:
    """The network on a device while the block runs; heads are fitted, files written and exports made on the CPU."""
    place = training_device() if device is None else device
    model.to(place)
    try:
        yield place
    finally:
        model.cpu()
        if place.type == "cuda":
            torch.cuda.empty_cache()  # the processes of a fine-tuning compute on the same device


def _run(
    network: Callable[[Tensor, Tensor], Tensor],
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    out: Features | NDArray[np.float64],
    long_texts: str,
    device: torch.device,
    progress: Progress,
) -> None:
    """Fill `out` [n, outputs] by a network that is on `device`."""
    ids = tokens_of(tokenizer, texts, long_texts=long_texts)
    # Longest first: what runs out of memory does so at once, and the estimate of the rest is a safe one.
    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    started = reported = time.monotonic()
    size = BATCH if device.type == "cpu" else GPU_BATCH
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt").to(device)
        with torch.inference_mode():
            out[rows] = network(batch["input_ids"], batch["attention_mask"]).float().cpu().numpy()
        if time.monotonic() - reported > PROGRESS_SECONDS:
            reported, done = time.monotonic(), start + len(rows)
            progress(f"read {done:,} of {len(ids):,} reviews ({done / (reported - started):.0f}/s)")
