"""Fine-tuning by two real processes (on the CPU, by gloo) learns what one learns, and fails where one of them does."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: TID253 - it tests what is made of torch

from restar_lib.errors import WorkLost
from restar_lib.settings import TrainingSettings
from restar_lib.training.encoder import find_encoder
from restar_lib.training.fine_tuning.fine_tune import fine_tune
from restar_lib.training.fine_tuning.learn import LabeledTexts
from restar_lib.training.fine_tuning.multi_device import processes_for
from restar_lib.training.imbalance import ClassWeighting
from restar_lib.training.network import SentimentModel, load_model, load_tokenizer
from tests.tiny_encoder import make_tiny_encoder

WORDS = ["awful", "okay", "lovely", "the", "lamp", "is", "very", "rope", "it", "was"]
ROWS = 93
"""Not a multiple of the batch, and the last batch has too few rows for both processes."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder without dropout, so that the same rows in the same order give the same weights."""
    folder = make_tiny_encoder(tmp_path_factory.mktemp("encoder"), WORDS)
    config = json.loads((folder / "config.json").read_text())
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config | without))
    return folder


@pytest.fixture
def config(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingSettings:
    """Exact arithmetic on the CPU, also where there is a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return TrainingSettings(
        mode="fine_tune",
        encoder=str(encoder),
        max_tokens=32,
        pooled_layers=2,
        epochs=2,
        batch_size=8,
        learning_rate=5e-3,
        precision="float32",
        early_stopping_patience=9,
    )


def texts(count: int, *, seed: int) -> LabeledTexts:
    """Reviews of four to twelve words; the first word says it all."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=count)
    return LabeledTexts(
        texts=[" ".join([WORDS[one], *rng.choice(WORDS[3:], size=rng.integers(3, 12))]) for one in truth], truth=truth
    )


Learned = tuple[SentimentModel, list[dict[str, float]], list[str]]


def learned(config: TrainingSettings, checkpoints: Path, *, processes: int, **options: Any) -> Learned:
    """A fine-tuned network, its curves, and what the person who waited has seen."""
    found = find_encoder(config.encoder)
    model = load_model(found, pooled_layers=config.pooled_layers)
    lines: list[str] = []
    asked: dict[str, Any] = {
        "tokenizer": load_tokenizer(found, max_tokens=config.max_tokens),
        "train": texts(ROWS, seed=1),
        "weighting": ClassWeighting(weights=np.linspace(0.5, 1.5, ROWS), offset=np.array([0.1, 0.2, -0.3])),
        "validation": texts(41, seed=2),
        "progress": lines.append,
    } | options
    history = fine_tune(model, config=config, checkpoints=checkpoints, processes=processes, **asked)
    return model, history, lines


def test_two_processes_learn_what_one_learns(config: TrainingSettings, tmp_path: Path) -> None:
    """Every row once an epoch, in the same steps: the same curves and weights, one set of checkpoints, one report."""
    alone, curve, lines = learned(config, tmp_path / "alone", processes=1)
    both, same_curve, same_lines = learned(config, tmp_path / "both", processes=2)
    assert same_lines[0] == "fine-tuning by 2 processes, each with 4 rows of every batch"
    assert [line for line in same_lines[1:] if "step" not in line] == [line for line in lines if "step" not in line]
    assert curve[-1]["loss"] < curve[1]["loss"]
    for here, there in zip(curve, same_curve, strict=True):
        assert here == pytest.approx(there, abs=1e-4)
    weights = both.state_dict()
    assert all(torch.allclose(tensor, weights[name], atol=1e-4) for name, tensor in alone.state_dict().items())
    assert [path.name for path in (tmp_path / "both").iterdir()] == ["checkpoint-18"]
    assert len(list((tmp_path / "both" / "checkpoint-18").glob("rng_state_*.pth"))) == 2


def test_a_failure_in_one_process_is_an_error_with_its_message(config: TrainingSettings, tmp_path: Path) -> None:
    """One row has a token that the encoder does not know: whoever meets it fails, and nobody waits for ever."""
    tokenizer = load_tokenizer(find_encoder(config.encoder), max_tokens=config.max_tokens)
    tokenizer.add_tokens(["unheard"])
    rows = texts(ROWS, seed=1)
    poisoned = LabeledTexts(texts=["unheard", *rows.texts[1:]], truth=rows.truth)
    with pytest.raises(WorkLost, match=r"process [01] of the 2 that fine-tune failed: IndexError: index out of range"):
        learned(config, tmp_path, processes=2, train=poisoned, tokenizer=tokenizer)
    assert not (tmp_path / "processes").exists()


def lives(process: str) -> bool:
    """Whether a process is there and no mere entry that nobody has asked after."""
    try:
        return "(zombie)" not in Path("/proc", process, "status").read_text()
    except FileNotFoundError:
        return False


KILL = """
import os, signal
from pathlib import Path
from restar_lib.settings import Training
from tests.training.test_multi_device import learned

def dies(line):
    if "epoch 1.5" in line:
        children = [task.joinpath("children").read_text() for task in Path("/proc/self/task").iterdir()]
        print(*children, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

learned(Training.model_validate_json({config!r}), Path({checkpoints!r}), processes=2, progress=dies)
"""


@pytest.mark.soak
def test_a_training_by_two_that_is_killed_goes_on_in_the_middle_of_an_epoch(
    config: TrainingSettings, tmp_path: Path
) -> None:
    """They end with whoever started them, and the next try ends as if nothing had happened."""
    alone, curve, _ = learned(config, tmp_path / "alone", processes=1)
    code = KILL.format(config=config.model_dump_json(), checkpoints=str(tmp_path / "both"))
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    children = killed.stdout.split()
    assert len(children) == 2
    for _ in range(100):
        if not any(lives(child) for child in children):
            break
        time.sleep(0.1)
    assert not any(lives(child) for child in children), "they go on without their parent"
    again, same_curve, lines = learned(config, tmp_path / "both", processes=2)
    assert "an earlier training on the same rows was cut short: goes on from checkpoint-12" in lines
    assert same_curve[-1] == pytest.approx(curve[-1], abs=1e-4)
    weights = again.state_dict()
    assert all(torch.allclose(tensor, weights[name], atol=1e-4) for name, tensor in alone.state_dict().items())


@pytest.mark.parametrize(
    ("devices", "batch", "processes"), [(0, 16, 1), (1, 16, 1), (3, 16, 2), (8, 16, 8), (2, 15, 1)]
)
def test_as_many_processes_as_share_a_batch_equally(devices: int, batch: int, processes: int) -> None:
    """At most one a device; an odd batch is not shared by two."""
    assert processes_for(TrainingSettings(batch_size=batch), devices=devices) == processes
