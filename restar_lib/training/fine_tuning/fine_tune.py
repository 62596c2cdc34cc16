"""Fine-tuning: the whole network is trained, or adapters in a frozen one (LoRA), by the Hugging Face Trainer.

It starts from a fitted head, because a random one would first distort the encoder's features (Kumar et al. 2022,
"Fine-Tuning can Distort Pretrained Features"). Early stopping on the macro-F1 of the validation rows, batches of like
length, half precision where the hardware supports it; where the machine has several devices, each computes a part of
every batch (`multi_device`), so the steps are the same on any machine.

Its state is saved in a folder of checkpoints: a training that is killed resumes from there. It saves no model (`train`
does) and does not choose the rows or their weights (`imbalance` does).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from restar_lib.settings import TrainingSettings
from restar_lib.training.checkpoints import last_checkpoint
from restar_lib.training.fine_tuning.job import FineTuningJob, History
from restar_lib.training.fine_tuning.learn import LabeledTexts, dataset_of, learn
from restar_lib.training.fine_tuning.multi_device import learn_on_devices, processes_for
from restar_lib.training.imbalance import ClassWeighting
from restar_lib.training.network import Progress, SentimentModel


def fine_tune(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    train: LabeledTexts,
    weighting: ClassWeighting,
    validation: LabeledTexts,
    config: TrainingSettings,
    checkpoints: Path,
    progress: Progress,
    processes: int | None = None,
) -> History:
    """Train `model` on `train` by `weighting`; the best state on `validation` stays in it. Goes on from `checkpoints`.

    By one process for each CUDA device, or by as many as `processes` says; each step learns from the same rows then.
    Raises `WorkLost` where one of several failed.
    """
    job = FineTuningJob(
        train=dataset_of(tokenizer, train, weighting.weights, config=config),
        rows=len(train.texts),
        validation=dataset_of(tokenizer, validation, np.ones(len(validation.texts)), config=config),
        offset=weighting.offset.tolist(),
        config=config,
        checkpoints=checkpoints,
        resume=last_checkpoint(checkpoints, progress=progress),
    )
    count = processes_for(config, devices=torch.cuda.device_count() if processes is None else processes)
    if count > 1:
        history = learn_on_devices(model, job, processes=count, progress=progress)
    else:
        history = learn(model, tokenizer, job, progress=progress)
    # Whatever hardware it learned on, export runs on the CPU; who reads rows with it takes it to the device again.
    model.cpu().eval()
    return history
