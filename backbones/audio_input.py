"""From a stream of PCM bytes to log-mel frames that know what they have seen. Puts decoder, resampler and mel in a row; knows no model."""

import torch

from backbones.audio_mel import HOP, LOOKAHEAD, MelFrames, StreamingMel
from backbones.audio_pcm import AudioFormat, decode
from backbones.audio_resample import Resampler


class AudioInput:
    """One stream. Samples are counted at the stream's own rate and for one channel: a token's `seen` is in the client's samples."""

    def __init__(self, form: AudioFormat, *, bins: int, floor: float) -> None:
        self._form = form
        self._resampler, self._mel = Resampler(form.rate), StreamingMel(bins, floor)

    @property
    def consumed(self) -> int:
        """Samples pushed so far."""
        return self._resampler.consumed

    def push(self, data: bytes) -> MelFrames:
        """The frames that these bytes complete. Raises InvalidValueError for bytes that are no samples, and takes none of them then."""
        return self._frames(self._mel.push(self._resampler.push(decode(data, self._form))))

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
