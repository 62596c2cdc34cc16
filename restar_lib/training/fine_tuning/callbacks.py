"""Callbacks of a fine-tuning: early stopping and progress lines."""

from __future__ import annotations

import time
from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from restar_lib.training.network import PROGRESS_SECONDS, Progress


class EarlyStopping(EarlyStoppingCallback):  # type: ignore[misc]  # transformers is Any to mypy here (pyproject)
    """Early stopping that also ends a resumed training whose patience had run out before it was killed."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """The counter has been restored from the checkpoint by now."""
        super().on_train_begin(args, state, control, **rest)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class ProgressReporter(TrainerCallback):  # type: ignore[misc]  # as above
    """Reports progress and the result of each evaluation."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._started = self._reported = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Steps before a resume took no time here."""
        del args, control
        self._first_step = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A line every ten seconds, with how long the rest takes at most."""
        del args, control
        now = time.monotonic()
        if now - self._reported > PROGRESS_SECONDS:
            self._reported = now
            pace = (now - self._started) / max(state.global_step - self._first_step, 1)
            left = pace * (state.max_steps - state.global_step)
            self._progress(
                f"fine-tuning: step {state.global_step:,} of {state.max_steps:,}, at most {left / 60:.0f} minutes left"
            )

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> None:
        """A line for each evaluation."""
        del args, control
        self._progress(
            f"fine-tuning: epoch {state.epoch or 0:.1f}: macro-F1 {metrics['eval_macro_f1']:.3f} on the validation rows"
        )
