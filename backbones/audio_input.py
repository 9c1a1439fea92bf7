"""From a stream of PCM bytes to log-mel frames that know what they have seen. Puts decoder, resampler and mel in a row; knows no model."""

import re

import torch

from backbones.audio_mel import HOP, LOOKAHEAD, MelFrames, StreamingMel
from backbones.audio_pcm import AudioFormat, decode
from backbones.audio_resample import Resampler
from errors import InvalidValueError

# What a file begins with, as far as no samples do by chance: a client that sends files one after the other, or one with its header.
_HEADERS = {"WAV": rb"RIFF.{4}WAVE", "FLAC": rb"fLaC[\x00\x80]\x00\x00\x22", "Ogg": rb"OggS\x00[\x00-\x07]"}
_HEADER = re.compile(b"|".join(b"(?P<%s>%s)" % (name.encode(), form) for name, form in _HEADERS.items()), re.DOTALL)
_LONGEST = 12  # bytes of a header


class AudioInput:
    """One stream. Samples are counted at the stream's own rate and for one channel: a token's `seen` is in the client's samples."""

    def __init__(self, form: AudioFormat, *, bins: int, floor: float) -> None:
        self._form = form
        self._last = b""  # bytes that a header may have begun with
        self._resampler, self._mel = Resampler(form.rate), StreamingMel(bins, floor)

    @property
    def consumed(self) -> int:
        """Samples pushed so far."""
        return self._resampler.consumed

    def push(self, data: bytes) -> MelFrames:
        """The frames that these bytes complete. Raises InvalidValueError for bytes that are no samples, and takes none of them then."""
        if found := _HEADER.search(self._last + data):
            raise InvalidValueError(f"expected samples alone, as the session's format says; got the header of a {found.lastgroup} file")
        samples = decode(data, self._form)
        self._last = (self._last + data)[1 - _LONGEST :]
        return self._frames(self._mel.push(self._resampler.push(samples)))

    def end(self) -> MelFrames:
        """The frames that are left; all have seen everything."""
        left = torch.cat((self._mel.push(self._resampler.end()), self._mel.end()))
        return MelFrames(left, [self.consumed] * left.shape[0])

    def _frames(self, values: torch.Tensor) -> MelFrames:
        first = self._mel.frames - values.shape[0]
        last_samples = (HOP * frame + LOOKAHEAD - 1 for frame in range(first, self._mel.frames))
        return MelFrames(values, [self._resampler.waited_for(sample) for sample in last_samples])


def milliseconds(samples: int, rate: int) -> int:
    """Of a stream at `rate` Hz, rounded up: phi must never precede what was seen."""
    return -(-1000 * samples // rate)
