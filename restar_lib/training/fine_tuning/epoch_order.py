"""The order of the rows of an epoch: grouped by length, and determined by the seed and the epoch alone.

The Trainer's own order is drawn from the global generator, so a training that is resumed in its second epoch would go
on in the order of another one: some rows twice, others never. Its loader does not always say which epoch it is in
either (accelerate 1.15: not to a resumed epoch that several processes share), so here the sampler asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

BLANK: Final = -100
"""The class of a row that fills a batch and teaches nothing."""


class EpochSampler(LengthGroupedSampler):  # type: ignore[misc]  # transformers is Any to mypy here (pyproject)
    """Indices of all rows, each once; where several processes share a batch, the last one is filled with blanks."""

    def __init__(
        self, batch_size: int, *, lengths: list[int], seed: int, epoch: Callable[[], int], blanks: int = 0
    ) -> None:
        """`blanks`: how often the index behind the last row follows; else the loader would repeat rows there."""
        super().__init__(batch_size, lengths=lengths)
        self._seed = seed
        self._epoch = epoch
        self._blanks = blanks

    def __len__(self) -> int:
        return len(self.lengths) + self._blanks

    def __iter__(self) -> Iterator[int]:
        """The order of the present epoch."""
        generator = torch.Generator().manual_seed(self._seed + self._epoch())
        order = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        return iter([*order, *[len(self.lengths)] * self._blanks])
