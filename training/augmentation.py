"""How a recording is changed before training hears it, so that few speakers sound like many. Knows samples and log-mel frames, no file."""

from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from transformers.audio_utils import hertz_to_mel, mel_to_hertz

from backbones.audio_mel import RATE

Samples = NDArray[np.float32]
Mel = NDArray[np.float32]  # no tensor: between processes those are files, of which there may be too many
Factor = tuple[Annotated[float, Field(gt=0.1)], Annotated[float, Field(lt=10)]]
BANDS = 2  # that are taken out of a recording, of each kind
TELEPHONE = RATE // 2  # the rate of a recording that holds nothing above 4 kHz


class Augmentation(BaseModel):
    """How a recording is changed, anew each time it is heard. Each pair: the least and the most.

    speed: factor, with the pitch; gain: dB
    noise: dB of signal over noise, of a share `noisy` of the recordings; absent: no noise
    narrow: share of the recordings that lose what is above 4 kHz: so telephones hear, and so much old speech was recorded
    warp:  factor on every frequency, at the same speed: another vocal tract (VTLP, Jaitly and Hinton 2013)
    masked_bins, masked_frames: at most so many mel bins, and frames of 10 ms, are silenced in each of two bands and two stretches
           (SpecAugment, Park et al. 2019)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    speed: Factor = (1.0, 1.0)
    gain: tuple[float, float] = (0.0, 0.0)
    noise: tuple[float, float] | None = None
    noisy: float = Field(default=0.5, ge=0, le=1)
    narrow: float = Field(default=0, ge=0, le=1)
    warp: Factor = (1.0, 1.0)
    masked_bins: int = Field(default=0, ge=0)
    masked_frames: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _ascending(self) -> "Augmentation":
        for name in ("speed", "gain", "noise", "warp"):
            pair = getattr(self, name)
            if pair and pair[0] > pair[1]:
                raise ValueError(f"expected {name} as the least and the most, got {pair[0]:g} and {pair[1]:g}")
        return self


def augmented(samples: Samples, settings: Augmentation, rng: np.random.Generator) -> Samples:
    """Another speed (with another pitch), no high sounds, another loudness, noise: to the bit the same for the same state of `rng`."""
    import soxr  # type: ignore[import-untyped]  # noqa: PLC0415 (who trains on text only does without)

    speed, gain = rng.uniform(*settings.speed), rng.uniform(*settings.gain)
    if speed != 1.0:
        samples = soxr.resample(samples, RATE * speed, RATE)
    if settings.narrow and rng.random() < settings.narrow:
        samples = soxr.resample(soxr.resample(samples, RATE, TELEPHONE), TELEPHONE, RATE)
    if settings.noise is not None and rng.random() < settings.noisy:
        power = float(np.mean(samples**2)) / 10 ** (rng.uniform(*settings.noise) / 10)
        samples = samples + np.sqrt(power) * _noise(len(samples), rng)
    made: Samples = (samples * 10 ** (gain / 20)).clip(-1.0, 1.0).astype(np.float32)
    return made


def _noise(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Of power 1: between white and red, its spectrum's power falling as f to the minus 0 to 2."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** (-rng.uniform(0.0, 1.0))
    made = np.fft.irfft(spectrum, size)
    return made / max(float(np.sqrt(np.mean(made**2))), 1e-12)


def changed(mel: Mel, settings: Augmentation, rng: np.random.Generator) -> Mel:
    """[F, bins] -> [F, bins]: another vocal tract, and parts of it silenced. Draws nothing for what is not asked for."""
    if settings.warp != (1.0, 1.0):
        mel = warped(mel, rng.uniform(*settings.warp))
    masks = [(axis, most) for axis, most in ((1, settings.masked_bins), (0, settings.masked_frames)) if most for _ in range(BANDS)]
    if not masks:
        return mel
    masked, silence = mel.copy(), mel.min(initial=0.0)
    for axis, most in masks:
        size = int(rng.integers(0, min(most, mel.shape[axis]) + 1))
        start = int(rng.integers(0, mel.shape[axis] - size + 1))
        masked.swapaxes(0, axis)[start : start + size] = silence
    return masked


def warped(mel: Mel, factor: float) -> Mel:
    """[F, bins] -> [F, bins]: what was at a frequency is at `factor` times as much. Above what there is, the highest bin stands."""
    centres, bins = _centres(mel.shape[1]), mel.shape[1]
    at = np.interp(hertz_to_mel(mel_to_hertz(centres, "slaney") / factor, "slaney"), centres, np.arange(bins))
    low = np.minimum(at.astype(int), bins - 2)
    share = (at - low).astype(np.float32)
    out: Mel = mel[:, low] * (1 - share) + mel[:, low + 1] * share
    return out


@cache
def _centres(bins: int) -> NDArray[np.float64]:
    """Of the mel filters, in mel."""
    edges: NDArray[np.float64] = np.linspace(0.0, float(hertz_to_mel(RATE / 2, "slaney")), bins + 2)
    return edges[1:-1]
