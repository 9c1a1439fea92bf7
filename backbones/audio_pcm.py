"""Bytes of PCM to mono samples, and what is wrong with bytes that are none. Knows formats; no rate conversion, no files, no streams."""

from dataclasses import dataclass
from typing import Literal

import torch

from errors import InvalidValueError

MIN_RATE, MAX_RATE = 8_000, 48_000  # Hz
MAX_CHANNELS = 8
Encoding = Literal["pcm16", "float32"]
_DTYPES = {"pcm16": torch.int16, "float32": torch.float32}


@dataclass(frozen=True)
class AudioFormat:
    """What the bytes are: little-endian, channels interleaved, no header. Raises InvalidValueError naming the field."""

    encoding: Encoding
    rate: int
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in _DTYPES:
            raise InvalidValueError(f"expected {' or '.join(_DTYPES)}, got {self.encoding!r}", param="audio.format")
        if not MIN_RATE <= self.rate <= MAX_RATE:
            raise InvalidValueError(f"expected a rate of {MIN_RATE} to {MAX_RATE} Hz, got {self.rate}", param="audio.rate")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise InvalidValueError(f"expected 1 to {MAX_CHANNELS} channels, got {self.channels}", param="audio.channels")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return _DTYPES[self.encoding].itemsize * self.channels


def decode(data: bytes, form: AudioFormat) -> torch.Tensor:
    """float32 [n] in [-1, 1], the mean of the channels; what is louder is clipped.

    Raises InvalidValueError for half a sample, and for samples that are not finite.
    """
    if len(data) % form.frame_bytes:
        what = f"{form.encoding}, {form.channels} channel{'s' * (form.channels > 1)}"
        raise InvalidValueError(f"expected a multiple of {form.frame_bytes} bytes ({what}), got {len(data)}")
    if not data:
        return torch.zeros(0)
    samples = torch.frombuffer(bytearray(data), dtype=_DTYPES[form.encoding])
    if form.encoding == "pcm16":
        samples = samples / 32_768.0
    elif not torch.isfinite(samples).all():
        raise InvalidValueError("expected finite samples, got NaN or infinity")
    return samples.clamp(-1.0, 1.0).view(-1, form.channels).mean(dim=1)
