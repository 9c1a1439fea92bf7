"""Recordings as training hears them: a file's samples, changed at random, then the log-mel frames that a session would have of them.

Knows files, the front end and the grid of decision points; knows no text, no model and no loss.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backbones.audio_config import EncoderConfig
from backbones.audio_file import read, seconds
from backbones.audio_mel import HOP, RATE, log_mel
from training.augmentation import Augmentation, Mel, augmented, changed

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Heard:
    """A recording of T audio tokens. mel: [F, bins]; units: [T] the decision unit that each token comes with; count: M, whole ones.

    Tokens behind the last whole unit have unit M: only the source's end releases them.
    """

    mel: Mel
    units: Ids
    count: int


class Sounds:
    """Makes what a checkpoint with this encoder hears. every: audio tokens between two decision points."""

    def __init__(self, config: EncoderConfig, *, every: int, augmentation: Augmentation) -> None:
        self._config, self._every, self._augmentation = config, every, augmentation

    def hear(self, path: Path, rng: np.random.Generator | None) -> Heard:
        """As it is without `rng`, else changed by it. Raises InvalidValueError for a file that is no recording, or an empty one."""
        samples = read(path)
        if rng is not None:
            samples = torch.from_numpy(augmented(samples.numpy(), self._augmentation, rng))
        mel = log_mel(samples, self._config.bins, self._config.mel_floor).numpy()
        if rng is not None:
            mel = changed(mel, self._augmentation, rng)
        count = token_count(len(mel), self._config.pool)
        return Heard(mel, np.arange(count) // self._every, count // self._every)

    def at_most(self, path: Path) -> int:
        """Audio tokens of the recording at its slowest, by its header. Raises as `hear` does, for what the header shows."""
        slowest = seconds(path) / self._augmentation.speed[0]
        return token_count(int(slowest * RATE) // HOP + 1, self._config.pool)


def token_count(frames: int, pool: int) -> int:
    """Audio tokens of a whole stream of so many log-mel frames: two frames a position, `pool` positions a token, halves count."""
    return -(-((frames + 1) // 2) // pool)
