"""Streaming conversion to 16 kHz (soxr) that knows how much input each output sample has waited for. Knows mono samples only."""

from collections import deque
from typing import Any

import numpy as np
import torch

from backbones.audio_mel import RATE

# soxr gives the same samples however its input is cut, but not at the same time. From equal blocks they come when so many blocks are there.
BLOCKS_PER_SECOND = 100


def _filter(rate: int) -> Any:
    import soxr  # type: ignore[import-untyped]  # noqa: PLC0415 (a server that reads text only does without)

    return soxr.ResampleStream(rate, RATE, 1, dtype="float32")


class Resampler:
    """One stream from `rate` Hz to 16 kHz; at 16 kHz nothing is changed or held back.

    soxr's high-quality filter waits for 37 ms of input at 48 kHz, 40 ms at 22.05 and 44.1 kHz, 115 ms at 8 kHz.
    """

    def __init__(self, rate: int) -> None:
        self._filter = None if rate == RATE else _filter(rate)
        self._block = rate // BLOCKS_PER_SECOND
        self._held = np.zeros(0, dtype=np.float32)
        self.consumed = 0  # samples of input
        self._filtered = 0  # of those, given to the filter
        self._made = 0  # samples of output
        # (output samples there were, input samples consumed by then), for those that may still be asked for
        self._history: deque[tuple[int, int]] = deque()

    def push(self, samples: torch.Tensor) -> torch.Tensor:
        """float32 [n] -> [m]."""
        self.consumed += samples.shape[0]
        if self._filter is None:
            return samples
        held = np.concatenate((self._held, samples.numpy()))
        whole = held.shape[0] // self._block * self._block
        self._held = held[whole:].copy()
        made = [self._through(held[start : start + self._block]) for start in range(0, whole, self._block)]
        return torch.from_numpy(np.concatenate(made)) if made else torch.zeros(0)

    def end(self) -> torch.Tensor:
        """[m]: what is left."""
        if self._filter is None:
            return torch.zeros(0)
        return torch.from_numpy(self._through(self._held, last=True))

    def waited_for(self, sample: int) -> int:
        """How much input had been consumed when output sample number `sample` came. To be asked in ascending order.

        For a sample that never came, such as the zeros behind the end: all of it.
        """
        if self._filter is None:
            return min(sample + 1, self.consumed)
        while self._history and self._history[0][0] <= sample:
            self._history.popleft()
        return self._history[0][1] if self._history else self.consumed

    def _through(self, block: np.ndarray, *, last: bool = False) -> np.ndarray:
        assert self._filter is not None
        made: np.ndarray = self._filter.resample_chunk(block, last=last)
        self._filtered += block.shape[0]
        self._made += made.shape[0]
        self._history.append((self._made, self._filtered))
        return made
