"""Streaming log-mel of 16 kHz samples: the same numbers whatever the chunks, and no frame before its samples are there.

Knows Whisper's spectrum and a normalisation that only looks back. Knows nothing of other rates, of the encoder or of sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from transformers.audio_utils import mel_filter_bank

RATE = 16_000  # Hz
WINDOW = 400  # samples of one frame: 25 ms
HOP = 160  # samples between frames: 10 ms
LOOKAHEAD = WINDOW // 2  # a frame is centred: frame i is complete once HOP * i + LOOKAHEAD samples are there
RANGE = 8.0  # what is that far (log10 of power) below the maximum is raised to it, as in Whisper


@dataclass(frozen=True)
class MelFrames:
    """values: float32 [n, bins]. seen: of each frame, how many samples of the stream had been consumed when it was complete."""

    values: torch.Tensor
    seen: Sequence[int]


@cache
def _filters(bins: int) -> torch.Tensor:
    """[201, bins]: Slaney's mel filters, as WhisperFeatureExtractor has them."""
    filters = mel_filter_bank(1 + WINDOW // 2, bins, 0.0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(filters).float()


@cache
def _window() -> torch.Tensor:
    return torch.hann_window(WINDOW)


class LogSpectrum:
    """The un-normalised log-mel: log10 of power, [frames, bins].

    The left edge is reflected as in Whisper, which needs no sample later than frame 0 does. Whisper reflects the right edge too, or
    has 30 s of zeros there; a stream has nothing there, so zeros it is.
    """

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._held = torch.zeros(0)  # until `_started`: the stream from sample 0; then from HOP * frames - LOOKAHEAD on
        self._started = False
        self.samples = 0
        self.frames = 0

    def push(self, samples: torch.Tensor) -> torch.Tensor:
        """float32 [n] -> [k, bins]: the frames that these samples complete."""
        self.samples += samples.shape[0]
        held = torch.cat((self._held, samples))
        if not self._started:
            if held.shape[0] < LOOKAHEAD:
                self._held = held
                return held.new_zeros(0, self._bins)
            self._started = True
            # The first of the reflected samples would be one that frame 0 need not wait for: its weight in the window is 0.
            held = torch.cat((held.new_zeros(1), held[1:LOOKAHEAD].flip(0), held))
        count = max(0, (held.shape[0] - WINDOW) // HOP + 1)
        self._held = held[count * HOP :].clone()
        self.frames += count
        if count == 0:
            return held.new_zeros(0, self._bins)
        power: torch.Tensor = torch.fft.rfft(held.unfold(0, WINDOW, HOP) * _window()).abs().square()  # [k, 201]
        return (power @ _filters(self._bins)).clamp_min(1e-10).log10()

    def end(self) -> torch.Tensor:
        """[k, bins]: the frames that begin before the end (one for every 160 samples begun), zeros behind it."""
        wanted, samples = -(-self.samples // HOP), self.samples
        missing = HOP * (wanted - 1) + LOOKAHEAD - samples if wanted else 0
        last = self.push(torch.zeros(missing))
        self.samples = samples
        return last


class RunningMaximum:
    """Whisper's normalisation with the maximum so far in place of the whole utterance's: (max(x, m - 8) + 4) / 4.

    m is the largest value of this frame and all before it, and never under `floor`, so that silence at the start is not taken for sound.
    """

    def __init__(self, floor: float) -> None:
        self._maximum = torch.tensor(floor)

    def normalise(self, spectrum: torch.Tensor) -> torch.Tensor:
        """[k, bins] -> [k, bins], frame by frame in order."""
        if spectrum.shape[0] == 0:
            return spectrum
        maxima = torch.maximum(spectrum.amax(dim=1).cummax(0).values, self._maximum)
        self._maximum = maxima[-1]
        return (torch.maximum(spectrum, maxima[:, None] - RANGE) + 4.0) / 4.0


class StreamingMel:
    """Log-mel frames as the encoder takes them. One push and an end give the one-shot causal log-mel, which training uses.

    bins:   80 or 128
    floor:  of the running maximum, log10 of power; speech of real recordings reaches 0.3 (the median of 200 spoken digits)
    """

    def __init__(self, bins: int, floor: float) -> None:
        self._spectrum, self._maximum = LogSpectrum(bins), RunningMaximum(floor)

    @property
    def frames(self) -> int:
        """Frames given out."""
        return self._spectrum.frames

    def push(self, samples: torch.Tensor) -> torch.Tensor:
        """float32 [n] at 16 kHz -> [k, bins]."""
        return self._maximum.normalise(self._spectrum.push(samples))

    def end(self) -> torch.Tensor:
        """[k, bins]: what is left; at least one frame if there was a sample."""
        return self._maximum.normalise(self._spectrum.end())


def log_mel(samples: torch.Tensor, bins: int, floor: float) -> torch.Tensor:
    """float32 [n] at 16 kHz -> [ceil(n / 160), bins] in one shot."""
    mel = StreamingMel(bins, floor)
    return torch.cat((mel.push(samples), mel.end()))
