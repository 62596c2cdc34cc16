"""Export of the torch network to `model.onnx`, with dynamic batch size and length.

The file is compared with torch before it is used. Exports float32 only; it makes no quantised variants.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from restar_lib.errors import ArtifactError
from restar_lib.inference.engine import MODEL
from restar_lib.training.network import SentimentModel, tokens_of

TOLERANCE: Final = 1e-4
"""Largest difference of a logit between torch and ONNX Runtime."""


def export_onnx(
    model: SentimentModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, texts: Sequence[str]
) -> float:
    """Write `model.onnx` and compare it with torch on `texts`; returns the largest difference of a logit.

    Raises `ArtifactError` where that is above 1e-4.
    """
    path = folder / MODEL
    # Two rows and an odd length: an axis of size one would be taken for a constant.
    example = (torch.ones(2, 7, dtype=torch.int64), torch.ones(2, 7, dtype=torch.int64))
    free = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens", max=tokenizer.model_max_length)}
    with _quietly():
        torch.onnx.export(
            model.eval(),
            example,
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": free, "attention_mask": free},
            dynamo=True,
            external_data=False,
        )
    return _compare(model, tokenizer, path, texts)


def _compare(model: SentimentModel, tokenizer: PreTrainedTokenizerBase, path: Path, texts: Sequence[str]) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    # All at once and one by one: the answers must not depend on the batch size of the export.
    groups = [list(texts), *([text] for text in texts)]
    gap = max(_gap(model, tokenizer, session, group) for group in groups)
    if not gap <= TOLERANCE:  # a NaN must fail as well
        raise ArtifactError(
            f"{path}: its logits are {gap:.2e} away from torch's (allowed {TOLERANCE}); nothing is released"
        )
    return gap


def _gap(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    session: onnxruntime.InferenceSession,
    texts: list[str],
) -> float:
    batch = tokenizer.pad({"input_ids": tokens_of(tokenizer, texts)}, return_tensors="pt")
    ids, mask = batch["input_ids"], batch["attention_mask"]
    with torch.inference_mode():
        expected: NDArray[np.float32] = model(ids, mask).numpy()
    (found,) = session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    return float(np.abs(expected - found).max())


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The exporter prints its steps and warns about its own internals; its errors still come through as exceptions."""
    names = ("torch.onnx", "torch.onnx._internal", "onnxscript", "onnx_ir")
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in loggers.items():
            one.setLevel(level)
