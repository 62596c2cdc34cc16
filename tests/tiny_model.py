"""A complete model folder of a few kilobytes, made by hand: the real file formats without an encoder.

The network looks each word up in a table of three scores and adds them up; words it does not know count nothing. So a
test can say what the model will answer: "excellent" is positive, "broken" is negative, and `bias` makes a model that
prefers a class. Inputs and output are those of every Re*Star model: `input_ids` and `attention_mask` (int64 [rows,
tokens]) in, `logits` (float32 [rows, 3]) out; the temperature in model.json divides the logits.

It does not seal the folder (`sealed_tiny_model` does) and it learns nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restar_lib.artifacts.reference import Columns, Reference, write_reference
from restar_lib.domain import SENTIMENTS, Sentiment

WORDS: dict[str, tuple[str, ...]] = {
    "negative": (
        "broken", "awful", "terrible", "poor", "bad", "waste", "refund", "disappointed", "useless", "worst", "leaks",
        "cheap", "stopped", "returned", "horrible", "failed",
    ),
    "neutral": (
        "okay", "average", "fine", "decent", "mixed", "acceptable", "ordinary", "middling", "alright", "so-so",
        "expected", "standard",
    ),
    "positive": (
        "excellent", "great", "love", "perfect", "good", "wonderful", "best", "amazing", "happy", "recommend",
        "sturdy", "beautiful", "works", "favorite", "comfortable", "delighted",
    ),
}  # fmt: skip
PROBE_TEXTS: tuple[str, ...] = (
    "An excellent little lamp, I love it and would recommend it to anyone",
    "It arrived broken and the refund took a month, a terrible waste",
    "An average kettle, okay for the price, nothing more to say about it",
    "The box was blue and the parcel came on a Tuesday afternoon",
)


def make_tiny_model(
    folder: Path,
    *,
    bias: Sequence[float] = (0.0, 0.0, 0.0),
    strength: float = 2.5,
    temperature: float = 1.0,
    snapshot_hash: str = "0" * 64,
    simulated: bool = True,
    max_tokens: int = 64,
    reads_titles: bool = False,
    languages: Sequence[str] | None = None,
    tokenizer: Path | None = None,
    learned: Sequence[str] = (),
) -> Path:
    """Fill `folder` with an unsealed model; the same arguments give the same bytes. Returns `folder`.

    `tokenizer` is the file of another one; without `languages` the model says none, as older ones do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is None:
        vocabulary = _vocabulary()
        _write_tokenizer(folder / "tokenizer.json", vocabulary)
    else:
        vocabulary = json.loads(tokenizer.read_bytes())["model"]["vocab"]
        (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    table = _table(vocabulary, strength)
    _write_network(folder, table, np.asarray(bias, dtype=np.float32))
    description = _description(temperature, snapshot_hash, simulated, max_tokens)
    declared = {"languages": list(languages)} if languages is not None else {}
    classes = {"learned": list(learned), "rated": list(learned)} if learned else {}
    _write_json(folder / "model.json", description | {"reads_titles": reads_titles} | declared | classes)
    _write_json(folder / "probe.json", _probe(folder, temperature))
    write_reference(folder, _reference())
    _write_json(folder / "metrics.json", {"validation": {"rows": 0}})
    return folder


def sealed_tiny_model(models_dir: Path, **options: Any) -> Path:
    """Make a tiny model and seal it below `models_dir`; returns the folder, whose name is the version."""
    from restar_lib.artifacts import sealed_folder

    work = models_dir / f".work-{len(list(models_dir.glob('*')))}" if models_dir.exists() else models_dir / ".work-0"
    return models_dir / sealed_folder.seal(make_tiny_model(work, **options), models_dir)


def _vocabulary() -> dict[str, int]:
    words = ["[PAD]", "[UNK]", *(word for group in WORDS.values() for word in group)]
    return {word: index for index, word in enumerate(words)}


def _table(vocabulary: dict[str, int], strength: float) -> NDArray[np.float32]:
    table = np.zeros((len(vocabulary), len(SENTIMENTS)), dtype=np.float32)
    for sentiment in SENTIMENTS:
        for word in filter(vocabulary.__contains__, WORDS[sentiment.value]):
            table[vocabulary[word], sentiment.position] = strength
    return table


def _write_tokenizer(path: Path, vocabulary: dict[str, int]) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(r",", "removed"), pre_tokenizers.Split(r".", "removed")]
    )
    tokenizer.save(str(path), pretty=False)


def _write_network(folder: Path, table: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import save_file

    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["scores"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["scores", "mask3"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens"], ["sums"], keepdims=0),
        helper.make_node("Add", ["sums", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs=[
            helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        outputs=[helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 3])],
        initializer=[
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.array([-1]), "last"),
            numpy_helper.from_array(np.array([1]), "tokens"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))
    save_file({"table": table, "bias": bias}, str(folder / "model.safetensors"))


def _description(temperature: float, snapshot_hash: str, simulated: bool, max_tokens: int) -> dict[str, Any]:
    return {
        "labels": [sentiment.value for sentiment in SENTIMENTS],
        "max_tokens": max_tokens,
        "temperature": temperature,
        "abstain_below": 0.65,
        "mode": "head",
        "encoder": "tiny",
        "encoder_sha256": "0" * 64,
        "snapshot_hash": snapshot_hash,
        "simulated": simulated,
        "class_stars": [1.5, 3.0, 4.6],
        "created_at": "2026-01-01T00:00:00+00:00",
    }


def _probe(folder: Path, temperature: float) -> dict[str, Any]:
    """The answers of the network that was just written, computed without Re*Star's own engine."""
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    rows = []
    for text in PROBE_TEXTS:
        tokenizer.no_padding()
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        (logits,) = session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        scaled = np.exp(logits[0].astype(np.float64) / temperature)
        rows.append((scaled / scaled.sum()).tolist())
    return {"texts": list(PROBE_TEXTS), "probabilities": rows}


def _reference() -> Reference:
    classes = (Sentiment.POSITIVE, Sentiment.POSITIVE, Sentiment.POSITIVE, Sentiment.NEUTRAL, Sentiment.NEGATIVE)
    rows = range(60)
    columns = Columns(
        text_length=tuple(12 + row % 20 for row in rows),
        oov_share=tuple(0.1 * (row % 3) for row in rows),
        product_category=tuple(("Kitchen", "Garden")[row % 2] for row in rows),
        rating=tuple((5, 5, 4, 3, 1)[row % 5] for row in rows),
        predicted=tuple(classes[row % 5] for row in rows),
        confidence=tuple(0.95 - 0.01 * (row % 10) for row in rows),
    )
    return Reference(columns=columns, vocabulary=tuple(sorted(word for group in WORDS.values() for word in group)))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
