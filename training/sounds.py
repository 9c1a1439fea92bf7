"""Recordings as training hears them: a file's samples, changed at random, then the log-mel frames that a session would have of them.

Knows files, the front end and the grid of decision points; knows no text, no model and no loss.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from backbones.audio_config import EncoderConfig
from backbones.audio_file import read, seconds
from backbones.audio_mel import HOP, RATE, log_mel

Ids = NDArray[np.int64]
Samples = NDArray[np.float32]
Mel = NDArray[np.float32]  # no tensor: between processes those are files, of which there may be too many


class Augmentation(BaseModel):
    """How a recording is changed, anew each time it is heard. Each pair: the least and the most.

    speed: factor, with the pitch; gain: dB
    noise: dB of signal over noise, of a share `noisy` of the recordings; absent: no noise
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    speed: tuple[Annotated[float, Field(gt=0.1)], Annotated[float, Field(lt=10)]] = (1.0, 1.0)
    gain: tuple[float, float] = (0.0, 0.0)
    noise: tuple[float, float] | None = None
    noisy: float = Field(default=0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _ascending(self) -> "Augmentation":
        for name in ("speed", "gain", "noise"):
            pair = getattr(self, name)
            if pair and pair[0] > pair[1]:
                raise ValueError(f"expected {name} as the least and the most, got {pair[0]:g} and {pair[1]:g}")
        return self


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
        mel = log_mel(samples, self._config.bins, self._config.mel_floor)
        count = token_count(len(mel), self._config.pool)
        return Heard(mel.numpy(), np.arange(count) // self._every, count // self._every)

    def at_most(self, path: Path) -> int:
        """Audio tokens of the recording at its slowest, by its header. Raises as `hear` does, for what the header shows."""
        slowest = seconds(path) / self._augmentation.speed[0]
        return token_count(int(slowest * RATE) // HOP + 1, self._config.pool)


def token_count(frames: int, pool: int) -> int:
    """Audio tokens of a whole stream of so many log-mel frames: two frames a position, `pool` positions a token, halves count."""
    return -(-((frames + 1) // 2) // pool)


def augmented(samples: Samples, settings: Augmentation, rng: np.random.Generator) -> Samples:
    """Another speed (with another pitch), another loudness, noise. What is the same for the same state of `rng` is the same to the bit."""
    import soxr  # type: ignore[import-untyped]  # noqa: PLC0415 (who trains on text only does without)

    speed, gain = rng.uniform(*settings.speed), rng.uniform(*settings.gain)
    if speed != 1.0:
        samples = soxr.resample(samples, RATE * speed, RATE)
    if settings.noise is not None and rng.random() < settings.noisy:
        power = float(np.mean(samples**2)) / 10 ** (rng.uniform(*settings.noise) / 10)
        samples = samples + np.sqrt(power) * _noise(len(samples), rng)
    changed: Samples = (samples * 10 ** (gain / 20)).clip(-1.0, 1.0).astype(np.float32)
    return changed


def _noise(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Of power 1: between white and red, its spectrum's power falling as f to the minus 0 to 2."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** (-rng.uniform(0.0, 1.0))
    made = np.fft.irfft(spectrum, size)
    return made / max(float(np.sqrt(np.mean(made**2))), 1e-12)
