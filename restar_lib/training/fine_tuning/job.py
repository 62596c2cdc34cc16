"""A fine-tuning job as one value: rows, configuration, checkpoints. It can be written to a folder and read back.

So that several processes can run the same job (`multi_device`): rows as Arrow tables, the rest as JSON, no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from datasets import Dataset, concatenate_datasets, disable_progress_bars, enable_progress_bars, load_from_disk

from restar_lib.settings import TrainingSettings
from restar_lib.training.fine_tuning.epoch_order import BLANK

TRAIN: Final = "train"
VALIDATION: Final = "validation"
REST: Final = "job.json"

History = list[dict[str, float]]
"""One entry for each evaluation on the validation rows: `step`, `epoch`, `loss` since the last one,
`validation_macro_f1`."""


@dataclass(frozen=True, kw_only=True)
class FineTuningJob:
    """What is learned from, and how."""

    train: Dataset
    """Tokens, classes, weights; where several processes learn, with a blank row at the end."""
    rows: int
    """Of `train`, without the blank one."""
    validation: Dataset
    offset: Sequence[float]
    """Of the logits, one a class, while learning."""
    config: TrainingSettings
    checkpoints: Path
    resume: Path | None
    """The checkpoint to go on from."""

    def write(self, folder: Path) -> None:
        """Into an empty folder, with a blank row behind the last one."""
        disable_progress_bars()
        blank = {"input_ids": [[0]], "attention_mask": [[1]], "labels": [BLANK], "weights": [0.0]}
        blank_row = Dataset.from_dict(blank, features=self.train.features)
        concatenate_datasets([self.train, blank_row]).save_to_disk(folder / TRAIN)
        self.validation.save_to_disk(folder / VALIDATION)
        enable_progress_bars()
        rest = {
            "rows": self.rows,
            "offset": list(self.offset),
            "config": self.config.model_dump(mode="json"),
            "checkpoints": str(self.checkpoints.absolute()),
            "resume": self.resume and str(self.resume.absolute()),
        }
        (folder / REST).write_text(json.dumps(rest), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> FineTuningJob:
        """What `write` wrote."""
        rest = json.loads((folder / REST).read_text(encoding="utf-8"))
        return cls(
            train=load_from_disk(folder / TRAIN),
            rows=rest["rows"],
            validation=load_from_disk(folder / VALIDATION),
            offset=rest["offset"],
            config=TrainingSettings(**rest["config"]),
            checkpoints=Path(rest["checkpoints"]),
            resume=Path(rest["resume"]) if rest["resume"] else None,
        )
