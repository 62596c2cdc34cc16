"""The inference engine: texts in, calibrated probabilities out, on CPU.

Loads one artifact folder (`model.onnx`, `tokenizer.json`, `model.json`, `probe.json`) with ONNX Runtime and nothing of
torch, so a scoring or serving process starts in about a second. Safe to call from several threads. It does not verify
checksums (`artifacts.sealed_folder` does), does not decide which model serves, and knows no database.

The network of an artifact: inputs `input_ids` and `attention_mask`, int64 [batch, length]; output `logits`, [batch, 3].
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from restar_lib.domain import SENTIMENTS, Sentiment
from restar_lib.errors import ArtifactError, ProbeFailed

MODEL, TOKENIZER, INFO, PROBE = "model.onnx", "tokenizer.json", "model.json", "probe.json"
PROBE_TOLERANCE: Final = 1e-3
"""Largest difference of a probability between machines that still counts as the same answer."""
PADDING: Final = "[PAD]"
HEAD, HEAD_AND_TAIL = "head", "head_and_tail"
HEAD_SHARE: Final = 0.25
"""Of the window, where the end of a long text is read too: 128 of 512 in Sun et al. 2019, "How to Fine-Tune BERT for
Text Classification?", section 5.3.1."""
PIECE: Final = 1024
"""Texts that are tokenized at once: an encoding takes some 20 KiB, its ids, all that is needed later, half of one."""

Floats = NDArray[np.float64]
Ids = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What `model.json` says about a model."""

    labels: tuple[str, ...]
    max_tokens: int
    """Longer texts are cut there, and the prediction says so."""
    temperature: float
    """Logits are divided by it before the softmax (Guo et al. 2017)."""
    abstain_below: float
    class_stars: tuple[float, ...]
    """Stars of each class that make expected stars come nearest to the truth (`evaluation.ordinal`)."""
    mode: str
    encoder: str
    encoder_sha256: str
    snapshot_hash: str
    simulated: bool
    """Trained on simulated reviews: whatever shows an answer says so."""
    created_at: str
    """When its training set was frozen: training on it again gives the same model, byte by byte."""
    long_texts: str = HEAD
    """What is read of a text that is longer than the model's window: its `head`, or `head_and_tail`."""
    reads_titles: bool = False
    """Whether it was trained on texts with their titles in front, and reads them so (`domain.with_title`)."""
    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes of the languages that it reads, `*` for all; older models read English."""
    learned: tuple[str, ...] = tuple(sentiment.value for sentiment in SENTIMENTS)
    """The sentiments that its training rows had; the probability of any other one is practically 0."""
    rated: tuple[str, ...] = tuple(sentiment.value for sentiment in SENTIMENTS)
    """Those that the stars of its training rows had; where no row had stars, all that it learned."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The info of an artifact folder. Raises `ArtifactError` naming what is wrong."""
        content = _read_json(folder / INFO)
        try:
            lists = ("labels", "class_stars", *(key for key in ("languages", "learned", "rated") if key in content))
            info = cls(**content | {key: tuple(content[key]) for key in lists})
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{folder / INFO}: not a model description: {error}") from None
        if info.labels != tuple(SENTIMENTS):
            raise ArtifactError(f"{folder / INFO}: labels are {info.labels}, expected {tuple(SENTIMENTS)}")
        return info

    def write(self, folder: Path) -> None:
        """Write `model.json` into an artifact folder that is being made."""
        (folder / INFO).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The answers for n texts, in the order of the texts."""

    probabilities: Floats
    """Calibrated, [n, 3], rows sum to 1."""
    truncated: NDArray[np.bool_]
    """[n]: the text was longer than the model's window."""
    tokens: NDArray[np.int64]
    """[n]: how many tokens the whole text has, special ones included."""

    @property
    def confidence(self) -> Floats:
        """The largest probability of each row, [n]."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def classes(self) -> NDArray[np.int64]:
        """Index of the most probable class of each row, [n]."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def sentiments(self) -> tuple[Sentiment, ...]:
        """The most probable sentiment of each row."""
        return tuple(SENTIMENTS[index] for index in self.classes)


class InferenceEngine:
    """One loaded model version."""

    def __init__(
        self, *, folder: Path, info: ModelInfo, session: onnxruntime.InferenceSession, tokenizer: Tokenizer
    ) -> None:
        """Use `load`."""
        self.folder = folder
        self.info = info
        self._session = session
        self._tokenizer = tokenizer
        self._padding = padding_of(tokenizer)
        self._ending = ending_of(tokenizer)

    @classmethod
    def load(cls, folder: Path, *, threads: int = 0) -> Self:
        """Load an artifact folder; `threads` of one prediction, 0 lets the runtime choose.

        Raises `ArtifactError` naming the file that is missing or cannot be read.
        """
        for name in (MODEL, TOKENIZER, INFO, PROBE):
            if not (folder / name).is_file():
                raise ArtifactError(f"model folder {folder}: {name} is missing")
        info = ModelInfo.read(folder)
        session = open_session(folder / MODEL, threads=threads)
        return cls(folder=folder, info=info, session=session, tokenizer=open_tokenizer(folder / TOKENIZER))

    @property
    def version(self) -> str:
        """The model version: the name of its folder."""
        return self.folder.name

    def predict(self, texts: Sequence[str], *, batch_size: int = 16) -> Predictions:
        """Answer every text, in the given order; a batch holds texts of similar length."""
        info, whole = self.info, list(tokens(self._tokenizer, texts))
        read = [
            window(ids, max_tokens=info.max_tokens, long_texts=info.long_texts, ending=self._ending) for ids in whole
        ]
        logits = np.zeros((len(texts), len(SENTIMENTS)), dtype=np.float64)
        for rows in batches_by_length(read, size=batch_size):
            logits[rows] = self._run([read[row] for row in rows])
        counts = np.array([len(ids) for ids in whole], dtype=np.int64)
        return Predictions(
            probabilities=softmax(logits / self.info.temperature), truncated=counts > info.max_tokens, tokens=counts
        )

    @property
    def vocabulary_size(self) -> int:
        """How many tokens the model knows."""
        return self._tokenizer.get_vocab_size()

    def pieces(self, text: str) -> list[list[str]]:
        """Each word of a text in the pieces that the tokenizer cuts it into, as they stand in the text."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        words: dict[int, list[str]] = {}
        for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
            if word is not None:
                words.setdefault(word, []).append(text[start:end])
        return list(words.values())

    def expected_stars(self, probabilities: Floats) -> Floats:
        """Return the stars to expect, 1.0 to 5.0, [n]: the stars of each class weighted by its probability."""
        return np.asarray(np.clip(probabilities @ np.array(self.info.class_stars), 1.0, 5.0))

    def probe(self) -> None:
        """Answer the recorded texts again. Raises `ProbeFailed` where an answer is not the recorded one."""
        recorded = _read_json(self.folder / PROBE)
        try:
            expected = np.array(recorded["probabilities"], dtype=np.float64).reshape(-1, len(SENTIMENTS))
            answers = self.predict(recorded["texts"]).probabilities
            gap = float(np.abs(answers - expected).max())
        except (KeyError, TypeError, ValueError) as error:
            raise ProbeFailed(f"model {self.version}: {PROBE} cannot be answered: {error}") from None
        if not gap <= PROBE_TOLERANCE:  # a NaN must fail as well
            raise ProbeFailed(
                f"model {self.version}: its answers to {PROBE} are {gap:.4f} away from the recorded ones"
                f" (allowed {PROBE_TOLERANCE}); train it again on this kind of machine"
            )

    def _run(self, rows: Sequence[Ids]) -> Floats:
        (logits,) = self._session.run(["logits"], padded(rows, padding=self._padding))
        return np.asarray(logits, dtype=np.float64)


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def record_probe(folder: Path, texts: Sequence[str]) -> None:
    """Write `probe.json` with this machine's answers; the rest of the folder must be complete."""
    probe = folder / PROBE
    probe.write_text(json.dumps({"texts": list(texts), "probabilities": []}), encoding="utf-8")
    answers = InferenceEngine.load(folder).predict(texts).probabilities.tolist()
    probe.write_text(json.dumps({"texts": list(texts), "probabilities": answers}, indent=1) + "\n", encoding="utf-8")


def tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[Ids]:
    """All tokens of every text, nothing cut; `tokenizer` as `open_tokenizer` gives it."""
    for start in range(0, len(texts), PIECE):
        for encoding in tokenizer.encode_batch(list(texts[start : start + PIECE])):
            yield np.array(encoding.ids, dtype=np.int32)


def ending_of(tokenizer: Tokenizer) -> int:
    """How many special tokens, such as [SEP], the tokenizer appends to a text."""
    special = tokenizer.encode("a").special_tokens_mask
    return next((place for place, is_special in enumerate(reversed(special)) if not is_special), 0)


def window(ids: Ids, *, max_tokens: int, long_texts: str, ending: int) -> Ids:
    """The tokens of a text that the network reads; the last `ending` ones are always among them."""
    if len(ids) <= max_tokens:
        return ids
    head = max_tokens - ending if long_texts == HEAD else round(max_tokens * HEAD_SHARE)
    return np.concatenate([ids[:head], ids[len(ids) - (max_tokens - head) :]])


def padded(rows: Sequence[Ids], *, padding: int) -> dict[str, NDArray[np.int64]]:
    """The inputs of the network for one batch of tokens: every row as long as the longest."""
    length = max(1, *(len(ids) for ids in rows))
    batch = np.full((len(rows), length), padding, dtype=np.int64)
    mask = np.zeros_like(batch)
    for row, ids in enumerate(rows):
        batch[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    return {"input_ids": batch, "attention_mask": mask}


def padding_of(tokenizer: Tokenizer) -> int:
    """The id that fills shorter rows; it is masked, so any id would do."""
    return tokenizer.token_to_id(PADDING) or 0


def batches_by_length(rows: Sequence[Ids], *, size: int) -> Iterator[list[int]]:
    """Batches of rows of similar length, so that little padding is needed."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def open_session(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    """The network on CPU. Raises `ArtifactError` where the file is none."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that wait by spinning would take CPU time that other processes on a small machine need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no public base class
        raise ArtifactError(f"{path}: not a model that ONNX Runtime can load: {error}") from None


def open_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer, which cuts nothing (`window` does). Raises `ArtifactError` where the file is none."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - a bare Exception is what tokenizers raises
        raise ArtifactError(f"{path}: not a tokenizer: {error}") from None
    # The file may set truncation and padding; the engine uses the model's window and pads each batch itself.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: expected an object, found {type(content).__name__}")
    return content
